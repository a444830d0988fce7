/** TypeScript from 5.0 on, strict and without skipLibCheck: the declarations are read, the programs run. */

import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { consumer, DIGITS, node, run } from './consumer'

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

/** Compiles a folder of test/consumers/typescript where it stands, in a consumer of its own. */
async function compile(version: string, source: string, resolution: Resolution, options = {}): Promise<string> {
  const folder = consumer([join('../typescript', source)], [`typescript-${version}`, '@types/node', 'undici-types'])
  const bundler = resolution === 'bundler'
  const compilerOptions = {
    ...strict,
    module: bundler ? 'esnext' : resolution,
    moduleResolution: resolution,
    ...options,
  }
  const exclude = bundler ? ['*.cts'] : [] // a bundler does not read .cts as CommonJS
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions, include: ['*'], exclude }))
  await run(folder, process.execPath, `node_modules/typescript-${version}/bin/tsc`, '-p', '.')
  return folder
}

describe.each(['5.0', '5.4', '5.9', '6.0'])('TypeScript %s', (version) => {
  describe.each(RESOLUTIONS)('%s', (resolution) => {
    it('with no types but the language’s own', async () => {
      await compile(version, 'bare', resolution)
    })

    it('with Node’s types: compiled, it reads digits', async () => {
      const folder = await compile(version, 'node', resolution, { types: ['node'] })
      expect(await run(folder, node(20), 'main.js')).toBe(DIGITS)
      if (resolution !== 'bundler') expect(await run(folder, node(20), 'main.cjs')).toBe(DIGITS)
    })
  })

  it('with the DOM’s types', async () => {
    await compile(version, 'dom', 'bundler', { lib: ['es2022', 'dom'] })
  })
})

describe.each(['5.4', '5.9', '6.0'])('TypeScript %s', (version) => {
  it('await using closes the predictor', async () => {
    const options = { types: ['node'], lib: ['es2022', 'esnext.disposable'] }
    const folder = await compile(version, 'using', 'nodenext', options)
    expect(await run(folder, node(20), 'main.js')).toBe('CLOSED')
  })
})
