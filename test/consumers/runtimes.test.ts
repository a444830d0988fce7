/** Node, Deno, Bun, workerd, pnpm: the packed package in real programs. */

import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, inject, it } from 'vitest'
import workerd from 'workerd'
import manifest from '../../package.json'
import { findBun, findDeno } from '../../scripts/packages.js'
import { ranBy } from '../shared/counted-elsewhere'
import { serving } from '../shared/workerd'
import { addData, consumer, DIGITS, node, run, TOOLS } from './consumer'

const SAME = '20 of 20 equal; warnings: 0, 1'

describe.each([20, 22, 24] as const)('Node %i', (version) => {
  const own = ranBy('Node', node(version))

  it('import', own, async () => {
    expect(await run(consumer(['node']), node(version), 'main.js')).toBe(DIGITS)
  })

  it('require', own, async () => {
    expect(await run(consumer(['node']), node(version), 'main.cjs')).toBe(DIGITS)
  })

  it('a memory says the same to the bit in its thread and in this one', own, async () => {
    expect(await run(consumer(['../memory']), node(version), 'main.js')).toBe(SAME)
  })
})

describe.each([
  ['Deno', findDeno() as string, ['run', '--allow-all']],
  ['Bun', findBun() as string, []],
] as const)('%s', (name, program, args) => {
  it('import', ranBy(name, program), async () => {
    expect(await run(consumer(['node']), program, ...args, 'main.js')).toBe(DIGITS)
  })
})

describe('workerd', () => {
  it('the codec recovers a lost row', ranBy('workerd', workerd, 'codec'), async () => {
    const folder = consumer(['workerd'], ['esbuild'])
    await run(folder, process.execPath, 'build.js')
    const told = await serving(join(folder, 'config.capnp'), async ({ url }) => (await fetch(url)).text())
    expect(told).toBe('wasm, row 0 lost: 7 2 1 0')
  })
})

describe('npm', () => {
  it('installs nothing beside the package, whose command line starts', async () => {
    const folder = mkdtempSync(join(inject('folder'), 'npm-'))
    writeFileSync(join(folder, 'package.json'), '{}')
    const options = ['--offline', '--no-audit', '--no-fund']
    await run(folder, 'npm', 'install', ...options, join(inject('folder'), 'packed.tgz'))
    expect(readdirSync(join(folder, 'node_modules')).filter((name) => !name.startsWith('.'))).toEqual(['approxifer'])
    expect(await run(folder, 'node_modules/.bin/approxifer', '--version')).toBe(manifest.version)
  })
})

describe('pnpm', () => {
  it('installs the package, whose modules find each other in its strict folders', async () => {
    const folder = consumer(['node', 'pnpm'])
    rmSync(join(folder, 'node_modules'), { recursive: true })
    const packed = `file:${join(inject('folder'), 'packed.tgz')}`
    const dependencies = { approxifer: packed, 'onnxruntime-web': '1.30.0' }
    writeFileSync(join(folder, 'package.json'), JSON.stringify({ type: 'module', dependencies }))
    await run(folder, node(22), join(TOOLS, 'pnpm/bin/pnpm.mjs'), 'install', '--prefer-offline')
    expect(await run(folder, node(20), 'main.js')).toBe(DIGITS)
  })
})

describe('a program for Node bundled by esbuild', () => {
  it('with its worker file', async () => {
    const folder = consumer(['page', 'node-bundle'], ['esbuild'])
    addData(folder)
    await run(folder, process.execPath, 'build.js')
    expect(await run(folder, node(20), 'dist/main.js')).toBe(DIGITS)
  })

  it('without one: an error that says what to do', async () => {
    const folder = consumer(['node'], ['esbuild'])
    const options = ['--bundle', '--platform=node', '--format=esm', '--outfile=dist/main.js']
    await run(folder, 'node_modules/esbuild/bin/esbuild', 'main.js', ...options, '--external:onnxruntime-web')
    const failed = run(folder, node(20), 'dist/main.js')
    await expect(failed).rejects.toThrow(/Cannot find module .*worker\.js'.*'approxifer\/worker'.*createWorker/)
  })
})
