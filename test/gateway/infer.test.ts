import { ApproxiferError } from 'approxifer'
import type { Principal } from 'approxifer/gateway'
import { describe, expect, it } from 'vitest'
import { VirtualClock } from '../../src/testing/virtual-clock'
import { type HandWorker, turn } from '../shared/hand-predictor'
import { answerOf, hang, inputOf, model, post, refusal, started, workersOf } from '../shared/started-gateway'

describe('inference', () => {
  it('rows of a batch are queries, whose provenance the reply tells row by row', async () => {
    const { gateway, events } = await started()
    const { status, json } = await answerOf(gateway, post({ id: 'a1', ...inputOf(3) }))
    expect(status).toBe(200)
    expect(json).toEqual({
      model_name: 'm',
      model_version: '1',
      id: 'a1',
      parameters: {
        status: ['exact', 'exact', 'exact'],
        confidence: [1, 1, 1],
        workers: [1, 1, 1],
        answered_by: [['w0'], ['w1'], ['w0']],
      },
      outputs: [{ name: 'y', datatype: 'FP32', shape: [3, 2], data: [0, 2, 4, 6, 8, 10] }],
    })
    expect(events).toMatchObject([
      { route: 'infer', model: 'm', version: '1', status: 200, queries: 3, id: 'a1', statuses: { exact: 3 } },
    ])
    expect(events[0].traceparent).toMatch(/^00-[0-9a-f]{32}-[0-9a-f]{16}-00$/)
    await gateway.close()
  })

  it('a reply names the workers, and says which answers were reused; a client limited to a tenant or to models sees no names', async () => {
    const { gateway } = await started(
      {},
      { m: model(workersOf(1), { reuse: { exact: true }, limits: { tenants: 2 } }) },
    )
    const tellOf = async (principal?: Principal) => {
      const response = await gateway(post(inputOf(2, [1, 2, 3, 4])), principal)
      return (await response.json()).parameters
    }
    const once = { status: ['exact', 'exact'], confidence: [1, 1], workers: [1, 1] }
    expect(await tellOf()).toEqual({ ...once, answered_by: [['w0'], ['w0']] })
    expect(await tellOf({ name: 'all' })).toEqual({ ...once, answered_by: [['w0'], ['w0']], reused: [true, true] })
    expect(await tellOf({ models: ['m'] })).toEqual({ ...once, reused: [true, true] })
    expect(await tellOf({ tenant: 'a' })).toEqual(once)
    await gateway.close()
  })

  it('a batch larger than the house takes at a time, and fifty of them at once', async () => {
    const { gateway } = await started({}, { m: model(workersOf(2), { limits: { queries: 10 } }) })
    const batches = await Promise.all(Array.from({ length: 50 }, () => answerOf(gateway, post(inputOf(100)))))
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
      expect((await refusal(gateway, post(asked, { 'content-type': type })))[0]).toBe(415)
    }
    await gateway.close()
  })

  it('parameters choose deadline, policy, tenant, confidence; wrong and misspelt ones are told by name, those of other servers passed over', async () => {
    const { gateway } = await started({}, { m: model(workersOf(2), { limits: { tenants: 3 } }) })
    const ask = (parameters: object) => answerOf(gateway, post({ ...inputOf(1), parameters }))
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
    const foreign = await ask({ sequence_id: 7, headers: {}, tenant: 'p' })
    expect([foreign.status, foreign.json.parameters.ignored]).toEqual([200, ['sequence_id', 'headers']])
    expect((await ask({ tenant: 'p' })).json.parameters).not.toHaveProperty('ignored')
    const short = await ask({ task: 1, mask: 2, time: 3, as: 4 }) // near `ask` and `timeout`, but no misspelling of them
    expect([short.status, short.json.parameters.ignored]).toEqual([200, ['task', 'mask', 'time', 'as']])
    const { inputs } = inputOf(1) as { inputs: object[] }
    const elsewhere = await answerOf(
      gateway,
      post({
        inputs: [{ ...inputs[0], parameters: { headers: {}, ['h'.repeat(6e4)]: 1 } }],
        outputs: [{ name: 'y', parameters: { quality: 2 } }],
      }),
    )
    const places = [
      'inputs[0].parameters.headers',
      `inputs[0].parameters.${'h'.repeat(79)}`,
      'outputs[0].parameters.quality',
    ]
    expect([elsewhere.status, elsewhere.json.parameters?.ignored]).toEqual([200, places])
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

  it('a NaN in raw bytes is a 400 that names the row, where something is learned', async () => {
    const { gateway } = await started({}, { m: model(workersOf(2), { policy: 'auto' }) })
    const text = JSON.stringify({
      inputs: [{ name: 'x', shape: [3, 2], datatype: 'FP32', parameters: { binary_data_size: 24 } }],
    })
    const body = new Uint8Array([
      ...new TextEncoder().encode(text),
      ...new Uint8Array(Float32Array.of(1, 2, 3, 4, 5, NaN).buffer),
    ])
    const headers = { 'inference-header-content-length': String(text.length) }
    expect(await refusal(gateway, post(body, headers))).toEqual([
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
    const [status, error] = await refusal(gateway, post(inputOf(3)))
    expect(status).toBe(500)
    expect(error).toMatch(/^row 1: /)
    expect(events[0]).toMatchObject({ status: 500, queries: 3, error })
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
      answerOf(gateway, post({ ...inputOf(3), parameters: { deadline_ms: 1500, ...parameters } }))
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
    expect([given.status, given.json.error ?? given.json.parameters.status]).toEqual([200, ['exact', 'exact', 'recovered']]) // biome-ignore format: one line
    expect(given.json.parameters.recovered_from).toEqual([null, null, 'code'])
    await gateway.close()
  })

  it('with allow_partial are told apart, and their outputs are zeros', async () => {
    const { gateway } = await started({}, { m: model(workersOf(2, failing(2)), { hedge: false }) })
    const { status, json } = await answerOf(gateway, post({ ...inputOf(3), parameters: { allow_partial: true } }))
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
    expect((await refusal(gateway, post({ ...inputOf(1), parameters: { allow_partial: true } })))[0]).toBe(500)
    await gateway.close()
  })

  it('a deadline is a 504, that of the batch for rows that never had room, too', async () => {
    const { gateway } = await started({}, { m: model(workersOf(1, hang)) })
    expect((await refusal(gateway, post({ ...inputOf(1), parameters: { deadline_ms: 20 } })))[0]).toBe(504)
    const [status, error] = await refusal(
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
    for (let i = 0; i < 20; i++) expect((await answerOf(gateway, post(inputOf(3)))).status).toBe(200)
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
    const second = await answerOf(gateway, post(inputOf(1)))
    expect([second.status, second.headers.get('retry-after')]).toEqual([429, '1'])
    expect(second.json.error).toBe('1 requests are under way already')
    expect((await first).status).toBe(504)
    await gateway.close()
  })

  it('one client with all requests that there is room for leaves a quarter of it to others', async () => {
    const { gateway } = await started(
      { maxRequests: 8 },
      { m: model(workersOf(1, hang), { limits: { queries: 100 } }) },
    )
    const ask = (name: string) => gateway(post({ ...inputOf(1), parameters: { deadline_ms: 50 } }), { name })
    const greedy = Array.from({ length: 8 }, () => ask('greedy'))
    const other = await ask('other')
    expect(other.status).toBe(504)
    const statuses = (await Promise.all(greedy)).map(({ status }) => status)
    expect(statuses).toEqual([504, 504, 504, 504, 504, 504, 429, 429])
    expect((await ask('greedy')).status).toBe(504)
    await gateway.close()
  })

  it('where one row of a batch has failed the others are taken back', async () => {
    const workers = workersOf(2, hang)
    const { gateway } = await started({}, { m: model(workers, { policy: 'recover' }) })
    const failed = gateway(post(inputOf(2)))
    while (!workers[1].calls.length) await turn()
    const { signal } = workers[1].calls[0]
    expect(signal?.aborted).toBe(false)
    workers[0].calls[0].fail(new ApproxiferError('WORKER', 'dead'))
    expect((await failed).status).toBeGreaterThanOrEqual(500)
    expect([signal?.aborted, gateway.predictor('m').stats().open]).toEqual([true, 0])
    await gateway.close()
  })
})
