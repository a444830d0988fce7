/** Bodies and signals as `approxifer serve` hands them to the gateway, over real sockets. */

import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { createGateway } from 'approxifer/gateway'
import { afterEach, expect, it } from 'vitest'
import { type Listening, listen } from '../../src/cli/serve/listen'
import type { RequestEvent } from '../../src/gateway/event'
import { HandWorker } from '../shared/hand-predictor'

const limits = { headerMs: 5000, requestMs: 5000, maxConnections: 100 }
let house: { listening: Listening; worker: HandWorker; events: RequestEvent[]; close(): Promise<void> } | undefined

afterEach(async () => {
  await house?.close()
  house = undefined
})

/** A server of one model, on a worker that the test settles by hand. */
async function open(): Promise<NonNullable<typeof house>> {
  const worker = new HandWorker('a')
  const events: RequestEvent[] = []
  const observe = (event: RequestEvent) => events.push(event)
  const gateway = createGateway({ models: { m: { workers: [worker], hedge: false } }, observe })
  await gateway.ready()
  const onError = (error: unknown) => {
    throw error
  }
  const listening = await listen((request) => gateway(request), { host: '127.0.0.1', port: 0, certificate: undefined, onError, ...limits }) // biome-ignore format: one line
  const close = async () => {
    listening.stop()
    await listening.end(0)
    await gateway.close()
  }
  house = { listening, worker, events, close }
  return house
}

function socketTo({ listening }: NonNullable<typeof house>): Socket {
  return connect(Number(new URL(listening.url).port), '127.0.0.1').setNoDelay(true)
}

/** @param pad  blanks in the JSON, which move the numbers behind it */
function binary(values: readonly number[], pad: number): { head: string; body: Buffer } {
  const input = { name: 'x', shape: [1, 2], datatype: 'FP32', parameters: { binary_data_size: 8 } }
  const json = JSON.stringify({ inputs: [input] }) + ' '.repeat(pad)
  const body = Buffer.concat([Buffer.from(json), Buffer.from(Float32Array.from(values).buffer)])
  const lengths = `content-length: ${body.length}\r\ninference-header-content-length: ${json.length}`
  return { head: `POST /v2/models/m/infer HTTP/1.1\r\nhost: a\r\n${lengths}\r\n\r\n`, body }
}

/** The values in the next answer on a connection. */
async function answerOn(socket: Socket): Promise<number[]> {
  let text = ''
  while (!text.endsWith('}')) text += (await once(socket, 'data'))[0]
  return JSON.parse(text.slice(text.indexOf('{'))).outputs[0].data
}

const until = async (met: () => unknown) => {
  while (!met()) await new Promise((resolve) => setImmediate(resolve))
}

it.each([0, 1, 2, 3])('numbers behind %i more bytes of JSON are right, in one piece and in two', async (pad) => {
  const all = await open()
  const socket = socketTo(all)
  for (const cut of [0, 10, -5]) {
    const { head, body } = binary([cut, 1.5], pad)
    socket.write(head)
    if (cut) {
      socket.write(body.subarray(0, cut))
      await new Promise((resolve) => setTimeout(resolve, 20)) // another piece, if it makes one at all
    }
    socket.write(cut ? body.subarray(cut) : body)
    await until(() => all.worker.calls.length)
    expect([...all.worker.calls[0].row]).toEqual([cut, 1.5])
    all.worker.calls[0].answer()
    expect(await answerOn(socket)).toEqual([2 * cut, 3])
  }
  socket.destroy()
})

it('a client that leaves in the middle of its body is one that is gone, and holds up nobody', async () => {
  const all = await open()
  const { head, body } = binary([1, 2], 0)
  const socket = socketTo(all)
  socket.write(head)
  socket.write(body.subarray(0, 20))
  await new Promise((resolve) => setTimeout(resolve, 50))
  socket.destroy()
  await until(() => all.events.length)
  expect([all.events[0].status, all.worker.calls.length]).toEqual([499, 0])
})

it('who leaves before the answer aborts his request, not those of others nor the one before it', async () => {
  const all = await open()
  const [leaves, stays] = [socketTo(all), socketTo(all)]
  const { head, body } = binary([1, 2], 0)
  leaves.write(Buffer.concat([Buffer.from(head), body]))
  await until(() => all.worker.calls.length)
  all.worker.calls[0].answer()
  expect(await answerOn(leaves)).toEqual([2, 4])
  leaves.write(Buffer.concat([Buffer.from(head), body]))
  await until(() => all.worker.calls.length)
  const [left] = all.worker.calls
  stays.write(Buffer.concat([Buffer.from(head), body]))
  leaves.destroy()
  await until(() => all.events.length === 2)
  left.answer()
  await until(() => all.worker.calls.length)
  all.worker.calls[0].answer()
  expect(await answerOn(stays)).toEqual([2, 4])
  expect(all.events.map(({ status }) => status)).toEqual([200, 499, 200])
  stays.destroy()
})

it('a promise of many bytes reserves no memory', async () => {
  const all = await open()
  const before = process.memoryUsage().arrayBuffers
  const sockets = Array.from({ length: 20 }, () => socketTo(all))
  for (const socket of sockets)
    socket.write(`POST /v2/models/m/infer HTTP/1.1\r\nhost: a\r\ncontent-length: ${2 ** 25}\r\n\r\n{`)
  await until(() => all.listening.connections === 20)
  await new Promise((resolve) => setTimeout(resolve, 100))
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(2 ** 23)
  for (const socket of sockets) socket.destroy()
  await until(() => all.events.length === 20)
})
