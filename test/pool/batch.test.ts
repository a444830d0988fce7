/** Several rows in one run of a model, and rows sent ahead: who shares a run with whom, and what becomes of each. */

import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { Worker } from 'node:worker_threads'
import { localWorkers, type ModelWorker, type PredictorOptions } from 'approxifer'
import { afterEach, describe, expect, it } from 'vitest'
import { type Law, MEDIAN_MS, randomTrouble, SimulatedWorker } from '../../bench/simulated'
import { ApproxiferError } from '../../src/errors'
import { Batching } from '../../src/pool/batching'
import { type Asker, Call, type Kind, Pool } from '../../src/pool/pool'
import { createPredictor } from '../../src/predictor/create'
import { seeded } from '../../src/random'
import { VirtualClock } from '../../src/testing/virtual-clock'
import { OnnxModel } from '../../src/workers/onnx/model'
import { WHAT } from '../fixtures/behaviour.js'
import { ask } from '../shared/contract'
import { query, turn } from '../shared/house'
import { onnx } from '../shared/onnx'

const signature = { inputs: [{ name: 'x', shape: [2] }], outputs: [{ name: 'y', shape: [2] }] }
const nobody = { avoids: () => false, sent() {}, spare() {}, heard() {} }
const MS = 10
setFlagsFromString('--expose-gc')
const collectGarbage: () => void = runInNewContext('gc')

interface Run {
  /** The first value of each row. */
  rows: number[]
  signals: readonly (AbortSignal | undefined)[]
  answer(i?: number, y?: Float32Array): void
  fail(error: ApproxiferError, i?: number): void
}

/** Runs are settled by hand, as a whole or row by row. */
class BatchWorker implements ModelWorker {
  readonly signature = signature
  readonly runs: Run[] = []
  maxBatch = 8
  capacity = 1
  takesNext = false
  roundTripMs: number | undefined
  onFree: (() => void) | undefined
  restarts = 0

  constructor(readonly name = 'w') {}

  get free() {
    return this.runs.length < this.capacity
  }

  infer(row: Float32Array, { signal }: { signal?: AbortSignal } = {}) {
    return this.inferBatch([row], { signals: signal ? [signal] : [] })[0]
  }

  inferBatch(rows: readonly Float32Array[], { signals = [] }: { signals?: readonly AbortSignal[] } = {}) {
    let open = rows.length
    const settles: { resolve(y: Float32Array): void; reject(error: ApproxiferError): void }[] = []
    const answers = rows.map((_, i) => {
      return new Promise<Float32Array>((resolve, reject) => {
        const end = () => {
          settles[i] = { resolve() {}, reject() {} }
          if (--open) return
          this.runs.splice(this.runs.indexOf(run), 1)
          this.onFree?.()
        }
        settles[i] = { resolve: (y) => [resolve(y), end()], reject: (error) => [reject(error), end()] }
        signals[i]?.addEventListener('abort', () => settles[i].reject(new ApproxiferError('ABORTED', 'aborted')))
      })
    })
    const each = (i: number | undefined) => (i === undefined ? rows.keys() : [i])
    const run: Run = {
      rows: rows.map(([x]) => x),
      signals,
      answer: (i, y) => [...each(i)].forEach((at) => settles[at].resolve(y ?? rows[at].map((v) => 2 * v))),
      fail: (error, i) => [...each(i)].forEach((at) => settles[at].reject(error)),
    }
    this.runs.push(run)
    return answers
  }

  restart() {
    this.restarts++
    const { capacity } = this
    this.capacity = 0
    for (const run of [...this.runs]) run.fail(new ApproxiferError('WORKER', 'was restarted'))
    this.capacity = capacity
  }

  async close() {}
}

const call = (
  x: number,
  { asker = { ...nobody } as Asker, kind = 'query' as Kind, dueAt = Number.POSITIVE_INFINITY } = {},
) => Object.assign(new Call(asker, { data: query(x), index: 0 }, kind), { dueAt })

/** A pool in made time whose workers are known to take 10 ms, and are at work on row 0. */
async function busy(workers: BatchWorker[], options: { hangMs?: number; lateMs?: number; maxBatch?: number } = {}) {
  const clock = new VirtualClock()
  const { hangMs = 30_000, lateMs, maxBatch } = options
  const pool = new Pool(workers, { clock, hangMs, signature, lateMs: () => lateMs, ...(maxBatch && { maxBatch }) })
  const pass = (ms: number) => clock.run(clock.now() + ms)
  for (let round = 0; round < 2; round++) {
    for (const _ of workers) pool.put(call(0))
    await pass(MS)
    if (round === 0) for (const { runs } of workers) runs[0].answer()
    await pass(0)
  }
  return { clock, pool, pass, put: (...calls: Call[]) => calls.forEach((each) => pool.put(each)) }
}

const rows = (worker: BatchWorker) => worker.runs.map((run) => run.rows)
const died = new ApproxiferError('WORKER', 'went down')

describe('a deep queue', () => {
  it('a worker gets rows of several groups in one run, and each has its own outcome', async () => {
    const worker = new BatchWorker()
    const { put, pass } = await busy([worker])
    const calls = [1, 2, 3].map((x) => call(x))
    put(...calls)
    worker.runs[0].answer()
    await pass(MS)
    expect(rows(worker)).toEqual([[1, 2]])
    worker.runs[0].answer(1, Float32Array.of(Number.NaN, 0))
    await pass(MS)
    expect([calls[0].state, calls[1].state, calls[1].error?.code]).toEqual(['running', 'done', 'PROTOCOL'])
    expect(rows(worker)).toEqual([[1, 2]]) // it is at work until all have an outcome
    worker.runs[0].answer(0)
    await pass(0)
    expect([...(calls[0].answer as Float32Array)]).toEqual([2, 2])
    expect(rows(worker)).toEqual([[3]])
  })

  it('none is made while no more rows wait than there are workers, nor by a worker that takes one, nor with maxBatch 1', async () => {
    for (const [workers, count, options] of [
      [[new BatchWorker('a'), new BatchWorker('b')], 3, {}],
      [[Object.assign(new BatchWorker(), { maxBatch: 1 })], 9, {}],
      [[new BatchWorker()], 9, { maxBatch: 1 }],
    ] as const) {
      const { put, pass } = await busy([...workers], options)
      put(...Array.from({ length: count }, (_, i) => call(i + 1)))
      workers[0].runs[0].answer()
      await pass(0)
      expect(rows(workers[0])).toEqual([[1]])
    }
  })

  /** A pool whose clock tells when all that has arrived was heard, and a worker that has learned that runs of several pay. */
  async function gathering(ms: number) {
    const later: (() => void)[] = []
    const clock = Object.assign(new VirtualClock(), { soon: (f: () => void) => later.push(f) })
    const worker = Object.assign(new BatchWorker(), { takesNext: true, capacity: 2 })
    const pool = new Pool([worker], { clock, hangMs: 30_000, signature })
    const arrive = (...values: number[]) => {
      for (const x of values) pool.put(call(x))
      for (const f of later.splice(0)) f()
    }
    for (let round = 0; round < 40; round++) {
      arrive(...Array<number>(16).fill(0))
      while (worker.runs.length) {
        await clock.run(clock.now() + ms)
        worker.runs[0].answer()
        await clock.run(clock.now())
      }
    }
    return { worker, arrive }
  }

  it.each([
    ['of a quick model share a run: each woke its thread', 1, 2],
    ['of a model that takes its time do not wait for each other', MS, undefined],
  ])('rows that have arrived at the same time and meet an idle worker %s', async (_, ms, expected) => {
    const { worker, arrive } = await gathering(ms)
    arrive(1, 2, 3, 4)
    expect(worker.runs[0].rows[1]).toBe(expected)
  })

  it('no run is sent ahead to a quick model that is smaller than pays: each woke its thread', async () => {
    const { worker, arrive } = await gathering(1)
    arrive(1)
    for (const x of [2, 3]) arrive(x)
    expect(rows(worker)).toEqual([[1]])
  })

  it('two rows of a group never share a run, nor is a row with one whose worker it avoids', async () => {
    const workers = ['a', 'b', 'c', 'd'].map((name) => new BatchWorker(name))
    const { put, pass } = await busy(workers)
    const [one, other] = [{ ...nobody }, { ...nobody }]
    const picky = { ...nobody, avoids: () => true }
    put(call(1, { asker: one }), call(2, { asker: one }), call(3, { asker: picky }), call(4, { asker: other }))
    put(call(5, { asker: other }), call(6), call(7), call(8))
    workers[0].runs[0].answer()
    await pass(0)
    expect(rows(workers[0])).toEqual([[1, 4]])
  })

  it('what can be done without goes alone', async () => {
    const worker = new BatchWorker()
    const { put, pass } = await busy([worker])
    put(...[1, 2, 3, 4].map((x) => call(x, { kind: 'extra' })))
    worker.runs[0].answer()
    await pass(0)
    expect(rows(worker)).toEqual([[1]])
  })

  it('no row is kept beyond its deadline: one with little time goes alone, and joins no run', async () => {
    const worker = new BatchWorker()
    const { put, pass } = await busy([worker])
    put(call(1, { dueAt: 35 }), call(2), call(3, { dueAt: 45 }), call(4), call(5), call(6))
    worker.runs[0].answer()
    await pass(MS)
    expect(rows(worker)).toEqual([[1]]) // at 20 ms, a run of two takes another 20, as far as is known
    worker.runs[0].answer()
    await pass(0)
    expect(rows(worker)).toEqual([[2]]) // at 30, without 3; at 40 it goes on with it
  })

  it('an abort of one row ends no other', async () => {
    const worker = new BatchWorker()
    const { pool, put, pass } = await busy([worker])
    const calls = [1, 2, 3].map((x) => call(x))
    put(...calls)
    worker.runs[0].answer()
    await pass(MS)
    pool.cancel(calls[0])
    await pass(0)
    expect([calls[0].state, calls[0].error?.code, calls[1].state]).toEqual(['done', 'ABORTED', 'running'])
    expect(rows(worker)).toEqual([[1, 2]])
    worker.runs[0].answer(1)
    await pass(0)
    expect([calls[1].answer !== undefined, rows(worker)]).toEqual([true, [[3]]])
  })

  it('rows of a run that its worker went down with are sent again alone, before all others, and only then count as deadly', async () => {
    const worker = new BatchWorker()
    const { pool, put, pass } = await busy([worker])
    const calls = [1, 2, 3].map((x) => call(x))
    put(...calls)
    worker.runs[0].answer()
    await pass(MS)
    const crash = async () => {
      worker.capacity = 0
      worker.runs[0].fail(died)
      await pass(0)
      worker.capacity = 1
      worker.onFree?.()
    }
    await crash()
    expect(calls.map(({ state, killed }) => [state, killed])).toEqual([
      ['running', false],
      ['waiting', false],
      ['waiting', false],
    ])
    expect(rows(worker)).toEqual([[1]])
    expect(calls[1].sentAt).toBeNaN() // its time begins anew
    await crash()
    expect([calls[0].state, calls[0].killed, rows(worker)]).toEqual(['done', true, [[2]]])
    expect(pool.stats()[0].failed).toBe(1) // the batch; what became of row 1 its asker tells
  })

  it('a worker that cannot do several is given one at a time before long', async () => {
    const refuses = () => {
      throw new Error('too many')
    }
    const asynchronous = async () => [new Float32Array(2), new Float32Array(2)]
    for (const inferBatch of [refuses, asynchronous] as unknown as BatchWorker['inferBatch'][]) {
      const worker = new BatchWorker()
      const { put, pass } = await busy([worker])
      const single = worker.inferBatch.bind(worker)
      worker.infer = (row, { signal } = {}) => single([row], { signals: signal ? [signal] : [] })[0]
      let refused = 0
      worker.inferBatch = (...all) => {
        refused++
        return inferBatch(...all)
      }
      const calls = Array.from({ length: 200 }, (_, i) => call(i + 1))
      put(...calls)
      while (worker.runs.length) {
        worker.runs[0].answer()
        await pass(1)
      }
      expect(calls.every(({ answer }) => answer)).toBe(true)
      expect([refused > 0, refused < 5]).toEqual([true, true])
    }
  })

  it('a run that hangs is no row’s fault; the worker is watched as with one row', async () => {
    const worker = new BatchWorker()
    const { put, pass } = await busy([worker], { hangMs: 100 })
    const calls = [1, 2, 3].map((x) => call(x))
    put(...calls)
    worker.runs[0].answer()
    await pass(150)
    expect([worker.restarts, calls.map(({ killed, alone }) => killed || !alone)]).toEqual([1, [false, false, true]])
    expect(rows(worker)).toEqual([[1]])
    await pass(100)
    expect([worker.restarts, calls[0].killed]).toEqual([2, true])
  })

  it('a row that takes its worker down fails after two that it had for itself, all others are answered', async () => {
    const workers = ['a', 'b', 'c'].map((name) => new BatchWorker(name))
    const clock = new VirtualClock()
    const predictor = await createPredictor({
      workers,
      clock,
      audit: 0,
      hedges: 0,
      scheme: { queries: 1 },
      policy: 'retry',
    })
    const POISON = 7
    let [crashes, shared] = [0, 0]
    const answers: Promise<unknown>[] = []
    for (let x = 1; x <= 60; x++) answers.push(predictor.predict(query(x === 9 ? POISON : x + 100)))
    const results = Promise.allSettled(answers)
    while (workers.some(({ runs }) => runs.length)) {
      await clock.run(clock.now() + MS)
      for (const worker of workers) {
        const [run] = worker.runs
        if (!run?.rows.includes(POISON)) run?.answer()
        else {
          crashes++
          shared += Number(run.rows.length > 1)
          worker.capacity = 0
          run.fail(died)
          await turn()
          worker.capacity = 1
          worker.onFree?.()
        }
      }
      await turn()
    }
    const failed = (await results).flatMap((result, i) =>
      result.status === 'rejected' ? [[i, result.reason.code]] : [],
    )
    expect(failed).toEqual([[8, 'WORKER']])
    expect([crashes - shared, shared <= 1]).toEqual([2, true])
    await predictor.close()
  })

  it('a predictor that closes, or a worker that is removed, settles every row of a run', async () => {
    for (const end of ['close', 'remove'] as const) {
      const worker = new BatchWorker()
      const { pool, put, pass } = await busy([worker])
      const calls = [1, 2, 3].map((x) => call(x))
      put(...calls)
      worker.runs[0].answer()
      await pass(0)
      if (end === 'close') void pool.close(new ApproxiferError('CLOSED', 'closed'))
      else pool.remove('w')
      await turn()
      expect(calls.map(({ error }) => error?.code).slice(0, 2)).toEqual(
        Array(2).fill(end === 'close' ? 'CLOSED' : 'WORKER'),
      )
    }
  })
})

/** Simulated workers: LeNet's runs of 2, 4, 8, 16 rows, and ResNet-8's, beside one row's. */
const lenet = { most: 16, factor: (count: number) => 0.45 + 0.55 * count }
const resnet = { most: 16, factor: (count: number) => count }
const single = { most: 1, factor: () => 1 }

async function served(count: number, batches: typeof lenet, law: Law, options: Partial<PredictorOptions> = {}) {
  const clock = new VirtualClock()
  const workers = Array.from({ length: count }, (_, i) => {
    return new SimulatedWorker(i, { clock, law, answer: (row) => row.slice(), signature, batches })
  })
  const rest = { maxQueries: 1e6, deadlineMs: 1e6, memory: false } as const
  const predictor = await createPredictor({ workers, clock, ...rest, ...options })
  return { clock, workers, predictor }
}

/** Milliseconds until so many queries that are asked at once are answered. */
async function drain(batches: typeof lenet): Promise<number> {
  const { clock, predictor } = await served(2, batches, randomTrouble(seeded(2)))
  const all = Promise.all(Array.from({ length: 2000 }, (_, i) => predictor.predict(query(i))))
  await clock.run()
  await all
  let last = 0
  for (const { waitedMs, ranMs } of await all) last = Math.max(last, waitedMs + ranMs)
  await predictor.close()
  return last
}

/** The 99th percentile of queries that come by themselves, at a load of .6 of what goes without batches. */
async function p99(
  batches: typeof lenet,
  count: number,
  scheme: PredictorOptions['scheme'],
  seed: number,
): Promise<number> {
  const { clock, predictor } = await served(count, batches, randomTrouble(seeded(seed)), scheme ? { scheme } : {})
  const random = seeded(seed + 1)
  const times: number[] = []
  let at = 0
  for (let i = 0; i < 5000; i++) {
    at -= (Math.log(1 - random.next()) * 1.18 * MEDIAN_MS) / (0.6 * count)
    clock.after(at, async () => {
      const since = clock.now()
      await predictor.predict(query(i))
      times.push(clock.now() - since)
    })
  }
  await clock.run()
  await predictor.close()
  return times.sort((a, b) => a - b)[4950]
}

describe('how many rows', () => {
  it('a model that gains gets batches and is faster, one that does not is as fast as without', async () => {
    const alone = await drain(single)
    expect(alone / (await drain(lenet))).toBeGreaterThan(1.3)
    expect(alone / (await drain(resnet))).toBeGreaterThan(0.97)
  })

  it.each([
    ['two workers', 2, undefined],
    ['nine workers, K = 8', 9, { queries: 8, stragglers: 1 }],
  ] as const)('%s: at load .6 nobody waits longer, whatever the model gains', async (_, count, scheme) => {
    const ratios = { lenet: [] as number[], resnet: [] as number[] }
    for (const seed of [10, 20, 30]) {
      const alone = await p99(single, count, scheme, seed)
      ratios.lenet.push((await p99(lenet, count, scheme, seed)) / alone)
      ratios.resnet.push((await p99(resnet, count, scheme, seed)) / alone)
    }
    const median = (values: number[]) => values.sort((a, b) => a - b)[1]
    expect(median(ratios.lenet)).toBeLessThan(1.05)
    expect(median(ratios.resnet)).toBeLessThan(1.05)
  })

  it('a larger size is used on if it brings a tenth more rows, and given up when it no longer does', () => {
    const batches = new Batching(16)
    const work = (times: (rows: number) => number, runs: number) => {
      const sizes = Array.from({ length: runs }, () => {
        const size = batches.next(16)
        batches.add(size, times(size))
        return size
      })
      return sizes.slice(-100).sort((a, b) => a - b)[50]
    }
    expect(work((count) => 10 * lenet.factor(count), 300)).toBeGreaterThanOrEqual(4)
    expect(Math.abs(batches.factor(4) - lenet.factor(4))).toBeLessThan(0.01)
    expect(work((count) => 10 * count, 8000)).toBe(1)
    expect(work((count) => 10 + 0.1 * count, 8000)).toBe(16)
  })

  it('never more than may go', () => {
    const batches = new Batching(16)
    for (let i = 0; i < 500; i++) {
      const size = batches.next(16)
      batches.add(size, 10)
    }
    for (const most of [1, 2, 4, 8]) expect(batches.next(most)).toBeLessThanOrEqual(most)
  })

  it('a worker at work on batches is not taken for a slow one, nor are its rows for late ones', async () => {
    const hedged: number[] = []
    for (const batches of [single, lenet]) {
      const random = seeded(5)
      const { clock, predictor, workers } = await served(2, batches, () => MEDIAN_MS * Math.exp(0.1 * random.gauss()))
      const ask = (x: number, at: number) => clock.after(at, () => void predictor.predict(query(x)))
      for (let burst = 0; burst < 30; burst++) {
        for (let i = 0; i < 40; i++) ask(i, 2000 * burst)
        for (let i = 0; i < 20; i++) ask(i, 2000 * burst + 1000 + 20 * i)
      }
      await clock.run()
      const { hedges, workers: stats, lateMs } = predictor.stats()
      hedged.push(hedges.sent)
      for (const { expectedMs } of stats) expect(Math.abs((expectedMs as number) - MEDIAN_MS)).toBeLessThan(2)
      expect(lateMs).toBeLessThan(1.3 * MEDIAN_MS)
      for (const { calls } of workers) expect(calls).toBeGreaterThan(0.4 * 30 * 60)
      await predictor.close()
    }
    expect(hedged[1]).toBeLessThan(1.2 * hedged[0]) // one in twenty is late, by definition
  })
})

describe('a row sent ahead', () => {
  const far = (name: string) =>
    Object.assign(new BatchWorker(name), { takesNext: true, capacity: 2, maxBatch: 1, roundTripMs: 6 })

  it('goes to a worker whose round trip is long beside an inference, where much waits', async () => {
    for (const [roundTripMs, ahead] of [
      [6, [[0], [1]]],
      [1, [[0]]],
      [undefined, [[0]]],
    ] as const) {
      const worker = Object.assign(far('w'), { roundTripMs })
      const { put } = await busy([worker])
      put(call(1))
      expect(rows(worker)).toEqual([[0]]) // one waits, for one worker
      put(call(2))
      expect(rows(worker)).toEqual(ahead)
    }
  })

  it('is taken back when the call before it is late, and is the first that another worker gets', async () => {
    const [late, other] = [far('late'), far('other')]
    const { put, pass } = await busy([late, other], { lateMs: 15 })
    const told: string[] = []
    const asker = { ...nobody, sent: () => told.push('sent'), back: () => told.push('back') }
    const ahead = call(1, { asker })
    put(ahead, call(2), call(3), call(4))
    const [slow, quick] = rows(late).length > 1 && rows(late)[1][0] === 1 ? [late, other] : [other, late]
    expect([rows(slow)[1], told]).toEqual([[1], []])
    await pass(4)
    expect(ahead.state).toBe('running')
    quick.runs[0].answer()
    await pass(4)
    expect([slow.runs.length, rows(quick)[1], told]).toEqual([1, [1], ['back']]) // its signal fired
    slow.runs[0].answer() // the late one is heard all the same
    quick.runs[0].answer()
    await pass(0)
    expect([ahead.worker, told]).toEqual([quick, ['back', 'sent']])
  })

  it('is taken back in time though one that was sent before has longer', async () => {
    const [one, other] = [far('one'), far('other')]
    const { put, pass } = await busy([one, other], { lateMs: 15 }) // both have been at work for 10
    put(call(1), call(2), call(3), call(4))
    const [first, second] = rows(one)[1][0] === 1 ? [one, other] : [other, one]
    Object.assign(first, { interruptible: false }) // it is given twice as long
    expect([rows(first)[1], rows(second)[1]]).toEqual([[1], [2]])
    await pass(8)
    expect([first.runs.length, second.runs.length]).toEqual([2, 1])
    await pass(15)
    expect(first.runs.length).toBe(1)
  })

  it('is not taken back where this thread stalled, and the answer to the one before it waits to be read', async () => {
    const workers = [far('a'), far('b')]
    const { clock, put, pass } = await busy(workers, { lateMs: 15 })
    const told: string[] = []
    put(...[1, 2, 3, 4].map((x) => call(x, { asker: { ...nobody, back: () => told.push('back') } })))
    expect(workers.map(({ runs }) => runs.length)).toEqual([2, 2])
    clock.spend(20)
    clock.after(0, () => workers.forEach(({ runs }) => runs[0].answer())) // behind the timers that are due
    await pass(3)
    expect([told, workers.map(({ runs }) => runs.length)]).toEqual([[], [1, 1]])
  })

  it('is of another group than the one before it', async () => {
    const worker = far('w')
    const asker = { ...nobody }
    const { put, pass } = await busy([worker])
    put(call(1, { asker }))
    worker.runs[0].answer()
    await pass(0)
    put(call(2, { asker }), call(3))
    expect(rows(worker)).toEqual([[1], [3]])
  })

  it('goes to no worker that is in quarantine, nor behind the row that such a one is tried with', async () => {
    const [liar, other] = [far('liar'), far('other')]
    const { pool, put, pass } = await busy([liar, other])
    pool.bar('liar')
    put(...Array.from({ length: 12 }, (_, i) => call(i + 1)))
    expect(rows(liar)).toEqual([[0]])
    liar.runs[0].answer()
    await pass(0)
    expect(rows(liar)).toEqual([])
    expect(pool.tryOn(call(99))).toBe(true)
    put(call(13))
    expect(rows(liar)).toEqual([[99]])
  })

  it('what it took behind another is not held against it, nor counts the way that it had made', async () => {
    const worker = Object.assign(far('w'), { roundTripMs: 4 })
    const { pool, put, pass } = await busy([worker])
    const calls = [1, 2, 3, 4].map((x) => call(x))
    put(...calls)
    for (let i = 0; i < 4; i++) {
      worker.runs[0].answer()
      await pass(4)
    }
    expect(calls[1].ms).toBe(8) // four at work, four on the way
    expect(pool.stats()[0].expectedMs).toBe(8)
  })

  it('of several rows ahead one that failed is not lost when the others are taken back: it waits again, too', async () => {
    const worker = Object.assign(far('w'), { maxBatch: 8 })
    const { put, pass } = await busy([worker], { lateMs: 15 })
    const calls = [1, 2].map((x) => call(x))
    put(...calls)
    expect(rows(worker)).toEqual([[0], [1, 2]])
    worker.runs[1].fail(died, 0)
    await pass(15)
    expect(calls.map(({ state, alone }) => [state, alone])).toEqual([
      ['waiting', true],
      ['waiting', false],
    ])
    for (let i = 0; i < 3; i++) {
      worker.runs[0].answer()
      await pass(1)
    }
    expect(calls.map(({ answer }) => answer?.[0])).toEqual([2, 4])
  })

  it('no row shares a run that its deadline forbids, the one before it counted', async () => {
    const worker = Object.assign(far('w'), { maxBatch: 8 })
    const { put, pass } = await busy([worker])
    put(call(1))
    worker.runs[0].answer()
    await pass(0)
    put(call(2, { dueAt: 45 }), call(3)) // it is at work until 30 ms, and two rows take until 50
    expect(rows(worker)).toEqual([[1], [2]])
  })

  it('those that were answered are not kept while one waits behind a worker that hangs', async () => {
    const [hangs, other] = [far('hangs'), far('other')]
    const { put, pass } = await busy([hangs, other]) // what is late is not known
    const answered: WeakRef<Float32Array>[] = []
    const ask = () => {
      const each = call(1)
      answered.push(new WeakRef(each.row.data))
      put(each)
    }
    for (let i = 0; i < 6; i++) ask()
    expect(rows(hangs).length).toBe(2)
    for (let i = 0; i < 1000; i++) {
      ask()
      other.runs[0].answer()
      await pass(0)
    }
    collectGarbage()
    expect(answered.filter((each) => each.deref()).length).toBeLessThan(100)
  })

  it('goes elsewhere when its worker goes down, and is not to blame', async () => {
    const worker = far('w')
    const { put, pass } = await busy([worker])
    const calls = [1, 2, 3].map((x) => call(x))
    put(...calls)
    expect(rows(worker)).toEqual([[0], [1]])
    worker.capacity = 0
    for (const run of [...worker.runs]) run.fail(died)
    await pass(0)
    expect([calls[0].state, calls[0].killed, calls[0].worker]).toEqual(['waiting', false, undefined])
  })
})

describe('a local worker', () => {
  const open: ModelWorker[] = []
  afterEach(async () => {
    for (const worker of open.splice(0)) await worker.close()
  })
  const started = async () => {
    const createWorker = () => new Worker(new URL('../fixtures/thread.js', import.meta.url))
    const [worker] = await localWorkers({ model: Uint8Array.of(1), count: 1, createWorker })
    open.push(worker)
    return worker as ModelWorker & Required<Pick<ModelWorker, 'inferBatch' | 'maxBatch'>>
  }
  const outcomes = (all: Promise<Float32Array>[]) =>
    Promise.all(
      all.map((one) =>
        one.then(
          (y) => [...y],
          ({ code }) => code,
        ),
      ),
    )

  it('answers each row as if it were alone; what is wrong with one costs no other its answer', async () => {
    const worker = await started()
    const all = worker.inferBatch([
      ask('answer', 1),
      ask('throws'),
      ask('notANumber'),
      ask('wrongLength'),
      ask('answer', 2),
    ])
    expect(await outcomes(all)).toEqual([[2, 2], 'WORKER', 'PROTOCOL', 'PROTOCOL', [3, 4]])
    expect(await outcomes(worker.inferBatch([ask('answer', 3), ask('answer', 4)]))).toEqual([
      [4, 6],
      [5, 8],
    ])
  })

  it('an abort of one row rejects that one at once; a death rejects all; afterwards it is well', async () => {
    const worker = await started()
    const abort = new AbortController()
    const signals = [abort.signal, new AbortController().signal]
    const all = worker.inferBatch([ask('slow', 1), ask('answer', 2)], { signals })
    abort.abort()
    expect(await outcomes(all)).toEqual(['ABORTED', [3, 4]])
    expect(await outcomes(worker.inferBatch([ask('answer'), ask('exits')]))).toEqual(['WORKER', 'WORKER'])
    expect(await outcomes(worker.inferBatch([ask('answer'), ask('answer')]))).toEqual(['WORKER', 'WORKER']) // not yet
  })

  it('takes no more than it says, and none when it is closed', async () => {
    const worker = await started()
    const many = Array.from({ length: worker.maxBatch + 1 }, () => Float32Array.of(WHAT.answer, 0))
    await expect(Promise.any(worker.inferBatch(many))).rejects.toMatchObject({
      errors: many.map(() => expect.any(RangeError)),
    })
    const running = outcomes(worker.inferBatch([ask('slow'), ask('slow')]))
    await worker.close()
    expect(await running).toEqual(['CLOSED', 'CLOSED'])
    expect(await outcomes(worker.inferBatch(many.slice(0, 2)))).toEqual(['CLOSED', 'CLOSED'])
  })

  it('takes one row a run where rows have an influence on each other, or do not fit into one', async () => {
    const [x, y] = ['x', 'y'].map((name) => ({ name, shape: ['batch', 3] }))
    const across = { op: 'Softmax', inputs: ['x'], outputs: ['y'], ints: { axis: 0 } }
    const model = await OnnxModel.load(onnx([x], [y], [across]))
    expect(model.batches).toBe(false)
    expect([...(await model.infer(new Float32Array(6), 2))]).toEqual([1, 1, 1, 1, 1, 1])
    const wide = { name: 'x', shape: ['batch', 2 ** 18] }
    const neg = { op: 'Neg', inputs: ['x'], outputs: ['y'] }
    const [worker] = await localWorkers({
      model: onnx([wide], [{ ...wide, name: 'y' }], [neg]),
      count: 1,
      onWarning() {},
    })
    open.push(worker)
    expect(worker.maxBatch).toBe(1)
  })
})
