/** Runs the comparison in every runtime that this machine has: Node, Deno, Bun and browsers. */

import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { promisify } from 'node:util'
import { type BuildOptions, build } from 'esbuild'
import { browserVersion, openPage } from '../../scripts/browsers.js'
import { findBun, findDeno } from '../../scripts/packages.js'
import { findChromium, findFirefox, findWebKit } from '../../scripts/programs.js'
import type { Comparison } from './comparison'

export interface Runtime {
  /** Without a version, but for Node. */
  readonly name: string
  /** Undefined where it is not installed. */
  readonly run: (() => Promise<{ version: string; comparison: Comparison }>) | undefined
}

const FOLDER = 'build/kernels'
const PAGE = `<!doctype html><script type="module">
const tell = (told) => fetch('/told', { method: 'POST', body: JSON.stringify(told) })
import('./comparison.js').then(({ compare }) => compare()).then((comparison) => tell({ comparison }), (error) => tell({ error: String(error) }))
</script>`

/** With these headers browsers round their clock less. */
const ISOLATED = { 'cross-origin-opener-policy': 'same-origin', 'cross-origin-embedder-policy': 'require-corp' }

/** The comparison as one file, and a program that prints it. */
export async function bundle(): Promise<void> {
  await build({
    stdin: {
      contents: "import { compare } from './comparison'\ncompare().then((all) => console.log(JSON.stringify(all)))",
      resolveDir: 'bench/kernels',
    },
    ...BUNDLED,
    outfile: `${FOLDER}/program.mjs`,
  })
  await build({ entryPoints: ['bench/kernels/comparison.ts'], ...BUNDLED, outfile: `${FOLDER}/comparison.js` })
}

const BUNDLED: BuildOptions = {
  bundle: true,
  format: 'esm',
  platform: 'browser',
  conditions: ['browser'],
  target: 'es2022',
}

const NODES = [20, 22, 24]

function nodeOf(version: number): string | undefined {
  if (Number(process.versions.node.split('.')[0]) === version) return process.execPath
  return [`test/consumers/node_modules/node${version}/bin/node`].find(existsSync)
}

export const runtimes: readonly Runtime[] = [
  ...NODES.map((version) => program(`Node ${version}`, nodeOf(version))),
  program('Deno', findDeno(), 'run', '--allow-all'),
  program('Bun', findBun()),
  browser('Chromium', 'chromium', findChromium()),
  browser('Firefox', 'firefox', findFirefox()),
  browser('WebKitGTK', 'webkit', findWebKit()),
]

function program(name: string, path: string | undefined, ...args: string[]): Runtime {
  if (!path) return { name, run: undefined }
  const printed = async (...words: string[]) => (await promisify(execFile)(path, words, { maxBuffer: 2 ** 24 })).stdout
  const run = async () => {
    const version = /\d[\d.]*/.exec(await printed('--version'))?.[0] ?? ''
    return { version, comparison: JSON.parse(await printed(...args, `${FOLDER}/program.mjs`)) as Comparison }
  }
  return { name, run }
}

function browser(title: string, name: string, path: string | undefined): Runtime {
  if (!path) return { name: title, run: undefined }
  return { name: title, run: async () => ({ version: browserVersion(name)[1], comparison: await inBrowser(name) }) }
}

async function inBrowser(name: string): Promise<Comparison> {
  let hasAsked = false
  let resolve: (told: { comparison: Comparison; error?: string }) => void
  const told = new Promise<Parameters<typeof resolve>[0]>((settle) => {
    resolve = settle
  })
  const server = createServer(async (request, response) => {
    if (request.method === 'POST') {
      resolve(JSON.parse(await text(request)))
      return response.end()
    }
    const isScript = request.url === '/comparison.js'
    hasAsked ||= isScript
    response.writeHead(200, { ...ISOLATED, 'content-type': isScript ? 'text/javascript' : 'text/html' })
    response.end(isScript ? await readFile(`${FOLDER}/comparison.js`) : PAGE)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
  const page = await openPage(name, url, () => hasAsked)
  try {
    const { comparison, error } = await told
    if (error) throw new Error(`${name}: ${error}`)
    return comparison
  } finally {
    await page.end()
    server.close()
    server.closeAllConnections()
  }
}
