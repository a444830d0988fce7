/** Several rows in one run of a model: who shares a run with whom, and what becomes of each. */

import { describe, expect, it } from 'vitest'
import { ApproxiferError } from '../../src/base/errors'
import type { Payload } from '../../src/base/payload'
import { Pool } from '../../src/pool/pool'
import { createPredictor } from '../../src/predictor/create'
import { VirtualClock } from '../../src/testing/virtual-clock'
import { accept, answerOf, BatchWorker, busy, died, failureOf, MS, row, runsOf } from '../shared/batch-worker'
import { query, turn } from '../shared/hand-predictor'

describe('a deep queue', () => {
  it('a worker gets rows of several groups in one run, and each has its own outcome', async () => {
    const worker = new BatchWorker()
    const { put, pass } = await busy([worker])
    const attempts = put(...[1, 2, 3].map((x) => row(x)))
    worker.runs[0].answer()
    await pass(MS)
    expect(runsOf(worker)).toEqual([[1, 2]])
    worker.runs[0].answer(1, Float32Array.of(Number.NaN, 0))
    await pass(MS)
    expect([attempts[0].phase, failureOf(attempts[1])?.error.code]).toEqual(['running', 'PROTOCOL'])
    expect(runsOf(worker)).toEqual([[1, 2]]) // it is at work until all have an outcome
    worker.runs[0].answer(0)
    await pass(0)
    expect([...(answerOf(attempts[0]) as Float32Array)]).toEqual([2, 2])
    expect(runsOf(worker)).toEqual([[3]])
  })

  it('none is made while no more rows wait than there are workers, nor by a worker that takes one, nor with maxBatch 1', async () => {
    for (const [workers, count, options] of [
      [[new BatchWorker('a'), new BatchWorker('b')], 3, {}],
      [[Object.assign(new BatchWorker(), { maxBatch: 1 })], 9, {}],
      [[new BatchWorker()], 9, { maxBatch: 1 }],
    ] as const) {
      const { put, pass } = await busy([...workers], options)
      put(...Array.from({ length: count }, (_, i) => row(i + 1)))
      workers[0].runs[0].answer()
      await pass(0)
      expect(runsOf(workers[0])).toEqual([[1]])
    }
  })

  /** A pool whose clock tells when all that has arrived was heard, and a worker that has learned that runs of several pay. */
  async function gathering(ms: number) {
    const later: (() => void)[] = []
    const clock = Object.assign(new VirtualClock(), { soon: (f: () => void) => later.push(f) })
    const worker = Object.assign(new BatchWorker(), { takesNext: true, capacity: 2 })
    const pool = new Pool<Payload>([worker], { clock, hangMs: 30_000, accept })
    const arrive = (...values: number[]) => {
      for (const x of values) pool.submit(row(x))
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
    expect(runsOf(worker)).toEqual([[1]])
  })

  it('two rows of a group never share a run, nor is a row with one whose worker it avoids', async () => {
    const workers = ['a', 'b', 'c', 'd'].map((name) => new BatchWorker(name))
    const { put, pass } = await busy(workers)
    const [one, other] = [[{ blocks: () => false }], [{ blocks: () => false }]]
    const picky = [{ blocks: () => true }]
    put(row(1, { apart: one }), row(2, { apart: one }), row(3, { apart: picky }), row(4, { apart: other }))
    put(row(5, { apart: other }), row(6), row(7), row(8))
    workers[0].runs[0].answer()
    await pass(0)
    expect(runsOf(workers[0])).toEqual([[1, 4]])
  })

  it('what can be done without goes alone', async () => {
    const worker = new BatchWorker()
    const { put, pass } = await busy([worker])
    put(...[1, 2, 3, 4].map((x) => row(x, { priority: 'low' })))
    worker.runs[0].answer()
    await pass(0)
    expect(runsOf(worker)).toEqual([[1]])
  })

  it('no row is kept beyond its deadline: one with little time goes alone, and joins no run', async () => {
    const worker = new BatchWorker()
    const { put, pass } = await busy([worker])
    put(row(1, { dueAt: 35 }), row(2), row(3, { dueAt: 45 }), row(4), row(5), row(6))
    worker.runs[0].answer()
    await pass(MS)
    expect(runsOf(worker)).toEqual([[1]]) // at 20 ms, a run of two takes another 20, as far as is known
    worker.runs[0].answer()
    await pass(0)
    expect(runsOf(worker)).toEqual([[2]]) // at 30, without 3; at 40 it goes on with it
  })

  it('an abort of one row ends no other', async () => {
    const worker = new BatchWorker()
    const { pool, put, pass } = await busy([worker])
    const attempts = put(...[1, 2, 3].map((x) => row(x)))
    worker.runs[0].answer()
    await pass(MS)
    pool.cancel(attempts[0])
    await pass(0)
    expect([attempts[0].outcome?.kind, attempts[1].phase]).toEqual(['cancelled', 'running'])
    expect(runsOf(worker)).toEqual([[1, 2]])
    worker.runs[0].answer(1)
    await pass(0)
    expect([answerOf(attempts[1]) !== undefined, runsOf(worker)]).toEqual([true, [[3]]])
  })

  it('rows of a run that its worker went down with are sent again alone, before all others, and only then count as deadly', async () => {
    const worker = new BatchWorker()
    const { pool, put, pass } = await busy([worker])
    const attempts = put(...[1, 2, 3].map((x) => row(x)))
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
    expect(attempts.map(({ phase }) => phase)).toEqual(['running', 'queued', 'queued'])
    expect(runsOf(worker)).toEqual([[1]])
    expect(attempts[1].startedAt).toBeNaN() // its time begins anew
    await crash()
    expect([failureOf(attempts[0])?.lost, runsOf(worker)]).toEqual(['down', [[2]]])
    expect(pool.stats()[0].failed).toBe(2) // the batch, and row 1
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
      const attempts = put(...Array.from({ length: 200 }, (_, i) => row(i + 1)))
      while (worker.runs.length) {
        worker.runs[0].answer()
        await pass(1)
      }
      expect(attempts.every(answerOf)).toBe(true)
      expect([refused > 0, refused < 5]).toEqual([true, true])
    }
  })

  it('a run that hangs is no row’s fault; the worker is watched as with one row', async () => {
    const worker = new BatchWorker()
    const { put, pass } = await busy([worker], { hangMs: 100 })
    const attempts = put(...[1, 2, 3].map((x) => row(x)))
    worker.runs[0].answer()
    await pass(150)
    expect([worker.restarts, attempts.map(({ isAlone }) => isAlone)]).toEqual([1, [true, true, false]])
    expect(attempts.map(({ phase }) => phase)).toEqual(['running', 'queued', 'queued'])
    expect(runsOf(worker)).toEqual([[1]])
    await pass(100)
    expect([worker.restarts, failureOf(attempts[0])?.lost]).toEqual([2, 'down'])
  })

  it('a row that takes its worker down fails after two that it had for itself, all others are answered', async () => {
    const workers = ['a', 'b', 'c'].map((name) => new BatchWorker(name))
    const clock = new VirtualClock()
    const predictor = await createPredictor({
      workers,
      testing: { clock },
      verify: { audit: 0 },
      hedge: false,
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
      const attempts = put(...[1, 2, 3].map((x) => row(x)))
      worker.runs[0].answer()
      await pass(0)
      if (end === 'close') void pool.close(new ApproxiferError('CLOSED', 'closed'))
      else pool.remove('w')
      await turn()
      expect(attempts.map((each) => failureOf(each)?.error.code).slice(0, 2)).toEqual(
        Array(2).fill(end === 'close' ? 'CLOSED' : 'WORKER'),
      )
    }
  })
})
