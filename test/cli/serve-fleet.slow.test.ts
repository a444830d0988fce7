import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { findNats } from '../../scripts/programs.js'
import { PROBE } from '../../src/oip/write'
import { scratch } from '../shared/cli'
import { freePort } from '../shared/nats-server'
import { QuirkServer } from '../shared/oip-quirks'
import { json, LENET, type Line, Served } from '../shared/served-process'
import { until } from '../shared/waiting'

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

  it('a gateway’s probes are no queries in a worker’s log', async () => {
    const worker = await Served.start([`digits=${LENET}`, '--workers', '1'])
    const gateway = await Served.start(['digits', '--workers', worker.url])
    const asked = () => worker.lines.filter(({ route }) => route === 'infer').map(({ probe, rows }) => [probe, rows])
    await worker.line(({ route }) => route === 'infer')
    const before = asked()
    expect(before.map(([probe]) => probe)).toEqual(before.map(() => true))
    await gateway.infer(json(), { headers: { [PROBE]: '1' } }) // is not handed on
    await worker.line(({ route, probe }) => route === 'infer' && !probe)
    expect(asked().filter(([probe]) => !probe)).toEqual([[undefined, 1]])
    expect([await gateway.stop(), await worker.stop()]).toEqual([0, 0])
  })

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
    const ofFirst = (msg: string) => gateway.line((line) => line.msg === msg && line.worker === `127.0.0.1:${workers[0].port}`) // biome-ignore format: one line
    await ofFirst('a worker has joined')
    write(workers.slice(1))
    await ofFirst('a worker has left')
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
    const name = `127.0.0.1:${worker.port}`
    const told = () => gateway.lines.filter(({ level, ...line }) => level === 'warn' && line.worker === name)
    expect(await ready()).toBe('200,200')
    await worker.kill()
    await until(async () => (await ready()) === '503,503')
    expect((await fetch(`${gateway.url}/v2/health/live`)).status).toBe(200)
    await worker.listen()
    await until(async () => (await ready()) === '200,200')
    await gateway.line(({ msg }) => String(msg).endsWith(' is back'))
    expect(told().map(({ model, url }) => [model, url])).toEqual([['m', undefined], ['m', undefined]]) // biome-ignore format: one line
    expect(gateway.lines.filter(({ msg }) => msg === 'a worker has joined')).toMatchObject([{ model: 'm', worker: name }]) // biome-ignore format: one line
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
    const isSaid = ({ msg }: Line) => String(msg).startsWith("more servers have another model than have the fleet's")
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
    expect(JSON.stringify(gateway.lines) + gateway.stderr).toContain('can read the password on the command line')
    expect(await gateway.stop()).toBe(0)
    for (const each of [machine, broker]) {
      const ended = once(each, 'exit')
      each.kill()
      await ended
    }
  })
})
