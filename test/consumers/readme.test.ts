/** The README's programs run as they stand, beside what `npm install` brings. */

import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { deadLinks, fences, PARTS } from '../../scripts/docs-rules'
import { consumer, run } from './consumer'

const programs = fences(readFileSync('README.md', 'utf8')).filter(({ language }) => language === 'js')

function printed(of: string): Promise<string> {
  const { code } = programs.find(({ code }) => code.includes(`from '${of}'`)) ?? { code: '' }
  expect(code).toContain(of)
  const folder = consumer([])
  writeFileSync(join(folder, 'program.mjs'), code)
  return run(folder, process.execPath, 'program.mjs')
}

it('prints the answer to a digit', async () => {
  expect(await printed('approxifer')).toBe('exact: a 1')
})

it('decodes an answer that was lost', async () => {
  const [lost, ...others] = (await printed('approxifer/codec')).split('\n')
  expect(lost).toMatch(/^0 false [\d.]+ [\d.]+$/)
  expect(others).toEqual(['1 true 5 6', '2 true 7 12', '3 true 9 20'])
})

it('names no file that is not there', () => {
  for (const page of ['README.md', 'examples/README.md', ...PARTS.start]) {
    expect(deadLinks(page, readFileSync(page, 'utf8'))).toEqual([])
  }
})
