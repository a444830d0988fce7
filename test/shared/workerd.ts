/** Scripts of test/fixtures in the real workerd, bundled with the package's build for it. */

import { spawn } from 'node:child_process'
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { build } from 'esbuild'
import workerd from 'workerd'

const config = (durable: string) => `
using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [
    (name = "main", worker = (
      compatibilityDate = "2024-09-23",
      modules = [(name = "main.js", esModule = embed "main.js"), (name = "core.wasm", wasm = embed "core.wasm")],
      ${durable}
    )),
    (name = "local", network = (allow = ["local"])),
  ],
  sockets = [(name = "http", address = "127.0.0.1:0", http = (), service = "main")],
);`

const keeper = (servers: readonly string[]) => `
      durableObjectNamespaces = [(className = "Keeper", uniqueKey = "keeper")],
      durableObjectStorage = (inMemory = void),
      bindings = [
        (name = "KEEPER", durableObjectNamespace = "Keeper"),
        (name = "SERVERS", json = ${JSON.stringify(JSON.stringify(servers))}),
      ],
      globalOutbound = "local",`

export interface Edge {
  url: string
  /** What it printed as errors. */
  errors(): string
  /** Ends its process at once. */
  kill(): void
}

/** Bundles a script of test/fixtures with the package's build for workerd, as main.js beside core.wasm. */
export async function bundleTo(folder: string, script: string): Promise<void> {
  await build({
    entryPoints: [`test/fixtures/${script}`],
    outfile: join(folder, 'main.js'),
    bundle: true,
    format: 'esm',
    conditions: ['workerd'],
    external: ['*.wasm', 'cloudflare:*'],
  })
  copyFileSync('dist/core.wasm', join(folder, 'core.wasm'))
}

/** @param servers  for a script with a Durable Object `Keeper`: URLs that it may ask */
export async function inWorkerd(
  script: string,
  use: (edge: Edge) => Promise<void>,
  servers?: readonly string[],
): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'approxifer-edge-'))
  await bundleTo(folder, script)
  const path = join(folder, 'config.capnp')
  writeFileSync(path, config(servers ? keeper(servers) : ''))
  try {
    await serving(path, use)
  } finally {
    rmSync(folder, { recursive: true })
  }
}

/** @param config  path of a configuration with one socket */
export async function serving<T>(config: string, use: (edge: Edge) => Promise<T>): Promise<T> {
  const server = spawn(workerd, ['serve', '--control-fd=1', config])
  const ended = new Promise((resolve) => server.on('exit', resolve))
  try {
    let errors = ''
    server.stderr.on('data', (text) => {
      errors += text
    })
    const port = await new Promise<number>((resolve, reject) => {
      server.stdout.on('data', (line) => resolve(JSON.parse(String(line).split('\n')[0]).port))
      server.on('exit', (code) => reject(new Error(`workerd exited with ${code}: ${errors}`)))
    })
    return await use({ url: `http://127.0.0.1:${port}`, errors: () => errors, kill: () => server.kill('SIGKILL') })
  } finally {
    server.kill()
    await ended // the next one may use its disk
  }
}
