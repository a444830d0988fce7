/** The README's first program runs as it stands, beside what `npm install` brings. */

import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { consumer, run } from './consumer'

it('prints the answer to a real digit', async () => {
  const [, code] = /```js\n(.*?)```/s.exec(readFileSync('README.md', 'utf8')) ?? []
  expect(code).toContain("from 'approxifer'")
  const folder = consumer([])
  writeFileSync(join(folder, 'digits.mjs'), code)
  const printed = await run(folder, process.execPath, 'digits.mjs')
  expect(printed).toBe('exact: a 7')
})

it('names no file that is not there', () => {
  const docs = readdirSync('docs').filter((name) => name.endsWith('.md'))
  for (const page of ['README.md', 'examples/README.md', ...docs.map((name) => join('docs', name))]) {
    const links = [...readFileSync(page, 'utf8').matchAll(/\]\((?!https?:|#)([^)#]+)/g)].map(([, to]) => to)
    for (const to of links) expect(() => readFileSync(join(page, '..', to)), `${page}: ${to}`).not.toThrow(/ENOENT/)
  }
})
