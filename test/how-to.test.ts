/** docs/how-to: the programs of two pages are the examples', which other tests run, and a third page's program does what the page says. */

import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { fences, recipes } from '../scripts/docs-rules'

const read = (path: string) => readFileSync(path, 'utf8')
const programs = (page: string, language: string) =>
  fences(read(`docs/how-to/${page}.md`)).flatMap((each) => (each.language === language ? each.code : []))

it('durable-object.md shows examples/durable-object and examples/fetch-handler', () => {
  const shown = recipes(read('docs/how-to/durable-object.md'))
  expect(shown['durable-object']).toBe(read('examples/durable-object/main.js'))
  expect(programs('durable-object', 'toml')).toEqual([read('examples/durable-object/wrangler.toml')])
  expect(shown['fetch-handler']).toBe(read('examples/fetch-handler/main.js').replace(/^(\/\/.*\n)+/, ''))
  const { scripts: _, ...manifest } = JSON.parse(read('examples/durable-object/package.json'))
  expect(JSON.parse(programs('durable-object', 'json')[0])).toEqual(manifest)
})

it('own-layer.md: the program prints what the page shows', () => {
  const [program] = programs('own-layer', 'js')
  const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '--eval', program], {
    encoding: 'utf8',
  })
  const plain = (text: string) => text.replace(/^[\d.]+/gm, '1')
  expect(plain(stdout + stderr)).toBe(plain(programs('own-layer', '')[0]))
})
