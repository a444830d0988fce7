/** Node, and runtimes that support its worker_threads. */

import { lookup, Resolver } from 'node:dns/promises'
import { watch } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { availableParallelism, hostname } from 'node:os'
import { dirname } from 'node:path'
import { parentPort, Worker } from 'node:worker_threads'
// @ts-expect-error its types are declared beside a file of another name
import nodeEndpoint from 'comlink/dist/esm/node-adapter.mjs'
import core from '../../build/core-bytes.js'
import { fetchConnections } from './fetch'
import { files } from './node-files'
import type { Platform, Thread, Tls } from './platform'
import { missing, undiciConnections } from './undici'

/** Message that asks a thread to exit between two calls. */
const QUIT = 'approxifer: quit'
const QUIT_TIMEOUT_MS = 5000

/** In variables, so that bundlers do not resolve these optional packages and fail. */
const NATIVE: string = 'onnxruntime-node'
const NATS: string = '@nats-io/transport-node'
const NATS_WS: string = '@nats-io/nats-core'
const TOKENIZERS: string = '@huggingface/tokenizers'

/** Compiled once and shared by all predictors, with the engine's optimised code. */
let module: Promise<WebAssembly.Module> | undefined

export const platform: Platform = {
  cores: availableParallelism(),

  coreModule: () => {
    module ??= WebAssembly.compile(Buffer.from(core, 'base64')).catch((error) => {
      module = undefined
      throw error
    })
    return module
  },

  threads: true,

  spawn(create, onDeath, patient = false): Thread {
    // Without the process's own flags: with --input-type a worker does not start.
    const worker = (create?.() ?? new Worker(new URL('./worker.js', import.meta.url), { execArgv: [] })) as Worker
    let dead = false
    const die = (why: string) => {
      if (!dead) onDeath(why)
      dead = true
    }
    worker.on('error', (error) => die(`threw: ${error?.message ?? error}`))
    worker.on('exit', (code) => die(`exited with code ${code}`))
    worker.on('messageerror', (error) => die(`sent an unreadable message: ${error.message}`))
    return {
      endpoint: nodeEndpoint(worker),
      hold: (on) => (on ? worker.ref() : worker.unref()),
      terminate: async () => {
        dead = true
        await (patient ? quit(worker) : worker.terminate())
      },
    }
  },

  parent() {
    if (!parentPort) throw new Error('worker.js runs inside a worker only')
    parentPort.on('message', (message) => message === QUIT && process.exit())
    return nodeEndpoint(parentPort)
  },

  async read(source) {
    const url = source instanceof URL ? source : /^(https?|file|data):/.test(source) ? new URL(source) : undefined
    if (!url || url.protocol === 'file:') return readFile(url ?? source)
    const response = await fetch(url).catch((error) => {
      throw error.cause instanceof Error && error.cause.message ? error.cause : error // fetch's own message is only 'fetch failed'
    })
    if (!response.ok) throw new Error(`${url} answered ${response.status}`)
    return new Uint8Array(await response.arrayBuffer())
  },

  files,

  memory: (bytes) => new SharedArrayBuffer(bytes),

  runtimes: ['onnxruntime-web', 'onnxruntime-node'],

  importOrt: (runtime) => (runtime === NATIVE ? import(NATIVE) : import('onnxruntime-web')).catch(missing),

  async connect(url, count, tls) {
    const { bun, deno } = process.versions // their fetch keeps connections open, as undici does in Node
    if (bun) return fetchConnections(url, fetchInBun(tls)) // it replaces undici by a stub without `dispatch`
    if (deno && !tls) return fetchConnections(url, fetch)
    return undiciConnections(url, count, tls)
  },

  async resolve(name, servers) {
    if (servers) {
      const resolver = new Resolver({ timeout: 2000, tries: 2 })
      resolver.setServers(servers)
      return resolver.resolve4(name).catch((error) => {
        if (error.code !== 'ENODATA') throw error
        return resolver.resolve6(name)
      })
    }
    // The system's resolver, with its search domains, which Kubernetes' short names need, and its hosts file.
    const all = await lookup(name, { all: true })
    const four = all.filter(({ family }) => family === 4)
    return (four.length ? four : all).map(({ address }) => address)
  },

  watch(path, changed) {
    // Watches the folder: a watch on a file ends when the file is replaced, and Kubernetes replaces a link beside it.
    try {
      const watcher = watch(dirname(path), { persistent: false }, changed)
      watcher.on('error', () => watcher.close())
      return () => watcher.close()
    } catch {
      return () => {} // the caller polls as well
    }
  },

  async importNats(ws) {
    const library = await installed(ws ? NATS_WS : NATS)
    return ws ? library.wsconnect : library.connect
  },

  importTokenizer: async () => (await installed(TOKENIZERS)).Tokenizer,

  identity: () => `${hostname()}-${process.pid}`,
}

/** @throws Error with the command that installs it */
async function installed(name: string) {
  try {
    return await import(name).catch(missing)
  } catch (error) {
    const todo = `${name} cannot be imported; install it beside approxifer (npm install ${name})`
    throw new Error(`${todo}: ${(error as Error).message}`, { cause: error })
  }
}

function quit(worker: Worker): Promise<unknown> {
  return new Promise((resolve) => {
    worker.once('exit', resolve)
    setTimeout(() => resolve(worker.unref()), QUIT_TIMEOUT_MS).unref()
    worker.postMessage(QUIT)
  })
}

/** Bun's fetch, which has its own option for TLS. */
function fetchInBun({ servername: serverName, ...tls }: Tls = {}): typeof fetch {
  return (url, init) => fetch(url, { ...init, tls: { ...tls, serverName } } as RequestInit)
}
