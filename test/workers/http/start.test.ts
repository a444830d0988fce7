/** A worker over HTTP starts: what it asks first, how it waits, what it refuses. */

import { describe, expect, it } from 'vitest'
import type { HttpOptions } from '../../../src/workers/http/options'
import { httpWorker } from '../../../src/workers/http/worker'
import { errorReply, readyWorker, row, startWorker } from '../../shared/http-worker'
import { PretendServer, Reply } from '../../shared/simulated-server'
import { inferRow } from '../../shared/vectors'

describe('starting', () => {
  it.each([
    ['an input of BF16', { inputs: [{ name: 'x', datatype: 'BF16', shape: [-1, 2] }] }, /'x'.*FP32.*BF16/],
    ['an output of BF16', { outputs: [{ name: 'n', datatype: 'BF16', shape: [-1] }] }, /'n'.*option outputs/],
    ['a length of 0', { inputs: [{ name: 'x', datatype: 'FP32', shape: [-1, 0] }] }, /'x'.*lengths above 0.*\[-1,0\]/],
  ])('refuses a model with %s, and says what to do', async (_what, metadata, message) => {
    const server = new PretendServer()
    server.metadata = { ...server.metadata, ...metadata }
    const { started, clock } = await startWorker({}, server)
    await expect(started).rejects.toMatchObject({ code: 'MODEL', message: expect.stringMatching(message) })
    expect(server.inferences).toBe(0)
    await clock.run(1e6)
    expect(clock.pending).toBe(0)
  })

  it('takes null for versions and parameters, a batch of 1, lengths as strings, and shapes that the metadata leave open', async () => {
    const server = new PretendServer()
    server.metadata = {
      name: 'm',
      versions: null,
      parameters: null,
      inputs: [{ name: 'x', datatype: 'FP32', shape: [1, '2'], parameters: null }],
      outputs: [{ name: 'y', datatype: 'FP32', shape: [-1, -1] }],
    }
    const worker = await (await startWorker({ shapes: { y: [2] } }, server)).started
    expect(worker.signature).toEqual({ inputs: [{ name: 'x', shape: [2] }], outputs: [{ name: 'y', shape: [2] }] })
    await worker.close()
  })

  it('waits for a server that is not there yet, and no longer than timeoutMs', async () => {
    const { started, clock, server } = await startWorker({ timeoutMs: 60_000 })
    await (await started).close()
    const gone = new PretendServer()
    gone.isGone = true
    const late = await startWorker({ timeoutMs: 60_000 }, gone)
    await late.clock.run(59_999)
    // 100 ms doubling to 10 s, each times .5 to 1.
    expect(gone.asked.length).toBeGreaterThan(10)
    expect(gone.asked.length).toBeLessThan(25)
    await late.clock.run(60_000)
    const message = 'there:8000 cannot be reached: connect ECONNREFUSED (60000 ms)'
    await expect(late.started).rejects.toMatchObject({ code: 'WORKER', message })
    const attempts = gone.asked.length
    await late.clock.run(1e6)
    expect(gone.asked.length).toBe(attempts)
    expect(clock.pending).toBe(0)
    expect(server.isGone).toBe(false)
  })

  it('is not ready for a server that says so with 400, 503 or in a body', async () => {
    for (const reply of [
      () => errorReply(400, 'not ready'),
      () => errorReply(503, 'not ready'),
      () => Reply.json({ ready: false }),
    ]) {
      const server = new PretendServer()
      server.instead = ({ path }) => (path.endsWith('/ready') ? reply() : undefined)
      const { started, clock } = await startWorker({}, server)
      await clock.run(1000)
      expect(server.inferences).toBe(0)
      server.instead = undefined
      await clock.run(12_000)
      await (await started).close()
    }
  })

  it.each([
    ['announces it', () => Reply.json({ extensions: ['binary_tensor_data'] }), 'auto', true],
    ['announces others', () => Reply.json({ extensions: ['classification'] }), 'auto', false],
    ['announces others, and is known to take it', () => Reply.json({ extensions: [] }), true, true],
    ['announces none', () => Reply.json({ name: 'ovms' }), 'auto', false],
    ['says nothing of itself', () => errorReply(404, 'not found'), 'auto', false],
  ] as const)('raw bytes, and no wrong request first, to a server that %s', async (_what, about, binary, isBinary) => {
    const server = new PretendServer()
    server.instead = ({ path, json, method }) => {
      if (path === '/v2') return about()
      return method === 'POST' && !json ? server.answer([0, 0]) : undefined
    }
    const { started } = await startWorker({ binary, probe: { query: new Float32Array(2) } }, server)
    const worker = await started
    await inferRow(worker, new Float32Array(2))
    const sent = server.asked.filter(({ method }) => method === 'POST')
    expect(sent.length).toBeGreaterThan(1)
    for (const { headers } of sent) {
      expect(headers['content-type']).toBe(isBinary ? 'application/octet-stream' : 'application/json')
      expect(headers['accept-encoding']).toBe('identity')
      expect('inference-header-content-length' in headers).toBe(isBinary)
    }
    await worker.close()
  })

  it('a server that announces binary and fails it is failing, not without it', async () => {
    const server = new PretendServer()
    server.instead = ({ path, json, method }) => {
      if (path === '/v2') return Reply.json({ extensions: ['binary_tensor_data'] })
      return method === 'POST' && !json ? errorReply(500, 'out of memory') : undefined
    }
    const { started, clock } = await startWorker({ binary: 'auto', timeoutMs: 1000 }, server)
    await clock.run(1000)
    await expect(started).rejects.toMatchObject({ code: 'WORKER', message: expect.stringContaining('out of memory') })
  })

  it('names every output and how it is wanted, and asks for no version unless told', async () => {
    const { worker, server } = await readyWorker({ headers: { Authorization: 'Bearer t' } })
    await inferRow(worker, row)
    const [{ path, headers, json }] = server.asked
    expect(path).toBe('/v2/models/m/infer')
    expect(headers.authorization).toBe('Bearer t')
    expect(json).toMatchObject({ outputs: [{ name: 'y', parameters: { binary_data: false } }], parameters: { binary_data_output: false } }) // biome-ignore format: one line
    const other = new PretendServer()
    const { started, clock } = await startWorker({ version: 'a b', model: 'n/o', timeoutMs: 50 }, other)
    await clock.run(100)
    await expect(started).rejects.toMatchObject({ code: 'WORKER' })
    expect(other.asked[0].path).toBe('/v2/models/n%2Fo/versions/a%20b/ready')
  })

  it.each([
    [{ modle: 'm' }, TypeError, "modle: expected 'model'"],
    [{ model: '' }, TypeError, "model: expected the model's name"],
    [{ model: 'm', binary: 'yes' }, TypeError, "binary: expected 'auto', true or false"],
    [{ model: 'm', probe: { evryMs: 1 } }, TypeError, "probe.evryMs: expected 'everyMs'"],
    [{ model: 'm', probe: { rounding: 2 } }, RangeError, 'probe.rounding: expected a number from 0 to 1'],
    [{ model: 'm', outputs: ['y', 'y'] }, RangeError, 'outputs: expected every name once'],
    [{ model: 'm', headers: { a: 1 } }, TypeError, 'headers.a: expected a string'],
    [{ model: 'm', shapes: { x: [0] } }, RangeError, 'shapes.x[0]: expected an integer >= 1'],
    [{ model: 'm', tls: { rejectUnauthorized: false } }, TypeError, 'tls.rejectUnauthorized: expected'],
  ])('refuses the option %j', async (options, kind, message) => {
    const failing = httpWorker('http://there', options as unknown as HttpOptions)
    await expect(failing).rejects.toBeInstanceOf(kind)
    await expect(failing).rejects.toThrow(message)
  })

  it.each(['there:8000', 'ftp://there', 'http://me:secret@there', 'http://there/?model=m', '', 5])(
    'refuses the URL %j',
    async (url) => {
      await expect(httpWorker(url as string, { model: 'm' })).rejects.toThrow(/^url: expected an http or https URL/)
    },
  )
})
