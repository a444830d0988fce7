/** The README: short enough to be read, and a first program that a strict compiler takes. test/consumers runs it. */

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import ts from 'typescript'
import { afterAll, expect, it } from 'vitest'

const text = readFileSync('README.md', 'utf8')
const lines = text.trimEnd().split('\n')
const flowing = text.replaceAll(/\s+/g, ' ')

const folder = mkdtempSync('build/readme-') // beside node_modules, where Node's types are
afterAll(() => rmSync(folder, { recursive: true }))

/** Figures of a row of a page, without their intervals. */
function figures(page: string, row: RegExp): string[] {
  const [, cells] = row.exec(readFileSync(`docs/appendix/${page}`, 'utf8')) as RegExpExecArray
  return cells.split('|').map((cell) => cell.trim().split(/ [[/]/)[0])
}

it('has at most 80 lines of at most 100 columns', () => {
  expect(lines.filter((line) => line.length > 100)).toEqual([])
  expect(lines.length).toBeLessThanOrEqual(80)
})

it('says in its first 25 lines what it is, for whom and not, its number, and what to type', () => {
  const top = lines.slice(0, 25).join('\n')
  for (const what of [/slow, dead or\s+lying/, /For you/, /Not for/, /13 ms/, /npm ci && npm start/, /npm test/]) {
    expect(top).toMatch(what)
  }
})

it('names its number as docs/appendix/performance.md does', () => {
  const p99 = figures('performance.md', /^\| random, load 0\.6 \|(.*)\|$/m)
  const [nothing, hedge, ours] = p99.map((ms) => Number(ms).toFixed(0))
  expect(flowing).toContain(`no redundancy ${nothing} ms, hedged requests ${hedge} ms, approxifer ${ours} ms`)
})

it('sets the paper’s code, ours and ParM beside each other as docs/appendix/accuracy.md does', () => {
  const all = ['MNIST LeNet', 'Fashion-MNIST LeNet', 'CIFAR-10 ResNet-8'].map((model) =>
    figures('accuracy.md', RegExp(String.raw`^\| ${model} \([\d.]+\) \|(.*)\|$`, 'm')),
  )
  const [papers, guess, parity, memory] = [0, 1, 2, 4].map((column) => all.map((row) => row[column]))
  const [own, remembered, trained] = [
    '8 | ours, parity',
    'any | ours, memory of 1,000, alone',
    '8 | ParM, trained, our models',
  ].map((way) => {
    const [, mnist, , fashion] = figures(
      'accuracy.md',
      RegExp(String.raw`^\| ${way.replace('|', String.raw`\|`)} \|(.*)\|$`, 'm'),
    )
    return `${mnist}, ${fashion}`
  })
  const above = parity.map((share, i) => (Number(share) - Number(guess[i])).toFixed(1))
  for (const row of [
    `| the paper, which approximates every query | ${papers.join(', ')} | as all |`,
    `| a random label for the lost one | ${guess.join(', ')} | 10, 10 |`,
    `| our parity: ${above[0]}, ${above[1]} and ${above[2]} above that label | ${parity.join(', ')} | ${own} |`,
    `| our memory | ${memory.join(', ')} | ${remembered} |`,
    `| [ParM](docs/appendix/accuracy.md), trained for the model | - | ${trained} |`,
  ]) {
    expect(text).toContain(row)
  }
})

it('has the two commands that set everything up, each in a block of its own', () => {
  const blocks = [...text.matchAll(/```sh\n(.*?)```/gs)].map(([, code]) => code.trim())
  expect(blocks.slice(0, 2)).toEqual(['npm ci && npm start', 'npm test'])
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
