/** The README: short enough to be read, and a first program that a strict compiler takes. test/consumers runs it. */

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import ts from 'typescript'
import { afterAll, expect, it } from 'vitest'

const text = readFileSync('README.md', 'utf8')
const lines = text.trimEnd().split('\n')

const folder = mkdtempSync('build/readme-') // beside node_modules, where Node's types are
afterAll(() => rmSync(folder, { recursive: true }))

it('has at most 80 lines of at most 100 columns', () => {
  expect(lines.filter((line) => line.length > 100)).toEqual([])
  expect(lines.length).toBeLessThanOrEqual(80)
})

it('says in its first 25 lines what it is, its number, and what to type', () => {
  const top = lines.slice(0, 25).join('\n')
  for (const what of [/slow, dead or lying/, /13 ms/, /npm install approxifer/, /createPredictor/]) {
    expect(top).toMatch(what)
  }
})

it('names its number as docs/appendix/performance.md does', () => {
  const page = readFileSync('docs/appendix/performance.md', 'utf8')
  const [, row] = /^\| random, 0\.6 \|(.*)\|$/m.exec(page) as RegExpExecArray
  const cells = row.split('|').map((cell) => cell.trim())
  const [nothing, hedge, ours] = cells.map((cell) => Number(cell.split('/')[0]).toFixed(0))
  expect(text).toContain(`no redundancy ${nothing} ms, hedged requests ${hedge} ms, approxifer ${ours} ms`)
  expect(text).toContain(`| ${cells.join(' | ')} |`)
})

it('says what a memory alone recovers as docs/appendix/accuracy.md does, not what it recovers beside a copy', () => {
  const page = readFileSync('docs/appendix/accuracy.md', 'utf8')
  const [, row] = /^\| memory of 1000, alone \|(.*)\|$/m.exec(page) as RegExpExecArray
  const shares = row.split('|').map((cell) => Number.parseFloat(cell).toFixed(0))
  expect(text.replaceAll(/\s+/g, ' ')).toContain(`a memory of 1,000 alone recovers ${shares.join(', ')},`)
})

it('the first program compiles with noUncheckedIndexedAccess and noPropertyAccessFromIndexSignature', () => {
  const [, code] = /```js\n(.*?)```/s.exec(text) ?? []
  expect(code).toContain("from 'approxifer'")
  const file = join(folder, 'digits.mts')
  writeFileSync(file, code)
  const options: ts.CompilerOptions = {
    target: ts.ScriptTarget.ES2022,
    module: ts.ModuleKind.NodeNext,
    strict: true,
    exactOptionalPropertyTypes: true,
    noUncheckedIndexedAccess: true,
    noPropertyAccessFromIndexSignature: true,
    noEmit: true,
    types: ['node'],
    paths: { approxifer: [resolve('dist/index.d.ts')] },
  }
  const found = ts.getPreEmitDiagnostics(ts.createProgram([file], options))
  expect(found.map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, '\n'))).toEqual([])
})
