/** Bundles for the edge, each run where such a bundle runs: they read digits with model servers, or recover a lost row. */

import { cpSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import workerd from 'workerd'
import { ranBy } from '../shared/counted-elsewhere'
import { serveGateway, type TestServer } from '../shared/http-server'
import { serve } from '../shared/served-folder'
import { LENET } from '../shared/served-process'
import { serving } from '../shared/workerd'
import { askDigits } from './ask-digits'
import { consumer, DIGITS, run, TOOLS } from './consumer'
import { openBrowser, show, start } from './page'

let servers: TestServer[]
let urls: string[]
beforeAll(async () => {
  const models = () => ({ digits: { model: LENET, workers: 1 } })
  servers = await Promise.all([1, 2, 3].map(() => serveGateway({ models: models() })))
  urls = servers.map(({ url }) => url)
})
afterAll(() => Promise.all(servers.map((server) => server.close())))

/** A consumer with the program of `fetch` events. */
function program(tools: readonly string[]): string {
  const folder = consumer(['../edge'], tools)
  writeFileSync(join(folder, 'servers.json'), JSON.stringify(urls))
  return folder
}

/** What dist/main.js answers in Vercel's Edge Runtime. */
async function inEdgeRuntime(folder: string): Promise<string[]> {
  const cli = join(TOOLS, 'edge-runtime/dist/cli/index.js')
  const { url, close } = await start(folder, process.execPath, cli, '--listen', '--port', '0', 'dist/main.js')
  try {
    return await askDigits(url)
  } finally {
    await close()
  }
}

/** What dist/main.js answers in workerd, and what it printed as warnings. */
const inWorkerd = (folder: string) =>
  serving(join(folder, 'config.capnp'), async ({ url, errors }) => [...(await askDigits(url)), errors()])

const esbuild = (folder: string, ...options: string[]) =>
  run(folder, 'node_modules/esbuild/bin/esbuild', 'main.js', '--bundle', '--outfile=dist/main.js', ...options)

const webpack = (folder: string, config: string) =>
  run(folder, process.execPath, 'node_modules/webpack-cli/bin/cli.js', 'build', '--config', config)

describe('esbuild', () => {
  it('without a condition: in the Edge Runtime', async () => {
    const folder = program(['esbuild'])
    await esbuild(folder)
    expect(await inEdgeRuntime(folder)).toEqual([DIGITS, DIGITS])
  })

  it('with the condition edge-light: in the Edge Runtime', async () => {
    const folder = program(['esbuild'])
    await esbuild(folder, '--conditions=edge-light')
    expect(await inEdgeRuntime(folder)).toEqual([DIGITS, DIGITS])
  })
})

describe('Vite 8', () => {
  const vite = (folder: string, config: string) =>
    run(folder, process.execPath, 'node_modules/vite-8/bin/vite.js', 'build', '--config', config)

  it('ssr.target webworker: in workerd, where its memory has no thread', ranBy('workerd', workerd), async () => {
    const folder = program(['vite-8'])
    await vite(folder, 'vite.config.js')
    expect(await inWorkerd(folder)).toEqual([DIGITS, DIGITS, ''])
  })

  it('with the condition edge-light: in the Edge Runtime', async () => {
    const folder = program(['vite-8'])
    await vite(folder, 'edge-light.vite.config.js')
    expect(await inEdgeRuntime(folder)).toEqual([DIGITS, DIGITS])
  })
})

describe('webpack 5', () => {
  const tools = ['webpack', 'webpack-cli']

  it('target webworker: in a Web Worker of Chromium', async () => {
    const folder = consumer(['../edge', 'workerd'], tools)
    await webpack(folder, 'webpack.config.js')
    cpSync(join(folder, 'index.html'), join(folder, 'dist/index.html'))
    const server = await serve(join(folder, 'dist'))
    const browser = await openBrowser()
    try {
      expect(await show(browser, server.url)).toBe('wasm, row 0 lost: 7 2 1 0')
    } finally {
      await browser.close()
      server.close()
    }
  })

  it('with the condition edge-light: in the Edge Runtime', async () => {
    const folder = program(tools)
    await webpack(folder, 'edge-light.webpack.config.js')
    expect(await inEdgeRuntime(folder)).toEqual([DIGITS, DIGITS])
  })
})

describe('Next 16', () => {
  it('a route of the edge runtime', async () => {
    const folder = consumer(['next'], ['next', 'react', 'react-dom'])
    // Where Next's packages are: here the consumer has links to them.
    writeFileSync(join(folder, 'next.config.js'), "export default { turbopack: { root: '/' } }")
    const next = ['NEXT_TELEMETRY_DISABLED=1', `SERVERS=${urls}`, process.execPath, 'node_modules/next/dist/bin/next']
    await run(folder, 'env', ...next, 'build')
    const { url, close } = await start(folder, 'env', ...next, 'start', '--hostname', '127.0.0.1', '--port', '0')
    try {
      expect(await askDigits(url)).toEqual([DIGITS, DIGITS])
    } finally {
      await close()
    }
  })
})
