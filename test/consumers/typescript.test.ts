/** TypeScript from 5.0 on, strict and without skipLibCheck: the declarations are read, the programs run. */

import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import type TypeScript from 'typescript'
import { describe, expect, it } from 'vitest'
import { consumer, DIGITS, node, run, TOOLS } from './consumer'

const RESOLUTIONS = ['bundler', 'node16', 'nodenext'] as const
type Resolution = (typeof RESOLUTIONS)[number]

const strict = {
  target: 'es2022',
  lib: ['es2022'],
  types: [] as string[],
  strict: true,
  exactOptionalPropertyTypes: true,
  noPropertyAccessFromIndexSignature: true,
  noUncheckedIndexedAccess: true,
  skipLibCheck: false,
  verbatimModuleSyntax: false,
}

/** Compiles a folder of test/consumers/typescript in a consumer of its own, as tsc does where it stands. @throws with what it said */
function compile(version: string, source: string, resolution: Resolution, options = {}): string {
  const ts: typeof TypeScript = createRequire(import.meta.url)(join(TOOLS, `typescript-${version}`))
  const folder = consumer([join('../typescript', source)], [`typescript-${version}`, '@types/node', 'undici-types'])
  const bundler = resolution === 'bundler'
  const compilerOptions = {
    ...strict,
    module: bundler ? 'esnext' : resolution,
    moduleResolution: resolution,
    ...options,
  }
  const exclude = bundler ? ['*.cts'] : [] // a bundler does not read .cts as CommonJS
  const config = { compilerOptions, include: ['*'], exclude }
  const parsed = ts.parseJsonConfigFileContent(config, ts.sys, folder, undefined, join(folder, 'tsconfig.json'))
  const host = ts.createCompilerHost(parsed.options)
  host.getCurrentDirectory = () => folder
  const program = ts.createProgram(parsed.fileNames, parsed.options, host)
  const ours = program.getSourceFiles().filter(({ fileName }) => !fileName.startsWith(TOOLS)) // not the language's, nor Node's
  const found = [
    ...parsed.errors,
    ...program.getOptionsDiagnostics(),
    ...ours.flatMap((file) => [...program.getSyntacticDiagnostics(file), ...program.getSemanticDiagnostics(file)]),
    ...program.getGlobalDiagnostics(),
    ...ours.flatMap((file) => program.emit(file).diagnostics), // all at once, it checks the language's and Node's before
  ]
  expect(ours.map(({ fileName }) => fileName.slice(folder.length))).toContain(
    '/node_modules/approxifer/dist/index.d.ts',
  )
  if (found.length) throw new Error(ts.formatDiagnostics(found, host))
  return folder
}

/** What programs printed: one that is the same to the letter prints the same, whichever compiler wrote it. */
const printed = new Map<string, Promise<string>>()

function runOnce(folder: string, program: string): Promise<string> {
  const text = readFileSync(join(folder, program), 'utf8')
  const key = `${program}\n${text}`
  if (!printed.has(key)) printed.set(key, run(folder, node(20), program))
  return printed.get(key) as Promise<string>
}

describe.each(['5.0', '5.4', '5.9', '6.0'])('TypeScript %s', (version) => {
  describe.each(RESOLUTIONS)('%s', (resolution) => {
    it('with no types but the language’s own', async () => {
      compile(version, 'bare', resolution)
    })

    it('with Node’s types: compiled, it reads digits', async () => {
      const folder = compile(version, 'node', resolution, { types: ['node'] })
      expect(await runOnce(folder, 'main.js')).toBe(DIGITS)
      if (resolution !== 'bundler') expect(await runOnce(folder, 'main.cjs')).toBe(DIGITS)
    })
  })

  it('with the DOM’s types', async () => {
    compile(version, 'dom', 'bundler', { lib: ['es2022', 'dom'] })
  })
})

describe.each(['5.4', '5.9', '6.0'])('TypeScript %s', (version) => {
  it('await using closes the predictor', async () => {
    const options = { types: ['node'], lib: ['es2022', 'esnext.disposable'] }
    const folder = compile(version, 'using', 'nodenext', options)
    expect(await runOnce(folder, 'main.js')).toBe('CLOSED')
  })
})
