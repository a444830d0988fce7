import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import ts from 'typescript'
import { expect, it } from 'vitest'

const strict: ts.CompilerOptions = {
  strict: true,
  noUncheckedIndexedAccess: true,
  noPropertyAccessFromIndexSignature: true,
  exactOptionalPropertyTypes: true,
  target: ts.ScriptTarget.ES2022,
  module: ts.ModuleKind.NodeNext,
  types: ['node'],
  skipLibCheck: true,
  noEmit: true,
}

/** What TypeScript says of modules that stand beside package.json, so that they import 'approxifer' as a user's do. */
function complaints(...codes: string[]): string[][] {
  const files = new Map(codes.map((code, i) => [resolve(`${i}.mts`), code]))
  const host = ts.createCompilerHost(strict)
  const { fileExists, readFile } = host
  host.fileExists = (path) => files.has(path) || fileExists(path)
  host.readFile = (path) => files.get(path) ?? readFile(path)
  const program = ts.createProgram([...files.keys()], strict, host)
  return [...files.keys()].map((path) =>
    ts
      .getPreEmitDiagnostics(program, program.getSourceFile(path))
      .map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, '\n')),
  )
}

const reading = (output: string) =>
  `import type { Prediction } from 'approxifer'\nexport const data = ({ output }: Prediction) => ${output}`

it('the README’s first program passes with noUncheckedIndexedAccess and noPropertyAccessFromIndexSignature', () => {
  const [, first] = /```[jt]s\n(.*?)```/s.exec(readFileSync('README.md', 'utf8')) ?? []
  expect(first).toContain("from 'approxifer'")
  const [readme, ...others] = complaints(first, reading('output.logits'), reading("output['logits'].data"))
  expect(readme).toEqual([])
  expect(others).toEqual([[expect.stringContaining("accessed with ['logits']")], [expect.stringContaining('possibly')]])
})
