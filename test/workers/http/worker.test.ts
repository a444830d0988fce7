import { execFile } from 'node:child_process'
import { createServer, type Server, type Socket } from 'node:net'
import { createPredictor } from 'approxifer'
import { httpWorkers } from 'approxifer/http'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { VirtualClock } from '../../../src/testing/virtual-clock'
import { type HttpOptions, HttpWorker, httpWorker } from '../../../src/workers/http/worker'
import { identityOf, type ModelWorker } from '../../../src/workers/worker'
import { WHAT } from '../../fixtures/behaviour.js'
import { contract, free } from '../../shared/contract'
import { PATIENCE_MS, until } from '../../shared/patience'
import { PretendServer, Reply, silence } from '../../shared/pretend-server'
import { type Model, QuirkServer } from '../../shared/quirk-server'

const servers: QuirkServer[] = []
afterEach(async () => {
  for (const server of servers.splice(0)) await server.kill().catch(() => {})
})

/** What the fixture workers answer: [x + 1, 2 x]. */
const model: Model = {
  name: 'm',
  inputs: [{ name: 'x', shape: [2] }],
  outputs: [{ name: 'y', datatype: 'FP32', shape: [2] }],
  run: ([input]) => {
    const [what, x] = input
    if (what === WHAT.wrongLength) return [{ ...output, shape: [3], values: [0, 0, 0] }]
    if (what === WHAT.notANumber) return [{ ...output, values: [0, Number.NaN] }]
    if (what === WHAT.wrongType) return [{ ...output, datatype: 'INT64', values: [0, 0] }]
    return [{ ...output, values: [x + 1, 2 * x] }]
  },
}
const output = { name: 'y', datatype: 'FP32' as const, shape: [2] }

async function server(mode: QuirkServer['mode'] = 'triton'): Promise<QuirkServer> {
  const made = await new QuirkServer(mode, model).listen()
  servers.push(made)
  return made
}

async function behaving(mode: QuirkServer['mode']): Promise<QuirkServer> {
  const made = await server(mode)
  made.instead = (_request, response, [what]) => {
    const fail = (status: number) => {
      response.writeHead(status, { 'content-type': 'application/json' }).end('{"error":"on purpose"}')
      return true
    }
    if (what === WHAT.throws) return fail(500)
    if (what === WHAT.refuses) return fail(400)
    if (what === WHAT.noReply) return Boolean(response.writeHead(200).end())
    if (what === WHAT.hangs) return true
    if (what === WHAT.dies || what === WHAT.exits) {
      void made.kill().then(() => setTimeout(() => made.listen(), 150))
      return true
    }
    return false
  }
  const { run } = made.model
  made.model = {
    ...made.model,
    run: async (inputs, rows) => {
      if (inputs[0][0] === WHAT.slow) await new Promise((resolve) => setTimeout(resolve, 30))
      return run(inputs, rows)
    },
  }
  return made
}

for (const mode of ['triton', 'kserve', 'mlserver', 'ovms'] as const) {
  contract(`a server over HTTP, ${mode}`, {
    start: async () => httpWorker((await behaving(mode)).url, { model: 'm', concurrency: 3, onWarning: () => {} }),
    deaths: ['dies', 'exits'],
  })
}

/** A worker in made time, JSON where nothing else is said. */
async function pretended(options: Partial<HttpOptions> = {}, server = new PretendServer()) {
  const clock = new VirtualClock()
  const warnings: string[] = []
  const onWarning = (text: string) => warnings.push(text)
  const { fetch } = server
  const started = httpWorker('http://there:8000', { model: 'm', binary: false, fetch, clock, onWarning, ...options })
  started.catch(() => {})
  await clock.run(0)
  return { server, clock, warnings, started }
}

async function running(options: Partial<HttpOptions> = {}) {
  const { started, ...rest } = await pretended(options)
  const worker = await started
  closing.push(() => worker.close())
  rest.server.asked.length = 0
  return { worker, ...rest }
}

/** What a script in a process of its own prints. */
function spawnChild(script: string, ...args: string[]): Promise<{ code: number; text: string }> {
  const options = { timeout: PATIENCE_MS }
  return new Promise((resolve) => {
    execFile(process.execPath, ['--input-type=module', '-e', script, ...args], options, (error, text, said) =>
      resolve({ code: error ? Number(error.code ?? -1) : 0, text: text + said }),
    )
  })
}

const closing: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closing.splice(0)) await close()
})

const row = Float32Array.of(3, 4)
const error = (status: number, text: string, headers = {}) => Reply.json({ error: text }, { status, headers })

describe('starting', () => {
  it.each([
    ['an integer input', { inputs: [{ name: 'x', datatype: 'INT64', shape: [-1, 2] }] }, /'x'.*FP32.*INT64/],
    ['a fixed batch', { inputs: [{ name: 'x', datatype: 'FP32', shape: [4, 2] }] }, /'x'.*first dimension.*\[4,2\]/],
    ['open lengths', { inputs: [{ name: 'x', datatype: 'FP32', shape: [-1, -1] }] }, /'x'.*lengths.*\[-1,-1\]/],
    ['an integer output', { outputs: [{ name: 'n', datatype: 'INT64', shape: [-1] }] }, /'n'.*option outputs/],
  ])('refuses a model with %s, and says what to do', async (_what, metadata, message) => {
    const server = new PretendServer()
    server.metadata = { ...server.metadata, ...metadata }
    const { started, clock } = await pretended({}, server)
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
    const worker = await (await pretended({ shapes: { y: [2] } }, server)).started
    expect(worker.signature).toEqual({ inputs: [{ name: 'x', shape: [2] }], outputs: [{ name: 'y', shape: [2] }] })
    await worker.close()
  })

  it('waits for a server that is not there yet, and no longer than timeoutMs', async () => {
    const { started, clock, server } = await pretended({ timeoutMs: 60_000 })
    await (await started).close()
    const gone = new PretendServer()
    gone.isGone = true
    const late = await pretended({ timeoutMs: 60_000 }, gone)
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
      () => error(400, 'not ready'),
      () => error(503, 'not ready'),
      () => Reply.json({ ready: false }),
    ]) {
      const server = new PretendServer()
      server.instead = ({ path }) => (path.endsWith('/ready') ? reply() : undefined)
      const { started, clock } = await pretended({}, server)
      await clock.run(1000)
      expect(server.inferences).toBe(0)
      server.instead = undefined
      await clock.run(12_000)
      await (await started).close()
    }
  })

  it.each([
    ['nothing says so, but it answers', undefined, true, 200],
    ['it announces binary, and answers', ['binary_tensor_data'], true, 200],
    ['it answers 400 to binary', [], false, 400],
    ['it answers 500 to binary', undefined, false, 500],
  ])('binary auto: %s', async (_what, extensions, isBinary, status) => {
    const server = new PretendServer()
    server.instead = ({ path, json, method }) => {
      if (path === '/v2') return Reply.json({ extensions })
      if (method !== 'POST' || json) return undefined
      return status === 200 ? server.answer([0, 0]) : error(status, 'what is this?')
    }
    const { started } = await pretended({ binary: 'auto', probe: { row: new Float32Array(2) } }, server)
    const worker = await started
    server.asked.length = 0
    await worker.infer(new Float32Array(2))
    const [{ headers }] = server.asked
    expect(headers['content-type']).toBe(isBinary ? 'application/octet-stream' : 'application/json')
    expect(headers['accept-encoding']).toBe('identity')
    expect('inference-header-content-length' in headers).toBe(isBinary)
    await worker.close()
  })

  it('a server that announces binary and fails it is failing, not without it', async () => {
    const server = new PretendServer()
    server.instead = ({ path, json, method }) => {
      if (path === '/v2') return Reply.json({ extensions: ['binary_tensor_data'] })
      return method === 'POST' && !json ? error(500, 'out of memory') : undefined
    }
    const { started, clock } = await pretended({ binary: 'auto', timeoutMs: 1000 }, server)
    await clock.run(1000)
    await expect(started).rejects.toMatchObject({ code: 'WORKER', message: expect.stringContaining('out of memory') })
  })

  it('names every output and how it is wanted, and asks for no version unless told', async () => {
    const { worker, server } = await running({ headers: { Authorization: 'Bearer t' } })
    await worker.infer(row)
    const [{ path, headers, json }] = server.asked
    expect(path).toBe('/v2/models/m/infer')
    expect(headers.authorization).toBe('Bearer t')
    expect(json).toMatchObject({ outputs: [{ name: 'y', parameters: { binary_data: false } }], parameters: { binary_data_output: false } }) // biome-ignore format: one line
    const other = new PretendServer()
    const { started, clock } = await pretended({ version: 'a b', model: 'n/o', timeoutMs: 50 }, other)
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

describe('a server in trouble', () => {
  it.each([502, 404, 302])(
    'that answers %i at once is gone, not fast; it is asked again until it is back',
    async (status) => {
      const { worker, server, clock } = await running()
      server.instead = () => error(status, 'from a proxy')
      await expect(worker.infer(row)).rejects.toThrow(`there:8000 answers ${status}: from a proxy`)
      expect(worker.free).toBe(false)
      await expect(worker.infer(row)).rejects.toMatchObject({ code: 'WORKER' })
      await clock.run(clock.now()) // it is looked at once
      expect([worker.free, worker.gone]).toEqual([false, true])
      const told = vi.fn()
      worker.onFree = told
      await clock.run(clock.now() + 5000)
      expect([worker.free, told.mock.calls.length > 0]).toEqual([false, true])
      server.instead = undefined
      await clock.run(clock.now() + 10_000)
      expect([worker.free, worker.gone]).toEqual([true, false])
      expect([...(await worker.infer(row))]).toEqual([6, 8])
    },
  )

  it('what it was never asked is not to blame for it', async () => {
    const { worker, server, clock } = await running()
    server.isGone = true
    await expect(worker.infer(row)).rejects.toMatchObject({ code: 'OVERLOADED' })
    server.isGone = false
    await clock.run(clock.now() + 1000)
    server.instead = () => error(503, 'starting')
    await expect(worker.infer(row)).rejects.toMatchObject({ code: 'OVERLOADED' })
  })

  it.each([429, 503])('that answers %i with Retry-After is left alone for so long, and is not gone', async (status) => {
    const { worker, server, clock } = await running()
    server.instead = ({ method }) => (method === 'POST' ? error(status, 'busy', { 'retry-after': '2' }) : undefined)
    await expect(worker.infer(row)).rejects.toMatchObject({ code: 'OVERLOADED' })
    server.instead = undefined
    const from = clock.now()
    let freeAt = Number.NaN
    worker.onFree = () => {
      freeAt = clock.now()
    }
    expect([worker.free, worker.gone]).toEqual([false, false])
    await clock.run(from + 1999)
    expect([worker.free, server.inferences]).toEqual([false, 1])
    await clock.run(from + 2001)
    expect([worker.free, freeAt - from]).toEqual([true, 2001])
    expect([...(await worker.infer(row))]).toEqual([6, 8])
  })

  it('a few failures are the rows’, many in a row are looked into', async () => {
    const { worker, server, clock } = await running()
    server.instead = ({ method }) => (method === 'POST' ? error(500, 'broken') : undefined)
    for (let i = 0; i < 2; i++) {
      await expect(worker.infer(row)).rejects.toMatchObject({ code: 'WORKER' })
      expect(worker.free).toBe(true)
    }
    await expect(worker.infer(row)).rejects.toMatchObject({ code: 'WORKER' })
    expect(worker.free).toBe(false)
    await clock.run(clock.now() + 1)
    expect(worker.gone).toBe(true) // its probe failed, too
  })

  it('idle, it is found gone without a query, and a dead connection in bounded time', async () => {
    const { worker, server, clock } = await running()
    await clock.run(60_000)
    expect(worker.free).toBe(true)
    const health = server.asked.filter(({ path }) => path === '/v2/models/m/ready').length
    expect(health).toBeGreaterThan(15)
    server.instead = () => silence // a partition
    await clock.run(clock.now() + 3000 + 5000)
    expect(worker.gone).toBe(true)
    server.instead = undefined
    await clock.run(clock.now() + 75_000)
    expect(worker.free).toBe(true)
  })

  it('an aborted call ends its request; the worker is free once the server answers', async () => {
    const { worker, server, clock } = await running()
    server.instead = () => silence
    const abort = new AbortController()
    const call = worker.infer(row, { signal: abort.signal })
    await clock.run(clock.now())
    abort.abort()
    await expect(call).rejects.toMatchObject({ code: 'ABORTED' })
    expect(server.asked[0].signal.aborted).toBe(true)
    expect([worker.free, worker.gone]).toEqual([false, false])
    server.instead = undefined
    await clock.run(clock.now() + 70_000)
    expect(worker.free).toBe(true)
    expect([...(await worker.infer(row))]).toEqual([6, 8])
  })
})

describe('a server that was rolled to another model', () => {
  const found = async (options: Partial<HttpOptions>, change: (server: PretendServer) => void) => {
    const { worker, server, clock, warnings } = await running(options)
    change(server)
    await clock.run(clock.now() + 31_000 + 3000)
    return { worker, server, clock, warnings }
  }

  it('gets no rows, by its answer to the probe query; and rows again when it answers as before', async () => {
    const { worker, server, clock, warnings } = await found({}, (server) => {
      server.factor = 2.1
    })
    expect([worker.free, worker.gone]).toEqual([false, true])
    expect(warnings).toEqual([
      expect.stringMatching(/^there:8000 has another model \(its answer .*\): it gets no rows/),
    ])
    server.factor = 2.00001 // another machine, the same model
    await clock.run(clock.now() + 11_000)
    expect(worker.free).toBe(true)
  })

  it('or by its metadata', async () => {
    const { worker, warnings } = await found({}, (server) => {
      server.metadata = { ...server.metadata, inputs: [{ name: 'z', datatype: 'FP32', shape: [-1, 2] }] }
    })
    expect([worker.free, warnings.length]).toEqual([false, 1])
    expect(warnings[0]).toContain('its metadata differ')
  })

  it('is let be where its answers differ and it need not answer the same', async () => {
    const { worker, warnings } = await found({ probe: false }, (server) => {
      server.factor = 5
    })
    expect([worker.free, warnings]).toEqual([true, []])
  })

  it('is found out by the version in a reply, before that answer counts', async () => {
    const { worker, server, clock } = await running()
    server.version = '2'
    server.factor = 5
    await expect(worker.infer(row)).rejects.toMatchObject({ code: 'WORKER', message: expect.stringContaining("version '2'") }) // biome-ignore format: one line
    expect(worker.free).toBe(false)
    await clock.run(clock.now() + 1)
    expect(worker.gone).toBe(true)
  })

  it('a new version of the same model goes on', async () => {
    const { worker, server, clock } = await running()
    server.version = '2'
    await expect(worker.infer(row)).rejects.toMatchObject({ code: 'WORKER' })
    await clock.run(clock.now() + 1)
    expect([...(await worker.infer(row))]).toEqual([6, 8])
  })

  it('is asked under load, too: between two rows', async () => {
    const { worker, server, clock, warnings } = await running()
    server.factor = 5
    let wrong = 0
    for (let ms = 0; ms < 40_000 && !worker.gone; ms += 10) {
      if (worker.free) {
        const answering = worker.infer(row)
        await clock.run(clock.now() + 10)
        await answering.then(() => wrong++, () => {}) // biome-ignore format: one line
      } else await clock.run(clock.now() + 10)
    }
    expect([worker.gone, warnings.length]).toEqual([true, 1])
    expect(wrong).toBeLessThan(3400) // those of 30 s and a health interval
  })
})

describe('one that is lost', () => {
  it('is told of once, however often it is tried again, and once more when it is back', async () => {
    const { server, clock, warnings } = await running()
    for (const times of [1, 2]) {
      server.isGone = true
      await clock.run(clock.now() + 60_000)
      expect(warnings.length).toBe(2 * times - 1)
      expect(warnings.at(-1)).toMatch(/^there:8000 was lost: it cannot be reached: .*ECONNREFUSED; it is tried again/)
      server.isGone = false
      await clock.run(clock.now() + 12_000)
      expect([warnings.length, warnings.at(-1)]).toEqual([2 * times, 'there:8000 is back'])
    }
  })

  it('and comes and goes twice a second is told of once, until it stays', async () => {
    const { worker, server, clock, warnings } = await running()
    let losses = 0
    for (let times = 0; times < 20; times++) {
      server.isGone = true
      worker.infer(row).catch(() => {})
      await clock.run(clock.now() + 50)
      if (worker.gone) losses++
      server.isGone = false
      await clock.run(clock.now() + 450)
      expect(worker.gone).toBe(false)
    }
    expect([losses, warnings.length]).toEqual([20, 1])
    await clock.run(clock.now() + 2000)
    expect(warnings.slice(1)).toEqual(['there:8000 is back'])
  })
})

describe('a reply that is none', () => {
  const y = { name: 'y', datatype: 'FP32', shape: [1, 2], data: [1, 2] }
  const replies: [string, (id: string) => Reply, RegExp][] = [
    ['no JSON', () => new Reply('<html>'), /JSON/],
    ['nothing', () => new Reply(''), /JSON/],
    ['null for a number', () => Reply.json({ outputs: [{ ...y, data: [1, null] }] }), /null/],
    ['a number too large', () => new Reply('{"outputs":[{"name":"y","datatype":"FP32","shape":[1,2],"data":[1,1e99]}]}'), /1e99|finite/], // biome-ignore format: one line
    ['another name', () => Reply.json({ outputs: [{ ...y, name: 'z' }] }), /'y'/],
    ['another datatype', () => Reply.json({ outputs: [{ ...y, datatype: 'FP64' }] }), /FP32/],
    ['another count', () => Reply.json({ outputs: [{ ...y, shape: [1, 3], data: [1, 2, 3] }] }), /\[1,2\]/],
    ['two rows', () => Reply.json({ outputs: [{ ...y, shape: [2, 2], data: [1, 2, 3, 4] }] }), /\[1,2\]/],
    ['no outputs', () => Reply.json({ model_name: 'm' }), /outputs/],
    ['an array', () => Reply.json([]), /object/],
    ['another request’s', () => Reply.json({ id: 'other', outputs: [y] }), /another request/],
    ['longer than its model has values', () => new Reply(new Uint8Array(70_000)), /longer/],
    ['a header length beyond it', () => new Reply('{}', { headers: { 'inference-header-content-length': '99' } }), /Content-Length/], // biome-ignore format: one line
    ['compressed all the same', () => new Reply(Uint8Array.of(0x1f, 0x8b, 8, 0)), /UTF-8|JSON/],
  ]

  it.each(replies)('%s: PROTOCOL, and the next call is fine', async (_what, reply, message) => {
    const { worker, server } = await running()
    server.instead = ({ json }) => reply(json?.id as string)
    await expect(worker.infer(row)).rejects.toMatchObject({ code: 'PROTOCOL', message: expect.stringMatching(message) })
    server.instead = undefined
    expect([...(await worker.infer(row))]).toEqual([6, 8])
  })

  it('takes [1, 2, 1] for [1, 2], and outputs that nobody asked for', async () => {
    const { worker, server } = await running()
    server.instead = () => Reply.json({ id: null, parameters: null, outputs: [{ name: 'n', datatype: 'INT64', shape: [1], data: [7] }, { ...y, shape: [1, 2, 1], parameters: null }] }) // biome-ignore format: one line
    expect([...(await worker.infer(row))]).toEqual([1, 2])
  })
})

describe('over real connections', () => {
  /** A server that does with each connection's requests what it is told. */
  async function raw(answer: (socket: Socket, request: string, nth: number) => void): Promise<string> {
    const sockets = new Set<Socket>()
    const listening: Server = createServer((socket) => {
      sockets.add(socket)
      let nth = 0
      socket.on('data', (data) => answer(socket, data.toString('latin1'), nth++))
      socket.on('error', () => {})
    })
    await new Promise<void>((resolve) => listening.listen(0, '127.0.0.1', resolve))
    closing.push(() => {
      for (const socket of sockets) socket.destroy()
      listening.close()
    })
    return `http://127.0.0.1:${(listening.address() as { port: number }).port}`
  }
  const sent = (json: unknown, more = '') => {
    const body = JSON.stringify(json)
    return `HTTP/1.1 200 OK\r\ncontent-length: ${body.length}\r\n${more}\r\n${body}`
  }
  const metadata = new PretendServer().metadata
  const y = { name: 'y', datatype: 'FP32', shape: [1, 2], data: [6, 8] }
  /** The usual answers. */
  const usual = (request: string) =>
    request.startsWith('GET /v2/models/m HTTP') ? sent(metadata) : sent({ outputs: [y] })
  const start = async (url: string, options: Partial<HttpOptions> = {}): Promise<ModelWorker> => {
    const worker = await httpWorker(url, { model: 'm', binary: false, ...options })
    closing.unshift(() => worker.close())
    return worker
  }

  it.each([
    ['the same model: it counts', [6, 8], '6,8'],
    ['another model: it does not', [7, 9], 'WORKER'],
  ])('a row under way when the server closes a connection, and then has %s', async (_, then, outcome) => {
    const sockets = new Set<Socket>()
    let data = [6, 8]
    let held: Socket | undefined
    let holds = false
    const url = await raw((socket, request) => {
      sockets.add(socket)
      if (!request.startsWith('POST') || !holds) {
        return socket.write(request.startsWith('POST') ? sent({ outputs: [{ ...y, data }] }) : usual(request))
      }
      held = socket
      holds = false
    })
    const worker = await start(url, { concurrency: 2, onWarning: () => {} })
    await Promise.all([worker.infer(row), worker.infer(row)]) // over a connection each
    holds = true
    const given = worker.infer(row).then(String, (error) => error.code)
    await until(() => held !== undefined)
    for (const socket of sockets) if (socket !== held) socket.destroy()
    data = then
    await until(() => !worker.free) // it was noticed
    held?.write(sent({ outputs: [y] }))
    expect(await given).toBe(outcome)
  })

  it('is one machine under all names, with all its models', async () => {
    const url = await raw((socket, request) => socket.write(usual(request.replaceAll('/a/', '/'))))
    const named = url.replace('127.0.0.1', 'localhost')
    const others = [await raw((socket, request) => socket.write(usual(request))), url]
    const workers = await Promise.all([url, named, `${named}/a`, ...others].map((each) => start(each)))
    expect(workers.map(({ name }) => name)).toEqual([url, named, `${named}/a`, ...others].map((each) => each.slice(7)))
    const [first, second, third, other, again] = workers.map(identityOf)
    expect([second, third, again]).toEqual([first, first, first])
    expect(other).not.toBe(first)
    const scheme = { queries: 1, byzantine: 1 }
    const list = [url, named, others[0]]
    const refused = createPredictor({ scheme, workers: httpWorkers(list, { model: 'm', binary: false }) })
    await expect(refused).rejects.toThrow('workers: expected >= 3 machines, got 2 (3 workers), and no others can join')
  })

  it('a connection that was used and is closed before the reply: once more on another', async () => {
    let drops = 0
    const url = await raw((socket, request, nth) => {
      if (nth < 3 || drops) socket.write(usual(request))
      else socket.destroy(drops++ as never)
    })
    const worker = await start(url)
    expect([...(await worker.infer(row))]).toEqual([6, 8])
    expect(drops).toBe(1)
  })

  it('but not for ever', async () => {
    let rows = 0
    let isStarting = true
    const url = await raw((socket, request) => {
      if (isStarting || !request.startsWith('POST')) return socket.write(usual(request))
      rows++
      return socket.destroy()
    })
    const worker = await start(url)
    isStarting = false
    await expect(worker.infer(row)).rejects.toMatchObject({ code: 'WORKER' })
    expect(rows).toBeLessThanOrEqual(2) // the row, and a probe before it would be sent again
    expect(worker.gone).toBe(true)
  })

  it('a reply without an end is not read to it', async () => {
    let isStarting = true
    let closed = 0
    const url = await raw((socket, request) => {
      if (isStarting) return socket.write(usual(request))
      socket.on('close', () => closed++)
      socket.write('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n')
      const more = () => {
        if (!socket.destroyed) socket.write(`1000\r\n${' '.repeat(4096)}\r\n`, () => setImmediate(more))
      }
      return more()
    })
    const worker = await start(url)
    isStarting = false
    await expect(worker.infer(row)).rejects.toMatchObject({ code: 'PROTOCOL', message: expect.stringContaining('longer') }) // biome-ignore format: one line
    await until(() => closed === 1)
  })

  it('an abort closes the connection', async () => {
    let isStarting = true
    let closed = false
    let asked = () => {}
    const wasAsked = new Promise<void>((resolve) => {
      asked = resolve
    })
    const url = await raw((socket, request) => {
      if (isStarting || !request.startsWith('POST')) return socket.write(usual(request))
      socket.on('close', () => {
        closed = true
      })
      return asked()
    })
    const worker = await start(url)
    isStarting = false
    const abort = new AbortController()
    const call = worker.infer(row, { signal: abort.signal })
    await wasAsked
    abort.abort()
    await expect(call).rejects.toMatchObject({ code: 'ABORTED' })
    await until(() => closed)
    await free(worker)
  })

  it('a closed connection is looked into at once, without a query', async () => {
    const made = await server()
    const clock = new VirtualClock()
    const worker = await httpWorker(made.url, { model: 'm', clock })
    closing.unshift(() => worker.close())
    const before = made.seen.length
    await clock.run(1100) // it was examined just now
    made.drop()
    await until(() => made.seen.slice(before).some(({ path }) => path === '/v2/models/m/infer'))
    await until(() => worker.free)
  })

  it('keeps to one connection', async () => {
    const made = await server()
    const worker = await httpWorker(made.url, { model: 'm' })
    for (let i = 0; i < 20; i++) await worker.infer(row)
    expect(made.connections).toBe(1)
    await Promise.all([worker.close(), worker.close()])
    await until(() => made.connections === 0)
  })

  it('nothing keeps the process alive, closed or not', async () => {
    const made = await server()
    for (const end of ['await worker.close()', '']) {
      const script = `
        import { httpWorker } from 'approxifer/http'
        const worker = await httpWorker(process.argv[1], { model: 'm' })
        const y = await worker.infer(Float32Array.of(0, 5))
        ${end}
        console.log(String(y))`
      const child = spawnChild(script, made.url)
      expect(await child).toEqual({ code: 0, text: '6,10\n' })
    }
  })
})

describe('rows of several groups in one request', () => {
  /** Takes `most` rows at a time, doubles them, and does with some what the test says. */
  const batching = async (most: number, options: Partial<HttpOptions> = {}, more?: object) => {
    const server = new PretendServer()
    server.metadata = { ...server.metadata, ...more }
    const sizes: number[] = []
    let special: (rows: number[][], id: string) => Reply | Promise<Reply> | undefined = () => undefined
    server.instead = ({ json }) => {
      if (!json) return undefined
      const [{ data, shape }] = json.inputs
      sizes.push(shape[0])
      if (shape[0] > most) return error(400, `batch ${shape[0]} is above max_batch_size ${most}`)
      const rows = Array.from({ length: shape[0] }, (_, i) => data.slice(2 * i, 2 * i + 2))
      const answer = () => Reply.json({ id: json.id, outputs: [{ name: 'y', datatype: 'FP32', shape, data: data.map((x) => 2 * x) }] }) // biome-ignore format: one line
      return special(rows, json.id as string) ?? answer()
    }
    const { started, clock } = await pretended(options, server)
    const worker = await started
    closing.push(() => worker.close())
    const found = sizes.splice(0)
    const ask = (rows: number[][], signals?: AbortSignal[]) => {
      const batch = (worker as HttpWorker).inferBatch(rows.map((row) => Float32Array.from(row)), { signals }) // biome-ignore format: one line
      return Promise.allSettled(batch.map(async (answer) => [...(await answer)]))
    }
    const say = (what: typeof special) => {
      special = what
    }
    return { worker: worker as HttpWorker, server, sizes, found, ask, say, clock }
  }
  const rows = [1, 2, 3, 4].map((x) => [x, 10 * x])
  const doubled = rows.map((row) => ({ status: 'fulfilled', value: row.map((x) => 2 * x) }))
  const failed = (code: string) => ({ status: 'rejected', reason: expect.objectContaining({ code }) })

  it('as many as the server answers, which its limit may be below', async () => {
    const { worker, found, ask, sizes } = await batching(5)
    expect([worker.maxBatch, found]).toEqual([4, [1, 16, 8, 4]])
    expect(await ask(rows)).toEqual(doubled)
    expect(sizes).toEqual([4])
    expect(await ask([...rows, [5, 50]])).toEqual(new Array(5).fill({ status: 'rejected', reason: expect.any(RangeError) })) // biome-ignore format: one line
  })

  it('none where the batch is fixed, where that is asked for, or where rows disturb each other', async () => {
    const fixed = { inputs: [{ name: 'x', datatype: 'FP32', shape: [1, 2] }] }
    expect((await batching(16, {}, fixed)).worker.maxBatch).toBe(1)
    expect((await batching(16, { maxBatch: 1 })).found).toEqual([1])
    const server = new PretendServer()
    server.instead = ({ json }) => {
      if (!json) return undefined
      const { data, shape } = json.inputs[0]
      const mean = data.reduce((sum, x) => sum + x, 0) / data.length
      return Reply.json({ outputs: [{ name: 'y', datatype: 'FP32', shape, data: data.map((x) => x - mean) }] })
    }
    const worker = await (await pretended({}, server)).started
    closing.push(() => worker.close())
    expect((worker as HttpWorker).maxBatch).toBe(1)
  })

  it('one row’s NaN, or its error, costs no other its answer', async () => {
    const { worker, ask, say, sizes } = await batching(16)
    const bad = 2
    const others = doubled.map((outcome, i) => (i === bad ? failed('PROTOCOL') : outcome))
    say((rows, id) => {
      const data = rows.flatMap((row) => (row[0] === 3 ? [0, null] : row.map((x) => 2 * x)))
      return Reply.json({ id, outputs: [{ name: 'y', datatype: 'FP32', shape: [rows.length, 2], data }] })
    })
    expect(await ask(rows)).toEqual(others)
    say((rows) => (rows.some(([x]) => x === 3) ? error(500, 'overflow') : undefined))
    expect(await ask(rows)).toEqual(others.map((outcome, i) => (i === bad ? failed('WORKER') : outcome)))
    expect(sizes).toEqual([4, 1, 1, 1, 1, 4, 1, 1, 1, 1])
    expect(worker.free).toBe(true)
  })

  it('an abort of one costs no other its answer; of all, it ends the request', async () => {
    const { worker, server, ask, say, clock } = await batching(16)
    let answer = () => {}
    say((rows, id) => new Promise((resolve) => {
      answer = () => resolve(Reply.json({ id, outputs: [{ name: 'y', datatype: 'FP32', shape: [4, 2], data: rows.flat().map((x) => 2 * x) }] })) // biome-ignore format: one line
    })) // biome-ignore format: one line
    const aborts = rows.map(() => new AbortController())
    const signals = aborts.map(({ signal }) => signal)
    const some = ask(rows, signals)
    await clock.run(clock.now())
    expect(worker.free).toBe(false)
    aborts[1].abort()
    await clock.run(clock.now())
    answer()
    expect(await some).toEqual(doubled.map((outcome, i) => (i === 1 ? failed('ABORTED') : outcome)))
    const again = rows.map(() => new AbortController())
    const all = ask(rows, again.map(({ signal }) => signal)) // biome-ignore format: one line
    await clock.run(clock.now())
    const { signal } = server.asked[server.asked.length - 1]
    for (const abort of again) abort.abort()
    expect(await all).toEqual(rows.map(() => failed('ABORTED')))
    expect(signal.aborted).toBe(true)
  })

  it('a server that is gone fails all of them, once', async () => {
    const { worker, server, ask, sizes, clock } = await batching(16)
    const before = server.asked.length
    server.isGone = true
    expect(await ask(rows)).toEqual(rows.map(() => failed('OVERLOADED')))
    await clock.run(clock.now())
    expect([server.asked.length - before, sizes, worker.gone]).toEqual([2, [], true]) // all rows, and a look
  })
})
