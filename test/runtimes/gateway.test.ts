/** A gateway on local workers, behind the runtime's own HTTP server; in a page its requests go to the function itself. */

import { createGateway, type RequestEvent } from 'approxifer/gateway'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Digits, digits } from '../shared/digits'
import { doubling } from '../shared/vectors'
import { until } from '../shared/waiting'
import { type Ask, behindServer, LENET, modelFile } from './here'

const LENGTH = 'inference-header-content-length'
const startMs = 240_000

const hanging = { name: 'hanging', infer: () => new Promise<never>(() => {}) }
const twice = { name: 'twice', infer: doubling }
const workerOf = (own: typeof twice | typeof hanging) => ({
  ...{ free: true, onFree: undefined, close: async () => {} },
  signature: { inputs: [{ name: 'x', shape: [2] }], outputs: [{ name: 'y', shape: [2] }] },
  ...own,
})

let ask: Ask
let end: () => Promise<unknown>
let data: Digits
const events: RequestEvent[] = []
const saved = new Map<string, Uint8Array>()

beforeAll(async () => {
  const gateway = createGateway({
    models: {
      digits: { model: LENET, workers: 2, onnx: { startMs } },
      twice: { workers: [workerOf(twice)], policy: 'auto', right: 'label', verify: { audit: 0 } },
      hanging: { workers: [workerOf(hanging)] },
      small: { workers: [workerOf(hanging)], limits: { queries: 1 } },
    },
    store: { read: async (name) => saved.get(name), write: async (name, bytes) => void saved.set(name, bytes) },
    observe: (event) => events.push(event),
    maxBytes: 1_000_000,
    onWarning() {},
  })
  await gateway.ready()
  const server = await behindServer(gateway)
  ask = server.ask
  end = async () => {
    await gateway.close()
    await server.stop()
  }
  data = digits(await modelFile('mnist-digits.npy'), await modelFile('mnist-labels.npy'))
}, startMs)
afterAll(() => end())

const jsonOf = async (path: string, init?: RequestInit) => {
  const response = await ask(path, init)
  return [response.status, await response.json()]
}
const post = (body: unknown, headers: Record<string, string> = {}): RequestInit => ({
  ...{ method: 'POST', headers },
  body: typeof body === 'string' || body instanceof ArrayBuffer ? body : JSON.stringify(body),
})
const input = (...values: number[]) => ({
  inputs: [{ name: 'x', datatype: 'FP32', shape: [values.length / 2, 2], data: values }],
})
const infer = (model: string, body: unknown, headers?: Record<string, string>) =>
  jsonOf(`/v2/models/${model}/infer`, post(body, headers))

const batch = () => Float32Array.from(data.images.slice(0, 4).flatMap((image) => [...image]))
const shape = { name: 'input', datatype: 'FP32', shape: [4, 1, 28, 28] }
const labelsOf = (logits: number[]) =>
  [0, 1, 2, 3].map((i) => logits.slice(10 * i, 10 * i + 10)).map((own) => own.indexOf(Math.max(...own)))

/** A request with raw bytes behind its JSON. */
function binaryRequest() {
  const raw = batch()
  const inputs = [{ ...shape, parameters: { binary_data_size: raw.byteLength } }]
  const head = new TextEncoder().encode(JSON.stringify({ parameters: { binary_data_output: true }, inputs }))
  return { body: new Blob([head, raw]), headers: { [LENGTH]: String(head.length) } }
}

const packed = (body: Blob) => new Response(body.stream().pipeThrough(new CompressionStream('gzip'))).arrayBuffer()

async function labelsInBytes(response: Response) {
  const bytes = await response.arrayBuffer()
  return labelsOf([...new Float32Array(bytes.slice(Number(response.headers.get(LENGTH))))])
}

describe('health and metadata', () => {
  it('the server is live and ready', async () => {
    expect((await ask('/v2/health/live')).status).toBe(200)
    expect(await jsonOf('/v2/health/ready')).toEqual([200, { ready: true }])
  })

  it('a model is ready, and says what it takes and gives', async () => {
    expect(await jsonOf('/v2/models/digits/ready')).toEqual([200, { name: 'digits', ready: true }])
    const [status, { inputs, outputs }] = await jsonOf('/v2/models/digits')
    expect([status, inputs[0].shape, outputs[0].name]).toEqual([200, [-1, 1, 28, 28], 'logits'])
  })

  it('the server has a name and its extensions', async () => {
    expect(await jsonOf('/v2')).toEqual([200, expect.objectContaining({ name: 'approxifer' })])
  })

  it('HEAD is answered without a body', async () => {
    const response = await ask('/v2/health/live', { method: 'HEAD' })
    expect([response.status, await response.text()]).toEqual([200, ''])
  })
})

describe('inference', () => {
  it('JSON: real digits, with their provenance', async () => {
    const [status, reply] = await infer('digits', { id: 'a', inputs: [{ ...shape, data: [...batch()] }] })
    expect([status, reply.id, reply.parameters.status]).toEqual([200, 'a', Array(4).fill('exact')])
    expect(labelsOf(reply.outputs[0].data)).toEqual(data.labels.slice(0, 4))
  })

  it('raw bytes, both ways', async () => {
    const { body, headers } = binaryRequest()
    const response = await ask('/v2/models/digits/infer', post(await body.arrayBuffer(), headers))
    expect([response.status, response.headers.get('content-type')]).toEqual([200, 'application/octet-stream'])
    expect(await labelsInBytes(response)).toEqual(data.labels.slice(0, 4))
  })

  it('raw bytes in gzip', async () => {
    const { body, headers } = binaryRequest()
    const response = await ask(
      '/v2/models/digits/infer',
      post(await packed(body), { ...headers, 'content-encoding': 'gzip' }),
    )
    expect(await labelsInBytes(response)).toEqual(data.labels.slice(0, 4))
  })

  it('a body that is no gzip is a 400', async () => {
    const [status, { error }] = await infer('twice', '{}', { 'content-encoding': 'gzip' })
    expect([status, error]).toEqual([400, expect.stringContaining('gzip')])
  })

  it('a batch is as many queries', async () => {
    const [, { outputs, parameters }] = await infer('twice', input(1, 2, 3, 4, 5, 6))
    expect([outputs[0].shape, outputs[0].data, parameters.status.length]).toEqual([[3, 2], [2, 4, 6, 8, 10, 12], 3])
  })

  it('many requests at once', async () => {
    const replies = await Promise.all(Array.from({ length: 100 }, (_, i) => infer('twice', input(i, 1))))
    expect(replies.map(([status, { outputs }]) => [status, outputs[0].data])).toEqual(
      Array.from({ length: 100 }, (_, i) => [200, [2 * i, 2]]),
    )
  })

  it('a deadline that passes is a 504', async () => {
    const [status, { error }] = await infer('hanging', { ...input(1, 2), parameters: { deadline_ms: 50 } })
    expect([status, error]).toEqual([504, expect.stringMatching(/no answer within \d+ ms/)])
  })

  it('more queries than limits.queries are a 429 with Retry-After', async () => {
    const abort = new AbortController()
    const open = ask('/v2/models/small/infer', { ...post(input(1, 2)), signal: abort.signal }).catch(() => {})
    const refused = await until(async () => {
      const parameters = { deadline_ms: 20 }
      const response = await ask('/v2/models/small/infer', post({ ...input(3, 4), parameters }))
      expect(response.status).toBe(429) // the first request may not be there yet
      return response
    })
    expect(refused.headers.get('retry-after')).toMatch(/^\d+$/)
    abort.abort()
    await open
  })

  it('a client that is gone ends its query', async () => {
    const abort = new AbortController()
    const open = ask('/v2/models/hanging/infer', { ...post({ ...input(7, 8), id: 'gone' }), signal: abort.signal })
    const failed = open.then(
      ({ status }) => status,
      () => 499,
    )
    setTimeout(() => abort.abort(), 100)
    expect(await failed).toBe(499)
    await expect.poll(() => events.find(({ id }) => id === 'gone')?.status).toBe(499)
  })
})

describe('refusals', () => {
  it.each([
    ['an unknown path', 404, () => ask('/v3')],
    ['an unknown model', 404, () => ask('/v2/models/none/infer', post(input(1, 2)))],
    ['another method', 405, () => ask('/v2/models/twice/infer')],
    [
      'another content type',
      415,
      () => ask('/v2/models/twice/infer', post(input(1, 2), { 'content-type': 'text/css' })),
    ],
    ['no JSON', 400, () => ask('/v2/models/twice/infer', post('{'))],
    [
      'another input',
      400,
      () => ask('/v2/models/twice/infer', post({ inputs: [{ ...input(1, 2).inputs[0], name: 'z' }] })),
    ],
    [
      'another shape',
      400,
      () => ask('/v2/models/twice/infer', post({ inputs: [{ ...input(1, 2).inputs[0], shape: [1, 3] }] })),
    ],
    [
      'a misspelt parameter',
      400,
      () => ask('/v2/models/twice/infer', post({ ...input(1, 2), parameters: { deadline: 1 } })),
    ],
    ['a body above maxBytes', 413, () => ask('/v2/models/twice/infer', post(' '.repeat(1_000_001)))],
  ] as const)('%s is a %i with a sentence', async (_, status, request) => {
    const response = await request()
    expect([response.status, (await response.json()).error]).toEqual([status, expect.stringContaining('expected')])
  })
})

it('observe is called for each request, with its trace', async () => {
  events.length = 0
  const traceparent = `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`
  await infer('twice', { ...input(1, 2), id: 'seen' }, { traceparent })
  expect(events).toMatchObject([{ route: 'infer', model: 'twice', status: 200, queries: 1, id: 'seen' }])
  expect(events[0].traceparent).toContain('a'.repeat(32))
})
