/**
 * node --import tsx bench/concurrency/slow-servers.ts COUNT SLOTS MS SLOW [NATS FLEET]: servers that take so many milliseconds over a query,
 * ten times as long over a share of them, answer as many at once as they have slots and let the others wait. Over HTTP they speak the Open Inference Protocol. Over NATS each is a member of the
 * fleet, and answers requests to `direct.0`, `direct.1` and so on as well. Prints the URLs when all can be reached.
 */

import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { connect, type Msg, type NatsConnection } from '@nats-io/transport-node'
import type { ModelWorker } from 'approxifer'
import { serveNats } from 'approxifer/nats'

export const WIDTH = 16

const [count, slots, ms, slow] = process.argv.slice(2, 6).map(Number)
const [nats, fleet] = process.argv.slice(6)
const spec = (name: string) => ({ name, shape: [1, WIDTH] })
const signature = { inputs: [spec('x')], outputs: [spec('y')] }

/** As many at once as there are slots. */
function queue(): (x: Float32Array) => Promise<Float32Array> {
  const waiting: (() => void)[] = []
  let busy = 0
  return async (x) => {
    if (busy++ >= slots) await new Promise<void>((resolve) => waiting.push(resolve))
    await new Promise((resolve) => setTimeout(resolve, Math.random() < slow ? 10 * ms : ms))
    busy--
    waiting.shift()?.()
    return x.map((value) => 2 * value)
  }
}

const tensor = (name: string) => ({ name, datatype: 'FP32', shape: [1, WIDTH] })
const told: Record<string, object> = {
  '/v2': { name: 'slow', version: '1', extensions: [] },
  '/v2/health/live': { live: true },
  '/v2/health/ready': { ready: true },
  '/v2/models/m/ready': { ready: true },
  '/v2/models/m': { name: 'm', versions: ['1'], platform: 'slow', inputs: [tensor('x')], outputs: [tensor('y')] },
}

async function read(request: IncomingMessage): Promise<string> {
  const parts: Buffer[] = []
  for await (const part of request) parts.push(part)
  return Buffer.concat(parts).toString()
}

function overHttp(): Promise<string> {
  const answer = queue()
  const infer = async (body: string) => {
    const y = await answer(Float32Array.from(JSON.parse(body).inputs[0].data.flat()))
    return { model_name: 'm', model_version: '1', outputs: [{ ...tensor('y'), data: [...y] }] }
  }
  const server = createServer(async (request, response) => {
    const json = told[request.url ?? ''] ?? (await infer(await read(request)))
    response.setHeader('content-type', 'application/json').end(JSON.stringify(json))
  })
  server.keepAliveTimeout = 60_000
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => resolve(`http://127.0.0.1:${(server.address() as AddressInfo).port}`))
  })
}

async function overNats(at: number, connection: NatsConnection): Promise<void> {
  const answer = queue()
  let open = 0
  const worker: ModelWorker = {
    name: `slow ${at}`,
    signature,
    slots,
    onFree: undefined,
    get free() {
      return open < slots
    },
    async infer([{ data, shape }]) {
      open++
      try {
        return [{ data: await answer(data as Float32Array), shape }]
      } finally {
        open--
      }
    },
    async close() {},
  }
  await serveNats(nats, { fleet, workers: [worker], name: `slow-${at}` })
  const direct = queue()
  const respond = async (message: Msg) => {
    const y = await direct(Float32Array.from(message.json<number[]>()))
    message.respond(JSON.stringify([...y]))
  }
  connection.subscribe(`direct.${at}`, { callback: (_, message) => void respond(message) })
}

const all = Array.from({ length: count }, (_, at) => at)
if (nats) {
  const connection = await connect({ servers: nats })
  await Promise.all(all.map((at) => overNats(at, connection)))
  await connection.flush()
}
console.log(JSON.stringify({ urls: await Promise.all(all.map(() => (nats ? nats : overHttp()))) }))
