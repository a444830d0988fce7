/** What the portable tests need of the runtime that they run in: Node, Deno, Bun or a browser's page. */

import { wsconnect } from '@nats-io/nats-core'
import type { Gateway } from 'approxifer/gateway'
import type { NatsConnection } from 'approxifer/nats'
import { inject } from 'vitest'

interface NetServer {
  shutdown?(): Promise<void>
  stop?(now: boolean): Promise<void>
  addr?: { port: number }
  port?: number
}
type Answer = (request: Request) => Promise<Response>
const { Deno, Bun } = globalThis as unknown as {
  Deno?: { serve(options: object, answer: Answer): NetServer }
  Bun?: { serve(options: { port: number; hostname: string; fetch: Answer }): NetServer }
}

export const isPage = typeof document !== 'undefined'

/** In variables, so that the bundler of pages leaves these imports alone. */
const [FS, THREADS, NATS, HTTP_SERVER] = [
  'node:fs/promises',
  'node:worker_threads',
  '@nats-io/transport-node',
  '../shared/http-server',
]

export const LENET = new URL('../../models/mnist-lenet.onnx', import.meta.url)

/** A file of the folder `models`. */
export async function modelFile(name: string): Promise<ArrayBuffer> {
  if (isPage) return (await fetch(`/models/${name}`)).arrayBuffer()
  const { readFile } = await import(/* @vite-ignore */ FS)
  return Uint8Array.from(await readFile(`models/${name}`)).buffer
}

/** Makes threads, or Web Workers, with the behaviour of test/fixtures. */
export async function fixtureThreads(): Promise<() => unknown> {
  if (isPage) return () => new Worker(new URL('../fixtures/web-worker.js', import.meta.url), { type: 'module' })
  const { Worker: Thread } = await import(/* @vite-ignore */ THREADS)
  return () => new Thread(new URL('../fixtures/thread.js', import.meta.url))
}

/** A connection to the NATS server, over WebSocket from a page. */
export async function natsConnection(): Promise<NatsConnection> {
  const { tcp, ws } = inject('servers').nats as { tcp: string; ws: string }
  if (isPage) return wsconnect({ servers: ws })
  const { connect } = await import(/* @vite-ignore */ NATS)
  return connect({ servers: tcp })
}

export type Ask = (path: string, init?: RequestInit) => Promise<Response>

/** A gateway behind the runtime's own HTTP server. A page has none: there a request goes to the function itself. */
export async function behindServer<Model>(gateway: Gateway<Model>): Promise<{ ask: Ask; stop(): Promise<unknown> }> {
  if (isPage) return { ask: (path, init) => gateway(new Request(`http://here${path}`, init)), stop: async () => {} }
  if (Deno) {
    const server = Deno.serve({ port: 0, hostname: '127.0.0.1', onListen() {} }, (request) => gateway(request))
    return { ask: askerOf(server.addr?.port), stop: async () => server.shutdown?.() }
  }
  if (Bun) {
    const server = Bun.serve({ port: 0, hostname: '127.0.0.1', fetch: (request) => gateway(request) })
    return { ask: askerOf(server.port), stop: async () => server.stop?.(true) }
  }
  const { serve } = await import(/* @vite-ignore */ HTTP_SERVER)
  const { port, close } = await serve(gateway)
  return { ask: askerOf(port), stop: close }
}

const askerOf =
  (port: number | undefined): Ask =>
  (path, init) =>
    fetch(`http://127.0.0.1:${port}${path}`, init)
