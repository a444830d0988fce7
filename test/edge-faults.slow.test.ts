/** A Durable Object in front of real servers of which some fail: what becomes of its requests, with six connections at a time. */

import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { createGateway } from 'approxifer/gateway'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import workerd from 'workerd'
import type { TensorList } from '../src/base/tensor'
import { readMessage, readReply } from '../src/oip/read'
import { HEADER_LENGTH, PROBE } from '../src/oip/write'
import { OnnxModel } from '../src/workers/onnx/model'
import { ranBy } from './shared/counted-elsewhere'
import { serve } from './shared/http-server'
import { PATIENCE_MS } from './shared/waiting'
import { type Edge, inWorkerd } from './shared/workerd'

/** Of half of the requests; the others have the gateway's. */
const DEADLINE_MS = 4000
const DEFAULT_MS = 10_000
/** What a busy machine may add to a deadline. */
const OVER_MS = 2000
const COUNT = 100
const ROUND_TRIP_MS = 20
/** Some time after the last query an object has no timer left. */
const QUIET_MS = 10_000
const IDLE_MS = 20_000

const model = await OnnxModel.load(readFileSync('models/mnist-lenet.onnx'))
const { signature } = model
const [input] = signature.inputs
const pixels = readFileSync('models/mnist-digits.npy').subarray(-COUNT * 784)
const queries = Array.from({ length: COUNT }, (_, i) => ({
  data: Float32Array.from(pixels.subarray(784 * i, 784 * (i + 1)), (value) => value / 255),
  shape: input.shape,
}))
/** The model's answers, each computed once: the servers share two cores with everything else. */
const answers = new Map<string, Float32Array>()
const keyOf = (data: Float32Array) => Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString('latin1')
for (const { data } of queries) answers.set(keyOf(data), await model.infer(data))
const digitOf = (logits: Float32Array) => logits.indexOf(Math.max(...logits))
const digits = [...answers.values()].map(digitOf)
const own = async (data: Float32Array) => answers.get(keyOf(data)) ?? (await model.infer(data)) // also the probe query's

/** Exchanges the two largest logits. */
async function lie(data: Float32Array): Promise<Float32Array> {
  const logits = (await own(data)).slice()
  const [first, second] = [...logits.keys()].sort((a, b) => logits[b] - logits[a])
  ;[logits[first], logits[second]] = [logits[second], logits[first]]
  return logits
}
async function gatewayOf(answer: (data: Float32Array) => Promise<Float32Array>) {
  const infer = async ([{ data }]: TensorList) => {
    const logits = await answer(data as Float32Array)
    return [{ data: logits, shape: signature.outputs[0].shape }]
  }
  const worker = { name: 'w', signature, free: true, onFree: undefined, slots: 16, infer, close: async () => {} }
  const gateway = createGateway({ models: { mnist: { workers: [worker] } } })
  await gateway.ready()
  return gateway
}

/** A server of the model. */
class Digits {
  calls = 0
  checks = 0
  isWell = true
  url = ''
  close = async () => {}

  /** @param fault  what it does while it is not well: it hangs, or lies to all but the probe query */
  static async start(fault?: 'hangs' | 'lies'): Promise<Digits> {
    const [gateway, liar] = await Promise.all([own, lie].map(gatewayOf))
    const digits = new Digits()
    const server = await serve(async (request) => {
      digits[request.url.endsWith('/infer') ? 'calls' : 'checks']++
      await sleep(ROUND_TRIP_MS)
      if (digits.isWell || (fault === 'lies' && request.headers.has(PROBE))) return gateway(request)
      if (fault === 'lies') return liar(request)
      await once(request.signal, 'abort')
      return new Response()
    })
    digits.url = server.url
    digits.close = async () => {
      await server.close()
      await gateway.close()
      await liar.close()
    }
    return digits
  }
}

interface Asked {
  status: number
  /** undefined where it failed. */
  digit: number | undefined
  /** Beyond its deadline. */
  overMs: number
  ms: number
  text: string
}

/** Asks for a digit: every second time in JSON, and by a deadline of its own in two of four times. */
async function ask(url: URL, i: number, signal?: AbortSignal): Promise<Asked> {
  const { data, shape } = queries[i % COUNT]
  const dueMs = i % 4 < 2 ? DEADLINE_MS : DEFAULT_MS
  const binary = i % 2 === 0
  const raw = new Uint8Array(data.buffer)
  const tensor = { name: input.name, shape: [1, ...shape], datatype: 'FP32' }
  const json = JSON.stringify({
    inputs: [binary ? { ...tensor, parameters: { binary_data_size: raw.length } } : { ...tensor, data: [...data] }],
    parameters: { ...(dueMs === DEADLINE_MS && { deadline_ms: dueMs }), binary_data_output: binary },
  })
  const body = binary ? new Blob([json, raw]) : json
  const headers: Record<string, string> = binary ? { [HEADER_LENGTH]: String(json.length) } : {}
  const since = performance.now()
  const response = await fetch(new URL(`/v2/models/mnist/infer${url.search}`, url), {
    ...{ method: 'POST', headers, body },
    ...(signal && { signal }),
  })
  const bytes = new Uint8Array(await response.arrayBuffer())
  const ms = performance.now() - since
  const { status } = response
  const is = { status, ms, overMs: ms - dueMs }
  if (status !== 200) return { ...is, digit: undefined, text: new TextDecoder().decode(bytes) }
  const message = await readMessage(bytes, response.headers.get(HEADER_LENGTH))
  const [[answer]] = readReply(message, signature, 1).answers as [TensorList]
  return { ...is, digit: digitOf(answer.data as Float32Array), text: '' }
}

/** @param before  called before a request is sent, with its number */
async function askAll(url: URL, count: number, atOnce: number, before = (_: number) => {}): Promise<Asked[]> {
  const asked: Asked[] = []
  let next = 0
  const client = async () => {
    while (next < count) {
      const i = next++
      before(i)
      asked[i] = await ask(url, i)
    }
  }
  await Promise.all(Array.from({ length: atOnce }, client))
  return asked
}

/** All are right, or errors by their deadlines; a machine that is busy with other work may cause a few. */
function expectRight(asked: readonly Asked[]): void {
  const failed = asked.filter(({ status }) => status !== 200)
  expect(asked.filter(({ status, digit }, i) => status === 200 && digit !== digits[i % COUNT])).toEqual([])
  expect(failed.filter(({ status }) => ![429, 503, 504].includes(status))).toEqual([])
  expect(asked.filter(({ overMs }) => overMs > OVER_MS)).toEqual([])
  expect(failed.length, JSON.stringify(failed.slice(0, 5))).toBeLessThan(0.05 * asked.length)
}

interface Report {
  connections: { open: number; most: number; queued: number; calls: number }
  warnings: string[]
  workers: { worker: string; ejections: number; failed: number }[]
}

describe('a Durable Object on seven servers, with six connections at a time', ranBy('workerd', workerd), () => {
  const servers: Digits[] = []
  let url = ''
  let one: URL
  let stop = () => {}
  let stopped: Promise<void> | undefined
  /** An object with these options. */
  const objectWith = (options: object) => new URL(`/?${new URLSearchParams({ options: JSON.stringify(options) })}`, url)
  const report = async (object: URL): Promise<Report> =>
    (await fetch(new URL(`/report${object.search}`, object))).json()
  beforeAll(async () => {
    for (const fault of [undefined, undefined, undefined, undefined, 'hangs', undefined, 'lies'] as const)
      servers.push(await Digits.start(fault))
    const urls = servers.map((server) => server.url)
    await new Promise<void>((ready) => {
      const use = (edge: Edge) => {
        url = edge.url
        one = objectWith({ servers: [0], scheme: { queries: 4, byzantine: 1 } })
        ready()
        return new Promise<void>((resolve) => {
          stop = resolve
        })
      }
      stopped = inWorkerd('edge-faults.js', use, urls)
    })
  })
  afterAll(async () => {
    stop()
    await stopped
    await Promise.all(servers.map((server) => server.close()))
  })

  it('1,000 requests, 64 at a time, while one server hangs, one is gone and one lies: right, or an error by the deadline', async () => {
    const [, , , , hung, gone, liar] = servers
    liar.isWell = false
    const asked = await askAll(one, 1000, 64, (i) => {
      if (i === 200) hung.isWell = false
      if (i === 300) void gone.close()
    })
    const { connections, warnings, workers } = await report(one)
    expectRight(asked)
    // None waits in the runtime, where its time would count as its server's.
    expect(connections).toMatchObject({ most: 6, queued: 0 })
    expect(warnings.filter((text) => text.includes('connections'))).toEqual([
      '7 HTTP servers, but this runtime allows 6 connections at a time: queries wait for a free one',
    ])
    expect(workers.filter(({ ejections }) => ejections).map(({ worker }) => worker)).toEqual([new URL(liar.url).host])
  })

  it('64 callers that leave give their connections back', async () => {
    const callers = Array.from({ length: 64 }, (_, i) => ask(one, i, AbortSignal.timeout(10 + i)).catch(() => {}))
    await Promise.all(callers)
    const asked = await askAll(one, 64, 64)
    expectRight(asked)
    await expect.poll(async () => (await report(one)).connections.open, { timeout: PATIENCE_MS }).toBeLessThan(4)
  })

  it('a server that hung gets calls again once it answers', async () => {
    const [, , , , hung] = servers
    hung.isWell = true
    const { calls } = hung
    await expect
      .poll(async () => (await askAll(one, 8, 8)) && hung.calls, { timeout: PATIENCE_MS })
      .toBeGreaterThan(calls + 1)
  })

  it('one of two servers hangs with all six connections: its calls give them up, and requests are answered', async () => {
    const [, , , well, hung] = servers
    const object = objectWith({ servers: [3, 5], concurrency: 6 })
    const before = [well.calls, hung.calls]
    const asked = await askAll(object, 200, 32, (i) => {
      if (i === 100) hung.isWell = false
    })
    expectRight(asked)
    expect([well.calls, hung.calls].every((calls, i) => calls > before[i])).toBe(true)
    expect((await report(object)).warnings[0]).toMatch(/^2 HTTP servers with 6 calls each, but this runtime allows 6/)
  })

  it('where nobody asks there is no call and no timer; the next query is answered', async () => {
    expectRight(await askAll(one, 64, 64)) // one server hangs, one is gone, one lies
    await sleep(QUIET_MS)
    const callsOf = () => servers.map(({ calls, checks }) => calls + checks)
    const before = callsOf()
    await sleep(IDLE_MS)
    expect(callsOf()).toEqual(before)
    expect(await (await fetch(new URL(`/timers${one.search}`, one))).text()).toBe('0')
    expectRight([await ask(one, 0)])
  })
})
