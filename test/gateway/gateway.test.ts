/** The gateway without a server in front, on workers whose calls the test settles by hand. */

import { gzipSync } from 'node:zlib'
import { type ApproxiferError, createPredictor } from 'approxifer'
import { createGateway, type GatewayModel, type RequestEvent } from 'approxifer/gateway'
import { describe, expect, it } from 'vitest'
import { VirtualClock } from '../../src/testing/virtual-clock'
import { HandWorker, turn } from '../shared/house'

type Options = Partial<Parameters<typeof createGateway>[0]>

/** Workers that answer twice the query at once, unless told otherwise. */
function workersOf(count: number, answer: (worker: HandWorker) => void = (worker) => worker.calls[0].answer()) {
  return Array.from({ length: count }, (_, i) => {
    const worker = new HandWorker(`w${i}`)
    const { infer } = worker
    worker.infer = (row, options) => {
      const promise = infer.call(worker, row, options)
      queueMicrotask(() => worker.calls.length && answer(worker))
      return promise
    }
    return worker
  })
}
const hang = () => {}
const model = (workers = workersOf(2), more: object = {}): GatewayModel =>
  ({ workers, verify: { audit: 0 }, ...more }) as GatewayModel

async function started(options: Options = {}, models: Record<string, GatewayModel> = { m: model() }) {
  const events: RequestEvent[] = []
  const warnings: string[] = []
  const gateway = createGateway({
    models,
    observe: (event) => events.push(event),
    onWarning: (text) => warnings.push(text),
    ...options,
  })
  await gateway.ready()
  return { gateway, events, warnings }
}
type Started = Awaited<ReturnType<typeof started>>['gateway']

const inputOf = (rows: number, values = Array.from({ length: 2 * rows }, (_, i) => i)) => ({
  inputs: [{ name: 'x', shape: [rows, 2], datatype: 'FP32', data: values }],
})
const request = (path: string, init: RequestInit = {}) => new Request(`http://test${path}`, init)
const post = (body: unknown, headers: Record<string, string> = {}, path = '/v2/models/m/infer', signal?: AbortSignal) =>
  request(path, {
    method: 'POST',
    headers,
    body: typeof body === 'string' || body instanceof Uint8Array ? (body as BodyInit) : JSON.stringify(body),
    ...(signal && { signal }),
  })
async function told(gateway: Started, asked: Request) {
  const response = await gateway(asked)
  return { status: response.status, headers: response.headers, json: await response.json() }
}
/** Status and sentence. */
async function refused(gateway: Started, asked: Request): Promise<[number, string]> {
  const { status, json } = await told(gateway, asked)
  return [status, json.error]
}

describe('paths', () => {
  it('metadata and health, with bodies, and versions', async () => {
    const { gateway } = await started(
      { server: { version: '1.2' } },
      { m: model(), 'a b/ü': { ...model(), version: '3' } as GatewayModel },
    )
    const get = async (path: string) => (await told(gateway, request(path))).json
    expect(await get('/v2')).toEqual({ name: 'approxifer', version: '1.2', extensions: ['binary_tensor_data'] })
    expect(await get('/v2/')).toEqual(await get('/v2'))
    expect(await get('/v2/health/live')).toEqual({ live: true })
    expect(await get('/v2/health/ready')).toEqual({ ready: true })
    const metadata = {
      name: 'm',
      versions: ['1'],
      platform: 'onnx_onnxv1',
      inputs: [{ name: 'x', datatype: 'FP32', shape: [-1, 2] }],
      outputs: [{ name: 'y', datatype: 'FP32', shape: [-1, 2] }],
    }
    expect(await get('/v2/models/m')).toEqual(metadata)
    expect(await get('/v2/models/m/versions/1')).toEqual(metadata)
    const odd = encodeURIComponent('a b/ü')
    expect(await get(`/v2/models/${odd}/versions/3/ready`)).toEqual({ name: 'a b/ü', ready: true })
    expect((await get(`/v2/models/${odd}`)).versions).toEqual(['3'])
    const head = await gateway(request('/v2/health/live', { method: 'HEAD' }))
    expect([head.status, await head.text(), head.headers.get('content-length')]).toEqual([200, '', '13'])
    await gateway.close()
  })

  it('what is not there is 404, another method 405 with Allow, always with a sentence', async () => {
    const { gateway, events } = await started()
    for (const path of [
      '/',
      '/v1',
      '/v2/x',
      '/v2/models',
      '/v2/models/m/',
      '/v2/models//ready',
      '/v2/models/m/infer/',
      '/v2/models/m/versions/1/x',
    ]) {
      const [status, error] = await refused(gateway, request(path))
      expect([path, status]).toEqual([path, 404])
      expect(error).toMatch(/expected .*, got /)
    }
    for (const path of [
      '/v2/models/no',
      '/v2/models/no/ready',
      '/v2/models/__proto__',
      '/v2/models/constructor/ready',
    ]) {
      expect((await refused(gateway, request(path)))[1]).toMatch(/the model: expected 'm', got/)
    }
    expect(await refused(gateway, request('/v2/models/m/versions/2'))).toEqual([
      404,
      `the version of model 'm': expected '1', got "2"`,
    ])
    expect((await refused(gateway, request('/v2/models/%E0%A4%A/ready')))[0]).toBe(400)
    const wrong = await told(gateway, request('/v2/models/m/infer'))
    expect([wrong.status, wrong.headers.get('allow')]).toEqual([405, 'POST'])
    const alsoWrong = await told(gateway, request('/v2', { method: 'DELETE' }))
    expect([alsoWrong.status, alsoWrong.headers.get('allow')]).toEqual([405, 'GET, HEAD'])
    expect(new Set(events.map(({ status }) => status))).toEqual(new Set([400, 404, 405]))
    await gateway.close()
  })
})

describe('inference', () => {
  it('rows of a batch are queries, whose provenance the reply tells row by row', async () => {
    const { gateway, events } = await started()
    const { status, json } = await told(gateway, post({ id: 'a1', ...inputOf(3) }))
    expect(status).toBe(200)
    expect(json).toEqual({
      model_name: 'm',
      model_version: '1',
      id: 'a1',
      parameters: { status: ['exact', 'exact', 'exact'], confidence: [1, 1, 1], workers: [1, 1, 1] },
      outputs: [{ name: 'y', datatype: 'FP32', shape: [3, 2], data: [0, 2, 4, 6, 8, 10] }],
    })
    expect(events).toMatchObject([
      { route: 'infer', model: 'm', version: '1', status: 200, queries: 3, id: 'a1', statuses: { exact: 3 } },
    ])
    expect((await Promise.all(events[0].groups)).length).toBeGreaterThan(0)
    await gateway.close()
  })

  it('a batch larger than the house takes at a time, and fifty of them at once', async () => {
    const { gateway } = await started({}, { m: model(workersOf(2), { limits: { queries: 10 } }) })
    const batches = await Promise.all(Array.from({ length: 50 }, () => told(gateway, post(inputOf(100)))))
    for (const { status, json } of batches) {
      expect(status).toBe(200)
      expect(json.outputs[0].data).toEqual(Array.from({ length: 200 }, (_, i) => 2 * i))
    }
    await gateway.close()
  })

  it('binary where asked for; an empty Content-Type, curl’s and fetch’s are fine, others 415', async () => {
    const { gateway } = await started()
    const asked = { ...inputOf(1), parameters: { binary_data_output: true } }
    for (const type of [
      '',
      'application/json',
      'application/json; charset=utf-8',
      'application/octet-stream',
      'text/plain;charset=UTF-8',
      'application/x-www-form-urlencoded',
    ]) {
      const response = await gateway(post(asked, { 'content-type': type }))
      expect([type, response.status, response.headers.get('content-type')]).toEqual([
        type,
        200,
        'application/octet-stream',
      ])
      const bytes = new Uint8Array(await response.arrayBuffer())
      const length = Number(response.headers.get('inference-header-content-length'))
      expect([...new Float32Array(bytes.slice(length).buffer)]).toEqual([0, 2])
    }
    for (const type of ['multipart/form-data', 'application/xml', 'application/jsonx']) {
      expect((await refused(gateway, post(asked, { 'content-type': type })))[0]).toBe(415)
    }
    await gateway.close()
  })

  it('parameters choose deadline, policy, tenant, confidence; wrong and unknown ones are told by name', async () => {
    const { gateway } = await started({}, { m: model(workersOf(2), { limits: { tenants: 3 } }) })
    const ask = (parameters: object) => told(gateway, post({ ...inputOf(1), parameters }))
    for (const fine of [
      { deadline_ms: 500 },
      { timeout: 5_000_000 },
      { timeout: 0 },
      { policy: 'retry', tenant: 'p' },
      { min_confidence: 0.5 },
    ]) {
      expect([fine, (await ask(fine)).status]).toEqual([fine, 200])
    }
    expect(gateway.predictor('m').tenants).toContain('p')
    const wrong: [object, string][] = [
      [{ deadline: 1 }, "parameters.deadline: expected 'deadline_ms', got an unknown option"],
      [{ deadline_ms: -1 }, 'parameters.deadline_ms: expected milliseconds'],
      [{ deadline_ms: '5' }, 'parameters.deadline_ms: expected milliseconds'],
      [{ timeout: 1.5 }, 'parameters.timeout: expected an integer'],
      [
        { timeout: 1, deadline_ms: 1 },
        'parameters: expected either deadline_ms or timeout (in microseconds), got both',
      ],
      [{ policy: 'x' }, "parameters.policy: expected 'recover'"],
      [{ deliver: 'x' }, "parameters.deliver: expected 'located'"],
      [{ tenant: 1 }, 'parameters.tenant: expected a string'],
      [{ min_confidence: 2 }, 'parameters.min_confidence: expected a number from 0 to 1'],
      [{ at_deadline: 'x' }, "parameters.at_deadline: expected 'fail' | 'give', got"],
      [{ allow_partial: 1 }, 'parameters.allow_partial: expected true or false'],
    ]
    for (const [parameters, sentence] of wrong) {
      const { status, json } = await ask(parameters)
      expect([status, json.error]).toEqual([400, expect.stringContaining(sentence)])
    }
    await gateway.close()
  })

  it('a NaN in raw bytes is a 400 that names the row', async () => {
    const { gateway } = await started()
    const text = JSON.stringify({
      inputs: [{ name: 'x', shape: [3, 2], datatype: 'FP32', parameters: { binary_data_size: 24 } }],
    })
    const body = new Uint8Array([
      ...new TextEncoder().encode(text),
      ...new Uint8Array(Float32Array.of(1, 2, 3, 4, 5, NaN).buffer),
    ])
    const headers = { 'inference-header-content-length': String(text.length) }
    expect(await refused(gateway, post(body, headers))).toEqual([
      400,
      'row 2: query.x: expected finite values, got NaN at 1',
    ])
    await gateway.close()
  })
})

describe('rows that fail', () => {
  const failing = (row: number) => (worker: HandWorker) => {
    const [call] = worker.calls
    if (call.row[0] === row) call.fail(new (class extends Error {})('') as unknown as ApproxiferError)
    else call.answer()
  }

  it('fail the request with index and reason, by the table of statuses', async () => {
    const { gateway, events } = await started({}, { m: model(workersOf(2, failing(2)), { hedge: false }) })
    const [status, error] = await refused(gateway, post(inputOf(3)))
    expect(status).toBe(503)
    expect(error).toMatch(/^row 1: /)
    expect(events[0]).toMatchObject({ status: 503, queries: 3, error })
    await gateway.close()
  })

  it('a recovery that nobody can be sure of is no 200: DEADLINE, with the recovery beside the error, unless it is asked for', async () => {
    const silent = (worker: HandWorker) => worker.calls[0].row[0] !== 4 && worker.calls[0].answer()
    const scheme = { queries: 3, stragglers: 1 }
    const { gateway } = await started(
      {},
      { m: model(workersOf(5, silent), { scheme, hedge: false, maxWaitMs: 60_000 }) },
    )
    const ask = (parameters: object) =>
      told(gateway, post({ ...inputOf(3), parameters: { deadline_ms: 1500, ...parameters } }))
    const { status, json } = await ask({})
    expect([status, json.error]).toEqual([
      504,
      expect.stringMatching(/^row 2: no answer within .* not confident enough$/),
    ])
    expect(json.recovery).toEqual({
      confidence: null,
      outputs: [{ name: 'y', datatype: 'FP32', shape: [1, 2], data: [expect.any(Number), expect.any(Number)] }],
    })
    const given = await ask({ at_deadline: 'give' })
    expect([given.status, given.json.parameters.status]).toEqual([200, ['exact', 'exact', 'recovered']])
    await gateway.close()
  })

  it('with allow_partial are told apart, and their outputs are zeros', async () => {
    const { gateway } = await started({}, { m: model(workersOf(2, failing(2)), { hedge: false }) })
    const { status, json } = await told(gateway, post({ ...inputOf(3), parameters: { allow_partial: true } }))
    expect(status).toBe(200)
    expect(json.outputs[0].data).toEqual([0, 2, 0, 0, 8, 10])
    expect(json.parameters).toMatchObject({
      status: ['exact', 'failed', 'exact'],
      confidence: [1, null, 1],
      workers: [1, 0, 1],
    })
    expect(json.parameters.errors).toMatchObject([{ row: 1, error: expect.any(String) }])
    await gateway.close()
  })

  it('all of them are an error also with allow_partial', async () => {
    const { gateway } = await started({}, { m: model(workersOf(2, failing(0)), { hedge: false }) })
    expect((await refused(gateway, post({ ...inputOf(1), parameters: { allow_partial: true } })))[0]).toBe(503)
    await gateway.close()
  })

  it('a deadline is a 504, that of the batch for rows that never had room, too', async () => {
    const { gateway } = await started({}, { m: model(workersOf(1, hang)) })
    expect((await refused(gateway, post({ ...inputOf(1), parameters: { deadline_ms: 20 } })))[0]).toBe(504)
    const [status, error] = await refused(
      gateway,
      post({ ...inputOf(50), parameters: { timeout: 20_000, allow_partial: true } }),
    )
    expect([status, error]).toEqual([504, expect.stringMatching(/^row \d+: /)])
    await gateway.close()
  })

  it('a batch that has its answers leaves no timer', async () => {
    const clock = new VirtualClock()
    const { gateway } = await started({ clock }, { m: model(workersOf(2), { testing: { clock }, memory: false }) })
    const before = clock.pending
    for (let i = 0; i < 20; i++) expect((await told(gateway, post(inputOf(3)))).status).toBe(200)
    expect(clock.pending - before).toBeLessThan(10) // not a deadline a batch
    await gateway.close()
    expect(clock.pending).toBe(0)
  })

  it('a client that leaves takes its queries with it', async () => {
    const workers = workersOf(1, hang)
    const { gateway, events } = await started({}, { m: model(workers) })
    const client = new AbortController()
    const response = gateway(post(inputOf(20), {}, undefined, client.signal))
    await turn()
    while (!workers[0].calls.length) await turn()
    client.abort()
    expect((await response).status).toBe(499)
    expect(gateway.predictor('m').stats()).toMatchObject({ open: 0 })
    expect(events).toMatchObject([{ status: 499 }])
    await gateway.close()
  })

  it('more at a time than are taken is 429 with Retry-After', async () => {
    const { gateway } = await started({ maxRequests: 1 }, { m: model(workersOf(1, hang), { limits: { queries: 1 } }) })
    const first = gateway(post({ ...inputOf(1), parameters: { deadline_ms: 50 } }))
    const second = await told(gateway, post(inputOf(1)))
    expect([second.status, second.headers.get('retry-after')]).toEqual([429, '1'])
    expect((await first).status).toBe(504)
    await gateway.close()
  })
})

describe('bodies', () => {
  const rows = JSON.stringify(inputOf(100))

  it('gzip and deflate are unpacked, other codings are 415, damaged ones 400', async () => {
    const { gateway } = await started()
    expect((await gateway(post(gzipSync(rows), { 'content-encoding': 'gzip' }))).status).toBe(200)
    expect((await gateway(post(gzipSync(rows), { 'content-encoding': 'X-GZIP' }))).status).toBe(200)
    expect((await gateway(post(rows, { 'content-encoding': 'identity' }))).status).toBe(200)
    for (const coding of ['br', 'gzip, gzip', 'zstd', '__proto__']) {
      const { status, headers } = await told(gateway, post(rows, { 'content-encoding': coding }))
      expect([coding, status, headers.get('accept-encoding')]).toEqual([coding, 415, 'gzip, deflate'])
    }
    const damaged = [
      Buffer.from(rows),
      gzipSync(rows).subarray(0, -9),
      Buffer.concat([gzipSync(rows), Buffer.from('x')]),
      Buffer.alloc(0),
    ]
    for (const body of damaged) {
      expect((await refused(gateway, post(body, { 'content-encoding': 'gzip' })))[0]).toBe(400)
      expect((await refused(gateway, post(body, { 'content-encoding': 'deflate' })))[0]).toBe(400)
    }
    await gateway.close()
  })

  it('too large is 413: as announced, as it comes, and a bomb as it unpacks', async () => {
    const { gateway } = await started({ maxBytes: 100_000 })
    expect((await refused(gateway, post(inputOf(1), { 'content-length': '100001' })))[0]).toBe(413)
    let pulled = 0
    const endless = new ReadableStream({
      pull(controller) {
        controller.enqueue(new Uint8Array(10_000).fill(32))
        pulled++
      },
    })
    const streaming = request('/v2/models/m/infer', { method: 'POST', body: endless, duplex: 'half' } as RequestInit)
    expect(await refused(gateway, streaming)).toEqual([
      413,
      'the body: expected at most 100000 bytes, unpacked, got more',
    ])
    expect(pulled).toBeLessThan(20)
    const bomb = gzipSync(Buffer.alloc(200 * 2 ** 20, 32))
    const before = process.memoryUsage().arrayBuffers
    expect((await refused(gateway, post(bomb.subarray(0, 99_000), { 'content-encoding': 'gzip' })))[0]).toBe(413)
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(20e6)
    await gateway.close()
  })

  it('of all requests together have a limit: beyond it 429 before one is read, until others have their answers', async () => {
    const workers = workersOf(1, hang)
    const { gateway } = await started({ maxBytes: 200_000, maxTotalBytes: 300_000 }, { m: model(workers) })
    const padded = (bytes: number) => {
      const text = JSON.stringify(inputOf(1))
      return text.replace('"data":[', `"data":[${' '.repeat(bytes - text.length)}`)
    }
    const first = gateway(post(padded(200_000), { 'content-length': '200000' }))
    await turn()
    let pulled = 0
    const body = () =>
      new ReadableStream(
        {
          pull(controller) {
            if (++pulled < 15) controller.enqueue(new Uint8Array(10_000).fill(32))
            else controller.close()
          },
        },
        { highWaterMark: 0 },
      )
    const streaming = (headers = {}) =>
      request('/v2/models/m/infer', { method: 'POST', headers, body: body(), duplex: 'half' } as RequestInit)
    const announced = await told(gateway, streaming({ 'content-length': '150000' }))
    const sentence = 'the bodies of all requests: expected at most 300000 bytes together, got more'
    expect([announced.status, announced.json.error, pulled]).toEqual([429, sentence, 0])
    expect(announced.headers.get('retry-after')).toBe('1')
    expect(await refused(gateway, streaming())).toEqual([429, sentence])
    expect(pulled).toBeLessThan(13)
    const packed = gzipSync(padded(150_000))
    expect((await refused(gateway, post(packed, { 'content-encoding': 'gzip' })))[0]).toBe(429)
    const small = gateway(post(padded(60_000), { 'content-length': '60000' }))
    await turn()
    workers[0].calls[0].answer()
    expect((await first).status).toBe(200)
    workers[0].calls[0].answer()
    expect((await small).status).toBe(200)
    // The room of one whose client has gone, and of one that breaks off or was refused for what it is, is given back, too.
    const gone = new AbortController()
    const left = gateway(post(padded(200_000), { 'content-length': '200000' }, undefined, gone.signal))
    await turn()
    gone.abort()
    expect((await left).status).toBe(499)
    const breaking = () => {
      const start = (controller: ReadableStreamDefaultController) => controller.enqueue(new Uint8Array(150_000))
      const pull = (controller: ReadableStreamDefaultController) => controller.error(new Error('broke off'))
      return new ReadableStream({ start, pull })
    }
    for (const _ of [1, 2, 3]) {
      const init = { method: 'POST', body: breaking(), duplex: 'half' } as RequestInit
      expect((await refused(gateway, request('/v2/models/m/infer', init)))[0]).toBe(400)
    }
    for (const _ of [1, 2]) {
      expect((await refused(gateway, post('x'.repeat(200_000), { 'content-length': '200000' })))[0]).toBe(400)
    }
    await gateway.close()
  })

  it('replies are packed where asked for, and large enough to gain by it', async () => {
    const { gateway } = await started()
    const accepted: [string, string | null][] = [
      ['gzip', 'gzip'],
      ['deflate', 'deflate'],
      ['gzip, deflate, br', 'gzip'],
      ['deflate, gzip;q=0.5', 'deflate'],
      ['gzip;q=0', null],
      ['identity', null],
      ['*', 'gzip'],
      ['gzip, identity', 'gzip'],
      ['gzip;q=0.5, identity', null],
      ['br', null],
      ['gzip;q=x', null],
    ]
    for (const [accept, coding] of accepted) {
      const response = await gateway(post(rows, { 'accept-encoding': accept }))
      expect([accept, response.headers.get('content-encoding'), response.headers.get('vary')]).toEqual([
        accept,
        coding,
        'Accept-Encoding',
      ])
      const body = new Uint8Array(await response.arrayBuffer())
      expect(Number(response.headers.get('content-length'))).toBe(body.length)
      const plain = coding
        ? await new Response(new Blob([body]).stream().pipeThrough(new DecompressionStream(coding as 'gzip'))).json()
        : JSON.parse(Buffer.from(body).toString())
      expect(plain.outputs[0].data.length).toBe(200)
    }
    const small = await gateway(post(inputOf(1), { 'accept-encoding': 'gzip' }))
    expect(small.headers.get('content-encoding')).toBeNull()
    await gateway.close()
  })

  it('more rows than are taken', async () => {
    const { gateway } = await started({ maxRows: 99 })
    expect(await refused(gateway, post(rows))).toEqual([
      400,
      'inputs[0].shape[0]: expected an integer from 1 to 99, got 100',
    ])
    await gateway.close()
  })
})

it('an observer or a warning that throws harms nobody', async () => {
  const boom = () => {
    throw new Error('boom')
  }
  const { gateway } = await started({ observe: boom, onWarning: boom })
  expect((await gateway(post(inputOf(1)))).status).toBe(200)
  await gateway.close()
})

it('misspelt and wrong options are told at once', () => {
  const models = {}
  const wrong: [object, RegExp][] = [
    [{ models, observ: 1 }, /observ: expected 'observe'/],
    [{ models, maxBytes: 0 }, /maxBytes: expected an integer/],
    [{ models, server: { nam: '' } }, /server.nam: expected 'name'/],
    [{}, /models: expected models by name/],
    [{ models: { m: 1 } }, /models: expected options of a predictor/],
    [{ models: { m: { version: 2 } } }, /version: expected a string/],
    [{ models: { '': model() } }, /name: expected a model's name/],
  ]
  for (const [options, sentence] of wrong)
    expect(() => createGateway(options as Options & { models: {} })).toThrow(sentence)
})

describe('loading and unloading', () => {
  it('is not ready until every model is, and says why', async () => {
    const gateway = createGateway({ models: { m: model(), bad: { model: 'nowhere.onnx' } }, onWarning: () => {} })
    const early = await told(gateway, request('/v2/health/ready'))
    expect([early.status, early.json.ready, early.headers.get('retry-after')]).toEqual([503, false, '1'])
    expect((await refused(gateway, post(inputOf(1))))[0]).toBe(503)
    await expect(gateway.ready()).rejects.toThrow(/nowhere.onnx/)
    expect((await told(gateway, request('/v2/models/m/ready'))).status).toBe(200)
    const bad = await told(gateway, request('/v2/models/bad/ready'))
    expect(bad).toMatchObject({
      status: 503,
      json: { name: 'bad', ready: false, error: expect.stringContaining('nowhere.onnx') },
    })
    expect((await told(gateway, request('/v2/health/ready'))).json.error).toContain("model 'bad'")
    await gateway.unload('bad')
    expect((await told(gateway, request('/v2/health/ready'))).status).toBe(200)
    await gateway.close()
  })

  it('is not ready while no worker can be reached, and is again with the first one', async () => {
    const workers = [new HandWorker('w0'), new HandWorker('w1')]
    const { gateway, events } = await started({}, { m: model(workers), other: model(workersOf(1)) })
    const reach = (...there: boolean[]) =>
      workers.forEach((worker, i) => {
        Object.assign(worker, { gone: !there[i], capacity: Number(there[i]) })
        worker.onFree?.()
      })
    const readiness = async () => {
      const paths = ['/v2/health/ready', '/v2/models/m/ready', '/v2/models/other/ready', '/v2/health/live']
      return Promise.all(paths.map(async (path) => (await gateway(request(path))).status))
    }
    for (const there of [
      [true, true],
      [false, true],
      [true, false],
    ]) {
      // biome-ignore format: one line
      reach(...there)
      expect(await readiness()).toEqual([200, 200, 200, 200])
    }
    reach(false, false)
    expect(await readiness()).toEqual([503, 503, 200, 200])
    const why = 'no worker may take a query: 2 of 2 cannot be reached for now'
    const [server, one] = [await told(gateway, request('/v2/health/ready')), await told(gateway, request('/v2/models/m/ready'))] // biome-ignore format: one line
    expect([server.json, server.headers.get('retry-after')]).toEqual([
      { ready: false, error: `model 'm': ${why}` },
      '1',
    ])
    expect(one.json).toEqual({ name: 'm', ready: false, error: `model 'm' is not ready: ${why}` })
    expect(events.at(-1)).toMatchObject({ route: 'health', status: 503, error: one.json.error })
    reach(false, true)
    expect(await readiness()).toEqual([200, 200, 200, 200])
    await gateway.close()
  })

  it('stays ready while a worker of its own is restarted, and the only one, too', async () => {
    const worker = new HandWorker('w0')
    const { gateway } = await started({}, { m: model([worker]) })
    worker.capacity = 0
    worker.onFree?.()
    expect((await gateway(request('/v2/health/ready'))).status).toBe(200)
    await gateway.close()
  })

  it('a new version serves while requests under way end with the old one', async () => {
    const old = workersOf(1, hang)
    const { gateway } = await started({}, { m: model(old) })
    const under = told(gateway, post(inputOf(1)))
    while (!old[0].calls.length) await turn()
    await gateway.load('m', { ...model(workersOf(1)), version: '2' } as GatewayModel)
    expect((await told(gateway, post(inputOf(1)))).json.model_version).toBe('2')
    expect((await told(gateway, request('/v2/models/m/versions/1'))).status).toBe(404)
    expect(old[0].closed).toBe(0)
    old[0].calls[0].answer()
    expect(await under).toMatchObject({ status: 200, json: { model_version: '1' } })
    while (!old[0].closed) await turn()
    await gateway.close()
  })

  it('a new version that does not start leaves the old one', async () => {
    const { gateway } = await started()
    await expect(gateway.load('m', { model: 'nowhere.onnx' })).rejects.toThrow(/nowhere/)
    expect(await told(gateway, post(inputOf(1)))).toMatchObject({ status: 200, json: { model_version: '1' } })
    expect((await told(gateway, request('/v2/health/ready'))).status).toBe(200)
    await gateway.close()
  })

  it('unload ends what is under way first; unknown names are told', async () => {
    const workers = workersOf(1, hang)
    const { gateway } = await started({}, { m: model(workers) })
    const under = told(gateway, post(inputOf(1)))
    while (!workers[0].calls.length) await turn()
    const unloaded = gateway.unload('m')
    expect((await refused(gateway, post(inputOf(1))))[0]).toBe(404)
    workers[0].calls[0].answer()
    expect((await under).status).toBe(200)
    await unloaded
    expect(workers[0].closed).toBe(1)
    expect(gateway.names).toEqual([])
    await expect(gateway.unload('m')).rejects.toThrow(/name: expected/)
    expect(() => gateway.predictor('m')).toThrow(/the model: expected none at all/)
    await gateway.close()
  })

  it('drain takes no more, and waits for those under way; close settles all, twice', async () => {
    const workers = workersOf(1, hang)
    const { gateway } = await started({}, { m: model(workers) })
    const under = told(gateway, post(inputOf(1)))
    while (!workers[0].calls.length) await turn()
    let drained = false
    const draining = gateway.drain().then(() => (drained = true))
    expect(await refused(gateway, post(inputOf(1)))).toEqual([503, 'the server is shutting down'])
    expect((await told(gateway, request('/v2/health/ready'))).status).toBe(503)
    expect((await told(gateway, request('/v2/health/live'))).status).toBe(200)
    expect(drained).toBe(false)
    workers[0].calls[0].answer()
    expect((await under).status).toBe(200)
    await draining
    await Promise.all([gateway.close(), gateway.close()])
    expect(workers[0].closed).toBe(1)
    await expect(gateway.load('n', model())).rejects.toMatchObject({ code: 'CLOSED' })
  })

  it('close ends what is under way with 503', async () => {
    const workers = workersOf(1, hang)
    const { gateway } = await started({}, { m: model(workers) })
    const under = told(gateway, post(inputOf(1)))
    while (!workers[0].calls.length) await turn()
    await gateway.close()
    expect((await under).status).toBe(503)
  })

  it('close ends what is under way with a version that was replaced, too', async () => {
    const [old, unloaded] = [workersOf(1, hang), workersOf(1, hang)]
    const { gateway } = await started({}, { m: model(old), n: model(unloaded) })
    const under = ['m', 'n'].map((name) => told(gateway, post(inputOf(1), {}, `/v2/models/${name}/infer`)))
    while (!old[0].calls.length || !unloaded[0].calls.length) await turn()
    await gateway.load('m', model())
    const unloading = gateway.unload('n')
    await turn()
    await gateway.close()
    expect((await Promise.all(under)).map(({ status }) => status)).toEqual([503, 503])
    await unloading
    expect([old[0].closed, unloaded[0].closed]).toEqual([1, 1])
  })

  it('a ready predictor is served as it is', async () => {
    const predictor = await createPredictor({ workers: workersOf(1) })
    const { gateway } = await started({}, { m: predictor })
    expect(gateway.predictor('m')).toBe(predictor)
    expect((await gateway(post(inputOf(1)))).status).toBe(200)
    await gateway.close()
    await expect(predictor.predict(Float32Array.of(1, 2))).rejects.toMatchObject({ code: 'CLOSED' })
  })
})
