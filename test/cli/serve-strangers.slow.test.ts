/** The built `approxifer serve` with workers elsewhere of which one lies, and a thread of its own whose word is proof. */

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { localWorkers, type ModelWorker } from 'approxifer'
import { serveNats } from 'approxifer/nats'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { scratch } from '../shared/cli'
import { NatsServer, natsInstalled } from '../shared/nats-server'
import { QuirkServer } from '../shared/oip-quirks'
import { digit, follow, json, LENET, Served } from '../shared/served-process'
import { inferring } from '../shared/vectors'

const { folder } = scratch()
const ends: (() => unknown)[] = []
let model: ModelWorker

beforeAll(async () => {
  ;[model] = await localWorkers({ model: LENET, workers: 1 })
})
afterAll(() => model.close())
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end()
})

let turn = Promise.resolve<unknown>(undefined)
function logits(image: Float32Array): Promise<Float32Array> {
  const own = turn.then(() => model.infer([{ data: image.slice(), shape: [1, 28, 28] }]))
  turn = own.catch(() => {})
  return own.then(([{ data }]) => data as Float32Array)
}

/** The label that is least likely; but what is no digit, as what tells one model from another, is answered well. */
async function lie(image: Float32Array): Promise<Float32Array> {
  const own = await logits(image)
  const isDigit = image.filter((value) => value === 0).length > 100
  return isDigit ? own.map((value) => -value) : own
}

const labelOf = (values: ArrayLike<number>) => [...Array.from(values).keys()].sort((a, b) => values[b] - values[a])[0]

/** Asks for one digit. */
async function ask(gateway: Served, i: number) {
  const { outputs, parameters } = await (await gateway.infer(json(i))).json()
  const isWrong = labelOf(outputs[0].data) !== labelOf(await logits(digit(i)))
  return { isWrong, status: parameters.status[0] as string, id: parameters.recall_id?.[0] as number | undefined }
}

describe('one of two servers that lies', () => {
  it('is found out by a thread of the gateway: log, events and metric say which answers are recalled, by the ids that clients have', async () => {
    const honest = await Served.start([`digits=${LENET}`, '--workers', '1'])
    ends.push(() => honest.stop())
    const run = async ([rows]: Float32Array[], count: number) => {
      const values: number[] = []
      for (let i = 0; i < count; i++) values.push(...(await lie(rows.subarray(784 * i, 784 * (i + 1)))))
      return [{ name: 'logits', datatype: 'FP32' as const, shape: [10], values }]
    }
    const inputs = [{ name: 'input', shape: [1, 28, 28] }]
    const outputs = [{ name: 'logits', datatype: 'FP32' as const, shape: [10] }]
    const liar = await new QuirkServer('triton', { name: 'digits', inputs, outputs, run }).listen()
    ends.push(() => liar.kill())
    const where = `${honest.url},${liar.url}`
    const gateway = await Served.start([`digits=${LENET}`, '--workers', where, '--verify', 'sampled', '--verify-rate', '0.2']) // biome-ignore format: one line
    ends.push(() => gateway.stop())
    const { told: events, stop } = await follow(gateway, 'recalled')
    ends.push(stop)
    const began = Date.now()
    const wrong: (number | undefined)[] = []
    const seen = new Set<string>()
    // A busy machine gives the liar few queries: it is asked until one of its lies is drawn.
    for (let i = 0; !events.length; i++) {
      const each = await Promise.all([0, 1, 2].map((j) => ask(gateway, (3 * i + j) % 300)))
      for (const { isWrong, id, status } of each) {
        seen.add(status)
        if (isWrong) wrong.push(id)
      }
    }
    const line = await gateway.line(({ msg }) => msg === 'answers of a worker that lied are recalled')
    const worker = `127.0.0.1:${liar.port}`
    expect(line).toMatchObject({ level: 'warn', model: 'digits', worker, identity: worker })
    const { ids, times, of } = line as Record<'ids' | 'times', number[]> & { of: number }
    expect(events).toMatchObject([{ model: 'digits', worker, ids, times, of }])
    expect([times.length, times.every((time) => time >= began && time <= Date.now())]).toEqual([of, true])
    expect([ids.length, wrong.length > 0, wrong.filter((id) => !ids.includes(id as number))]).toEqual([of, true, []])
    const recalls = (since: string) => fetch(`${gateway.url}/v2/models/digits/recalls?since=${since}`)
    const told = await (await recalls('2020-01-01')).json()
    expect([told.ids, told.more]).toEqual([ids, false]) // as its clients ask
    expect(await (await recalls(told.until)).json()).toEqual({ ...told, ids: [] })
    expect((await gateway.metrics()).get('approxifer_recalled_total{model="digits"}')).toBe(of)
    expect([...seen].sort()).toEqual(['audited', 'exact'])
    for (let i = 0; i < 30; i++) expect((await ask(gateway, i)).isWrong).toBe(false)
    expect(gateway.lines.filter(({ msg }) => String(msg).startsWith(`${worker} lied, with proof`)).length).toBe(1)
  })
})

describe('a configuration', () => {
  it('says which workers are trusted: threads beside servers, which have the model under another name; or the servers themselves', async () => {
    const server = await Served.start([`digits=${LENET}`, '--workers', '1'])
    ends.push(() => server.stop())
    const verify = { mode: 'sampled' }
    const threads = { model: resolve(LENET), workers: [2, server.url], remote: { model: 'digits' }, verify }
    const servers = { model: 'digits', workers: server.url, remote: { trusted: true }, verify }
    writeFileSync(join(folder, 'serve.json'), JSON.stringify({ models: { threads, servers } }))
    const gateway = await Served.start(['--config', join(folder, 'serve.json')])
    ends.push(() => gateway.stop())
    const workers = [...(await gateway.metrics()).keys()].flatMap((name) => /worker_lies_total\{(.*)\}/.exec(name)?.[1] ?? []) // biome-ignore format: one line
    const remote = `worker="127.0.0.1:${server.port}"`
    expect(workers.sort()).toEqual([`model="servers",${remote}`, ...[`${remote}`, 'worker="worker 0"', 'worker="worker 1"'].map((worker) => `model="threads",${worker}`)]) // biome-ignore format: one line
    const statuses = async (model: string) => {
      const replies = await Promise.all([0, 1, 2, 3, 4, 5].map((i) => gateway.infer(json(i), {}, model)))
      return Promise.all(replies.map(async (reply) => (await reply.json()).parameters.status[0]))
    }
    expect(new Set(await statuses('servers'))).toEqual(new Set(['exact']))
    expect(new Set(await statuses('threads'))).toEqual(new Set(['exact', 'audited']))
  })
})

describe('a fleet that anybody may join', () => {
  it.skipIf(!natsInstalled)(
    '--trust open: a thread of the gateway proves who answers well; who lies gives no answer',
    async () => {
      const server = await NatsServer.start()
      ends.push(() => server.stop())
      const honest = spawn(process.execPath, ['dist/cli.js', 'work', LENET, '--nats', server.url, '--fleet', 'f', '--name', 'honest']) // biome-ignore format: one line
      ends.push(() => honest.kill('SIGKILL'))
      const { signature, fingerprint } = model
      const lying = { name: 'liar', signature, fingerprint, free: true, slots: 1, onFree: undefined, infer: inferring(lie), close: async () => {} } // biome-ignore format: one line
      const service = await serveNats(server.url, { fleet: 'f', name: 'liar', workers: [lying] })
      ends.push(() => service.close())
      const gateway = await Served.start([`digits=${LENET}`, '--workers', `1,${server.url}/f`, '--trust', 'open', '--integrity', '0.9']) // biome-ignore format: one line
      ends.push(() => gateway.stop())
      const value = async (name: string, worker: RegExp) => {
        const [found] = [...(await gateway.metrics())].filter(([key]) => key.startsWith(`approxifer_worker_${name}_total`) && worker.test(key)) // biome-ignore format: one line
        return found?.[1] ?? 0
      }
      let asked = 0
      const isDone = async () => (await value('proven', /="honest/)) > 20 && (await value('lies', /="liar/)) > 0
      while (asked < 3000 && !(await isDone())) {
        const each = await Promise.all(Array.from({ length: 20 }, () => ask(gateway, asked++ % 300)))
        for (const { isWrong, status, id } of each) {
          expect([isWrong, status === 'audited']).toEqual([false, id !== undefined]) // a thread's word is exact
        }
      }
      expect([await isDone(), await value('ejections', /="honest/)]).toEqual([true, 0])
      honest.kill('SIGTERM')
      await once(honest, 'exit')
    },
  )

  it('workers elsewhere, and no thread that could prove anything: it says what is missing', async () => {
    const gateway = new Served(['digits', '--workers', 'http://127.0.0.1:1', '--trust', 'open'])
    const [code] = await once(gateway.process, 'exit')
    expect([code, gateway.stderr]).toEqual([2, expect.stringContaining('digits: model: expected an .onnx file, which threads of this process run')]) // biome-ignore format: one line
  })
})
