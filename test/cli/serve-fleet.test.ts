import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer as createWebServer, type ServerResponse } from 'node:http'
import { createRequire } from 'node:module'
import { type AddressInfo, createServer } from 'node:net'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { findNats } from '../../scripts/programs.js'
import { checksum } from '../../src/checksum'
import { scratch } from '../shared/cli'
import { until } from '../shared/patience'
import { QuirkServer } from '../shared/quirk-server'
import { json, LENET, type Line, Served } from '../shared/served'

const { folder } = scratch()

describe('workers elsewhere', () => {
  let workers: Served[]
  beforeAll(async () => {
    const start = () =>
      Served.start([`digits=${LENET}`, '--workers', '1', '--log', 'info'], { APPROXIFER_TOKEN: 'theirs' })
    workers = await Promise.all([start(), start(), start()])
  })
  afterAll(async () => {
    for (const worker of workers) expect(await worker.stop()).toBe(0)
  })

  const config = (where: unknown, more: object = {}) => {
    writeFileSync(join(folder, 'their-token'), 'theirs\n')
    const digits = {
      workers: where,
      scheme: { queries: 2, stragglers: 1 },
      remote: { tokenFile: 'their-token', ...more },
    }
    writeFileSync(join(folder, 'fleet.json'), JSON.stringify({ models: { digits } }))
    return ['--config', join(folder, 'fleet.json')]
  }

  it('by their addresses: the answers are theirs, and one that goes is not missed', async () => {
    const gone = await Served.start([`digits=${LENET}`, '--workers', '1'], { APPROXIFER_TOKEN: 'theirs' })
    const gateway = await Served.start(config([...workers.slice(0, 2), gone].map(({ url }) => url)))
    const own = await workers[0].infer(json(5), { headers: { authorization: 'Bearer theirs' } })
    const { outputs } = await own.json()
    const answer = async () => (await gateway.infer(json(5))).json()
    expect((await answer()).outputs).toEqual(outputs)
    gone.process.kill('SIGKILL')
    for (let i = 0; i < 20; i++) expect((await answer()).outputs).toEqual(outputs)
    const samples = await gateway.metrics()
    const answered = [...samples].filter(([name]) => /worker_answers_total.*on_time/.test(name))
    expect(answered.map(([name]) => /worker="([^"]*)"/.exec(name)?.[1]).sort()).toEqual(
      expect.arrayContaining(workers.slice(0, 2).map(({ port }) => `127.0.0.1:${port}`)),
    )
    await until(async () => (await gateway.metrics()).get('approxifer_workers{model="digits",state="gone"}') === 1)
    expect(await gateway.stop()).toBe(0)
  })

  it('by a file, as it changes', async () => {
    const list = join(folder, 'workers')
    const write = (some: Served[]) => writeFileSync(list, `# who is there\n${some.map(({ url }) => url).join('\n')}\n`)
    write(workers)
    const gateway = await Served.start(config('file:workers', { everyMs: 100 }))
    expect((await gateway.infer()).status).toBe(200)
    write(workers.slice(1))
    const named = `worker="127.0.0.1:${workers[0].port}"`
    await until(async () => ![...(await gateway.metrics()).keys()].some((name) => name.includes(named)))
    expect((await gateway.infer()).status).toBe(200)
    expect(await gateway.stop()).toBe(0)
  })

  it('of which the last is lost: not ready until it is back, and the log says both once', async () => {
    const outputs = [{ name: 'y', datatype: 'FP32' as const, shape: [1] }]
    const run = ([[x]]: Float32Array[]) => [{ ...outputs[0], values: [x] }]
    const worker = await new QuirkServer('triton', {
      name: 'm',
      inputs: [{ name: 'x', shape: [1] }],
      outputs,
      run,
    }).listen()
    const gateway = await Served.start(['m', '--workers', worker.url])
    const ready = async () => {
      const answers = await Promise.all(['health', 'models/m'].map((path) => fetch(`${gateway.url}/v2/${path}/ready`)))
      return answers.map(({ status }) => status).join()
    }
    const told = () => gateway.lines.filter(({ msg }) => String(msg).includes(`127.0.0.1:${worker.port} `))
    expect(await ready()).toBe('200,200')
    await worker.kill()
    await until(async () => (await ready()) === '503,503')
    expect((await fetch(`${gateway.url}/v2/health/live`)).status).toBe(200)
    await worker.listen()
    await until(async () => (await ready()) === '200,200')
    await gateway.line(({ msg }) => String(msg).endsWith(' is back'))
    expect(told().map(({ level, model }) => [level, model])).toEqual([['warn', 'm'], ['warn', 'm']]) // biome-ignore format: one line
    expect(told()[0].msg).toMatch(/ was lost: it .*; it is tried again until it answers$/)
    expect(await gateway.stop()).toBe(0)
    await worker.kill()
  })

  it('that all come back with another model: ready again, and the answers are its', async () => {
    const output = { name: 'y', datatype: 'FP32' as const, shape: [1] }
    const times = (factor: number) => ({
      name: 'm',
      inputs: [{ name: 'x', shape: [1] }],
      outputs: [output],
      run: ([x]: Float32Array[]) => [{ ...output, values: [...x].map((value) => factor * value) }],
    })
    const servers = await Promise.all([1, 2].map(() => new QuirkServer('triton', times(2)).listen()))
    const gateway = await Served.start(['m', '--workers', servers.map(({ url }) => url).join(), '--tenants', '2'])
    const ready = async () => (await fetch(`${gateway.url}/v2/health/ready`)).status
    const input = { name: 'x', datatype: 'FP32', shape: [1, 1], data: [5] }
    const answer = async () => (await (await gateway.infer(JSON.stringify({ inputs: [input] }), {}, 'm')).json()).outputs[0].data // biome-ignore format: one line
    expect([await ready(), await answer()]).toEqual([200, [10]])
    await Promise.all(servers.map((server) => server.kill()))
    await until(async () => (await ready()) === 503)
    for (const server of servers) server.model = times(3)
    await Promise.all(servers.map((server) => server.listen()))
    await until(async () => (await ready()) === 200)
    expect(await answer()).toEqual([15])
    const isSaid = ({ msg }: Line) => String(msg).startsWith("no server that is there has the fleet's model any more")
    await gateway.line(isSaid)
    expect(await gateway.stop()).toBe(0)
    expect(gateway.lines.filter(isSaid).length).toBe(1)
    await Promise.all(servers.map((server) => server.kill()))
  })

  it('fewer than the scheme needs: refused at once, with both numbers', async () => {
    const where = [1, 2, 3, 4].map((port) => `http://127.0.0.1:${port}`).join()
    const gateway = new Served(['digits', '--workers', where, '--queries', '4', '--stragglers', '1'])
    const [code] = await once(gateway.process, 'exit')
    const sentence = 'approxifer: digits: workers: expected >= 5 workers, got 4, and no others can join\n'
    expect([code, gateway.stderr]).toEqual([2, sentence])
  })

  it('by a file with too few: it says what it waits for, and serves when they are there', async () => {
    const list = join(folder, 'too-few')
    const write = (some: Served[]) => writeFileSync(list, some.map(({ url }) => url).join('\n'))
    write(workers.slice(1))
    const gateway = new Served(config('file:too-few', { everyMs: 100 }))
    const sentence = 'waits for workers: 2 of the 3 workers that the scheme needs have joined'
    await gateway.line(({ msg }) => msg === sentence)
    write(workers)
    await gateway.line(({ msg }) => msg === 'ready')
    expect(await gateway.stop()).toBe(0)
  })

  it('that do not come: it can be stopped all the same', async () => {
    const gateway = new Served(['digits', '--workers', `http://127.0.0.1:${await freePort()}`])
    await gateway.line(({ msg }) => String(msg).startsWith('waits for workers'))
    expect(await gateway.stop()).toBe(0)
  })
})

const nats = findNats()

describe('a model that waits for its workers', () => {
  it('keeps no other from being served, nor from ending in order', async () => {
    const elsewhere = `nowhere=http://127.0.0.1:${await freePort()}`
    const workers = ['--workers', 'digits=2', '--workers', elsewhere]
    const patient = ['--grace', '600', '--deadline', '600000']
    const served = new Served([`digits=${LENET}`, 'nowhere', ...workers, ...patient])
    const waits = await served.line(({ msg }) => String(msg).startsWith('waits for workers'))
    served.url = String(waits.url)
    await until(async () => (await served.infer()).status === 200) // its threads may come later than that line
    const rows = 1500
    const input = { name: 'input', datatype: 'FP32', shape: [rows, 1, 28, 28], data: Array(rows * 784).fill(0.5) }
    const answer = served.infer(JSON.stringify({ inputs: [input] }))
    await until(async () => ((await served.metrics()).get('approxifer_queries_open{model="digits"}') ?? 0) > 0)
    served.process.kill('SIGTERM')
    expect((await answer).status).toBe(200)
    await served.line(({ msg }) => msg === 'closed')
    expect(await served.stop()).toBe(0)
  })
})

describe('workers behind a NATS server', () => {
  it.skipIf(!nats)('that wants a name and a password', async () => {
    const port = await freePort()
    const broker = spawn(String(nats), ['-a', '127.0.0.1', '-p', String(port), '--user', 'fleet', '--pass', 'p@ss'])
    const access = `nats://fleet:p%40ss@127.0.0.1:${port}`
    const work = ['dist/cli.js', 'work', LENET, '--nats', access, '--fleet', 'digits', '--workers', '2']
    const machine = spawn(process.execPath, work)
    const gateway = await Served.start([
      'digits',
      '--workers',
      `${access}/digits`,
      '--queries',
      '1',
      '--stragglers',
      '1',
    ])
    const answer = await gateway.infer(json(2))
    expect(answer.status).toBe(200)
    expect((await answer.json()).outputs[0].data).toHaveLength(10)
    expect(JSON.stringify(gateway.lines) + gateway.stderr).not.toContain('p@ss')
    expect(await gateway.stop()).toBe(0)
    for (const each of [machine, broker]) {
      const ended = once(each, 'exit')
      each.kill()
      await ended
    }
  })
})

describe('a folder for what was learned', () => {
  it('is written when the server ends, and read when it starts', async () => {
    const state = join(folder, 'state')
    const args = [`digits=${LENET}`, '--workers', '3', '--queries', '2', '--stragglers', '1', '--state', state]
    const first = await Served.start(args)
    for (let i = 0; i < 200; i++) await first.infer(json(i))
    await until(async () => ((await first.metrics()).get('approxifer_remembered_queries{model="digits"}') ?? 0) > 0)
    const before = (await first.metrics()).get('approxifer_remembered_queries{model="digits"}') ?? 0
    expect(await first.stop()).toBe(0)
    const second = await Served.start(args)
    const after = (await second.metrics()).get('approxifer_remembered_queries{model="digits"}')
    expect(after).toBeGreaterThanOrEqual(before)
    expect(await second.stop()).toBe(0)
  })
})

describe('SIGHUP', () => {
  it('loads what is described anew, ends what is gone, and keeps what is not', async () => {
    const path = join(folder, 'models.json')
    const write = (models: object) => writeFileSync(path, JSON.stringify({ models }))
    const own = (version: string) => ({ model: join(process.cwd(), LENET), workers: 1, version })
    write({ kept: own('1'), changed: own('1'), gone: own('1') })
    const served = await Served.start(['--config', path])
    write({ kept: own('1'), changed: own('2'), come: own('1') })
    served.process.kill('SIGHUP')
    const line = await served.line(({ msg }) => msg === 'reloaded')
    expect(line).toMatchObject({ loaded: ['changed', 'come'], unloaded: ['gone'] })
    const versions = async (name: string) => (await (await fetch(`${served.url}/v2/models/${name}`)).json()).versions
    expect([await versions('kept'), await versions('changed'), await versions('come')]).toEqual([['1'], ['2'], ['1']])
    expect((await served.infer(json(), {}, 'gone')).status).toBe(404)
    const broken = { ...own('1'), model: join(folder, 'not-there-yet.onnx') }
    const failures = () => served.lines.filter(({ msg }) => String(msg).startsWith('reloading failed')).length
    write({ kept: own('1'), changed: { ...broken, version: '3' }, broken })
    served.process.kill('SIGHUP')
    await served.line(() => failures() === 1)
    expect((await fetch(`${served.url}/v2/health/ready`)).status).toBe(200)
    expect([await versions('changed'), (await served.infer(json(), {}, 'broken')).status]).toEqual([['2'], 404])
    copyFileSync(LENET, join(folder, 'not-there-yet.onnx'))
    served.process.kill('SIGHUP')
    const again = await served.line(({ loaded }) => String(loaded) === 'changed,broken')
    expect([again.unloaded, await versions('changed'), await versions('broken')]).toEqual([[], ['3'], ['1']])
    writeFileSync(path, '{')
    served.process.kill('SIGHUP')
    await served.line(() => failures() === 2)
    expect((await served.infer(json(), {}, 'kept')).status).toBe(200)
    expect(await served.stop()).toBe(0)
  })
})

describe('SIGHUP, where names stay and what is in the files changes', () => {
  const put = (name: string, content: Uint8Array | string) => {
    writeFileSync(join(folder, name), content)
    return join(folder, name)
  }
  const reloaded = async (served: Served) => {
    const before = served.lines.length
    served.process.kill('SIGHUP')
    return served.line((line) => served.lines.indexOf(line) >= before && /^reload/.test(String(line.msg)))
  }

  it('a model is loaded anew, another is kept', async () => {
    const model = put('model.onnx', readFileSync(LENET))
    const served = await Served.start([`digits=${model}`, `kept=${LENET}`, '--workers', '1'])
    const answer = async () => (await (await served.infer()).json()).outputs[0].data
    const before = await answer()
    expect(await reloaded(served)).toMatchObject({ loaded: [], unloaded: [] })
    put('model.onnx', readFileSync('models/fashion-lenet.onnx'))
    expect(await reloaded(served)).toMatchObject({ loaded: ['digits'], unloaded: [] })
    expect(await answer()).not.toEqual(before)
    put('model.onnx', 'half a model')
    expect(await reloaded(served)).toMatchObject({ level: 'error', msg: expect.stringMatching(/^reloading failed/) })
    expect(await answer()).not.toEqual(before)
    put('model.onnx', readFileSync(LENET))
    expect(await reloaded(served)).toMatchObject({ loaded: ['digits'] })
    expect(await answer()).toEqual(before)
    expect(await served.stop()).toBe(0)
  })

  it.each([
    ['that tags what it gives', true],
    ['that does not', false],
  ])('a model of a web server %s is loaded anew when its bytes are others', async (_, tags) => {
    let bytes = readFileSync(LENET)
    let asked = 0
    const server = createWebServer((_, response) => {
      asked++
      if (!bytes.length) response.statusCode = 503
      if (tags) response.setHeader('etag', `"${bytes.length ? checksum(bytes) : ''}"`)
      response.end(bytes)
    }).listen(0, '127.0.0.1')
    await once(server, 'listening')
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/model`
    const served = await Served.start([`digits=${url}`, '--workers', '1'])
    const answer = async () => (await (await served.infer()).json()).outputs[0].data
    const before = await answer()
    asked = 0
    expect(await reloaded(served)).toMatchObject({ loaded: [] })
    expect(asked).toBe(1)
    bytes = Buffer.alloc(0)
    const sentence = `digits: the model '${url}' cannot be read: ${url} answered 503`
    expect(await reloaded(served)).toMatchObject({ level: 'error', err: { message: sentence } })
    expect(await answer()).toEqual(before)
    bytes = readFileSync('models/fashion-lenet.onnx')
    expect(await reloaded(served)).toMatchObject({ loaded: ['digits'] })
    expect(await answer()).not.toEqual(before)
    expect(await served.stop()).toBe(0)
    server.close()
  })

  it('tokens are replaced; a file without any changes nothing', async () => {
    const file = put('tokens', 'old\n')
    const served = await Served.start([`digits=${LENET}`, '--workers', '1', '--token-file', file])
    const as = async (token: string) => (await served.infer(json(), { headers: { authorization: `Bearer ${token}` } })).status // biome-ignore format: one line
    expect([await as('old'), await as('new')]).toEqual([200, 401])
    put('tokens', 'old\nnew\n')
    expect((await reloaded(served)).msg).toBe('reloaded')
    expect([await as('old'), await as('new')]).toEqual([200, 200])
    put('tokens', 'new\n')
    expect((await reloaded(served)).msg).toBe('reloaded')
    expect([await as('old'), await as('new')]).toEqual([401, 200])
    put('tokens', '\n')
    expect(await reloaded(served)).toMatchObject({ level: 'error', err: { message: expect.stringContaining('token') } })
    expect([await as('old'), await as('new')]).toEqual([401, 200])
    expect(await served.stop()).toBe(0)
  })

  it('a stream of events whose token is revoked ends, one whose token stays goes on', async () => {
    const file = put('tokens', 'old\nnew\n')
    const served = await Served.start([`digits=${LENET}`, '--workers', '1', '--token-file', file])
    const stream = async (token: string) => {
      const { body } = await fetch(`${served.url}/events`, { headers: { authorization: `Bearer ${token}` } })
      return (body as ReadableStream<Uint8Array>).getReader()
    }
    const [revoked, kept] = [await stream('old'), await stream('new')]
    for (const reader of [revoked, kept]) expect((await reader.read()).done).toBe(false) // what it begins with
    put('tokens', 'new\n')
    expect((await reloaded(served)).msg).toBe('reloaded')
    await served.infer(json(), { headers: { authorization: 'Bearer new' } })
    expect((await revoked.read()).done).toBe(true)
    expect(new TextDecoder().decode((await kept.read()).value)).toMatch(/^event: group/)
    expect(await served.stop()).toBe(0)
  })

  it('a token for workers elsewhere', async () => {
    const worker = await Served.start([
      `digits=${LENET}`,
      '--workers',
      '1',
      '--token-file',
      put('worker-tokens', 'old'),
    ])
    put('their-token', 'old')
    const digits = { workers: worker.url, remote: { tokenFile: 'their-token' } }
    const gateway = await Served.start(['--config', put('gateway.json', JSON.stringify({ models: { digits } }))])
    put('worker-tokens', 'new')
    await reloaded(worker)
    expect((await gateway.infer()).status).toBe(503)
    put('their-token', 'new')
    expect(await reloaded(gateway)).toMatchObject({ loaded: ['digits'] })
    expect((await gateway.infer()).status).toBe(200)
    for (const each of [gateway, worker]) expect(await each.stop()).toBe(0)
  })

  it('while models are loading: tokens count at once, models when that is done', async () => {
    const port = await freePort()
    const tokens = put('tokens', 'old\n')
    const own = { model: join(process.cwd(), LENET), workers: 1 }
    const slow = { workers: `http://127.0.0.1:${port}`, remote: { tokenFile: put('slow-token', 'theirs') } }
    const file = put('loading.json', JSON.stringify({ models: { digits: own, slow }, tokenFile: tokens }))
    const served = new Served(['--config', file])
    served.url = String((await served.line(({ msg }) => String(msg).startsWith('waits for workers'))).url)
    const as = async (token: string) => (await served.infer(json(), { headers: { authorization: `Bearer ${token}` } })).status // biome-ignore format: one line
    expect([await as('old'), await as('new')]).toEqual([200, 401])
    put('tokens', 'new\n')
    put('loading.json', JSON.stringify({ models: { digits: own, slow, more: own }, tokenFile: tokens }))
    served.process.kill('SIGHUP')
    await served.line(({ msg }) => String(msg).startsWith('tokens and certificate were read again'))
    expect([await as('old'), await as('new')]).toEqual([401, 200])
    const worker = spawn(process.execPath, ['dist/cli.js', 'serve', `slow=${LENET}`, '--workers', '1', '--port', `${port}`], { env: { ...process.env, APPROXIFER_TOKEN: 'theirs' } }) // biome-ignore format: one line
    expect(await served.line(({ msg }) => msg === 'reloaded')).toMatchObject({ loaded: ['more'], unloaded: [] })
    expect(await served.stop()).toBe(0)
    worker.kill()
  })

  it.each([
    ['it looks whether a model has changed', 1],
    ['it loads the model anew', 3], // when it has looked twice
  ])('SIGTERM while %s is no failure of that', async (_, request) => {
    const give = (response: ServerResponse) => response.end(readFileSync('models/fashion-lenet.onnx'))
    let answer: (response: ServerResponse) => void = (response) => response.end(readFileSync(LENET))
    const server = createWebServer((_, response) => answer(response)).listen(0, '127.0.0.1')
    await once(server, 'listening')
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/model`
    const served = await Served.start([`digits=${url}`, '--workers', '1'])
    let requests = 0
    const asked = new Promise<ServerResponse>((resolve) => {
      answer = (response) => (++requests === request ? resolve(response) : give(response))
    })
    served.process.kill('SIGHUP')
    const response = await asked
    const stopped = served.stop()
    await served.line(({ msg }) => /^closing/.test(String(msg)))
    give(response)
    expect(await stopped).toBe(0)
    expect(served.lines.filter(({ level }) => level === 'error')).toEqual([])
    server.close()
  })

  it('of other settings it says that they need a restart', async () => {
    const models = { digits: { model: join(process.cwd(), LENET), workers: 1 } }
    const file = put('settings.json', JSON.stringify({ models, grace: 1 }))
    const served = await Served.start(['--config', file])
    put('settings.json', JSON.stringify({ models, grace: 2, maxBodies: 100 }))
    expect(await reloaded(served)).toMatchObject({ loaded: [] })
    const said = await served.line(({ settings }) => settings !== undefined)
    expect(said).toMatchObject({ level: 'warn', settings: ['maxBodies', 'grace'] })
    expect(await served.stop()).toBe(0)
  })
})

describe('OpenTelemetry', () => {
  it('gets a span per request, under the caller’s own, with an event per row', async () => {
    const preload = join(folder, 'tracing.mjs')
    writeFileSync(preload, TRACING)
    const served = await Served.start([`digits=${LENET}`, '--workers', '1'], { NODE_OPTIONS: `--import ${preload}` })
    await served.infer(json(0), { headers: { traceparent: `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01` } })
    const { span } = (await served.line(({ span }) => span !== undefined)) as { span: Record<string, unknown> }
    expect(span).toMatchObject({ name: 'infer digits', parent: 'b'.repeat(16), ended: true })
    expect(span.attributes).toMatchObject({ 'http.response.status_code': 200, 'approxifer.queries': 1 })
    expect(span.events).toEqual([['row', expect.objectContaining({ row: 0, outcome: 'onTime', worker: 'worker 0' })]])
    expect(await served.stop()).toBe(0)
  })
})

/** Stands in for an SDK: what ends is written to stdout. */
const TRACING = `
import { propagation, trace } from '${pathToFileURL(createRequire(import.meta.url).resolve('@opentelemetry/api')).href}'
propagation.setGlobalPropagator({
  inject() {},
  fields: () => ['traceparent'],
  extract: (context, carrier, { get }) => {
    const [, traceId, spanId] = (get(carrier, 'traceparent') ?? '').split('-')
    return spanId ? trace.setSpanContext(context, { traceId, spanId, traceFlags: 1, isRemote: true }) : context
  },
})
const startSpan = (name, { attributes }, context) => {
  const span = { name, parent: trace.getSpanContext(context)?.spanId, attributes: { ...attributes }, events: [] }
  return {
    isRecording: () => true,
    setAttributes: (more) => Object.assign(span.attributes, more),
    setStatus() {},
    addEvent: (event, about) => span.events.push([event, about]),
    end: () => console.log(JSON.stringify({ span: { ...span, ended: true } })),
  }
}
trace.setGlobalTracerProvider({ getTracer: () => ({ startSpan }) })
`

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number }
      server.close(() => resolve(port))
    })
  })
}
