/** Rows sent ahead: a worker that is at work on one has its next already. */

import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { describe, expect, it, vi } from 'vitest'
import type { Payload } from '../../src/base/payload'
import { answerOf, BatchWorker, busy, died, nobody, row, runsOf } from '../shared/batch-worker'

setFlagsFromString('--expose-gc')
const collectGarbage: () => void = runInNewContext('gc')

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
      put(row(1))
      expect(runsOf(worker)).toEqual([[0]]) // one waits, for one worker
      put(row(2))
      expect(runsOf(worker)).toEqual(ahead)
    }
  })

  it('goes to no slow worker, however long its round trip', async () => {
    const [slow, quick] = [Object.assign(far('slow'), { roundTripMs: 60 }), far('quick')]
    const { put, pass } = await busy([slow, quick])
    for (let round = 1; round <= 200; round++) {
      put(row(round))
      await pass(10)
      for (const run of [...quick.runs]) run.answer()
      if (round % 10 === 0) for (const run of [...slow.runs]) run.answer()
      await pass(0)
    }
    put(...Array.from({ length: 40 }, (_, i) => row(i)))
    await pass(0)
    expect([slow.runs.length <= 1, quick.runs.length]).toEqual([true, 2])
  })

  it('is taken back when the call before it is late, and is the first that another worker gets', async () => {
    const [late, other] = [far('late'), far('other')]
    const { put, pass } = await busy([late, other], { lateMs: 15 })
    let began = 0
    const owner = { ...nobody, began: () => began++ }
    const [ahead] = put(row(1, { owner }), row(2), row(3), row(4))
    const [slow, quick] = runsOf(late).length > 1 && runsOf(late)[1][0] === 1 ? [late, other] : [other, late]
    expect([runsOf(slow)[1], began]).toEqual([[1], 0])
    await pass(4)
    expect(ahead.worker).toBe(slow)
    quick.runs[0].answer()
    await pass(4)
    expect([slow.runs.length, runsOf(quick)[1], began]).toEqual([1, [1], 0]) // its signal fired
    slow.runs[0].answer() // the late one is heard all the same
    quick.runs[0].answer()
    await pass(0)
    expect([ahead.worker, began]).toEqual([quick, 1])
  })

  it('is taken back in time though one that was sent before has longer', async () => {
    const [one, other] = [far('one'), far('other')]
    const { put, pass } = await busy([one, other], { lateMs: 15 }) // both have been at work for 10
    put(row(1), row(2), row(3), row(4))
    const [first, second] = runsOf(one)[1][0] === 1 ? [one, other] : [other, one]
    Object.assign(first, { interruptible: false }) // it is given twice as long
    expect([runsOf(first)[1], runsOf(second)[1]]).toEqual([[1], [2]])
    await pass(8)
    expect([first.runs.length, second.runs.length]).toEqual([2, 1])
    await pass(15)
    expect(first.runs.length).toBe(1)
  })

  it('is not taken back where this thread stalled, and the answer to the one before it waits to be read', async () => {
    const workers = [far('a'), far('b')]
    const { clock, put, pass } = await busy(workers, { lateMs: 15 })
    put(...[1, 2, 3, 4].map((x) => row(x)))
    const signals = workers.map(({ runs }) => runs[1].signals[0])
    expect(workers.map(({ runs }) => runs.length)).toEqual([2, 2])
    clock.spend(20)
    clock.after(0, () => workers.forEach(({ runs }) => runs[0].answer())) // behind the timers that are due
    await pass(3)
    expect(workers.map(({ runs }) => runs.length)).toEqual([1, 1])
    expect(signals.map((signal) => signal?.aborted)).toEqual([false, false])
  })

  it('is of another group than the one before it', async () => {
    const worker = far('w')
    const apart = [{ blocks: () => false }]
    const { put, pass } = await busy([worker])
    put(row(1, { apart }))
    worker.runs[0].answer()
    await pass(0)
    put(row(2, { apart }), row(3))
    expect(runsOf(worker)).toEqual([[1], [3]])
  })

  it('goes to no worker that is in quarantine, nor behind the row that such a one is tried with', async () => {
    const [liar, other] = [far('liar'), far('other')]
    const { pool, put, pass } = await busy([liar, other])
    pool.suspend('liar')
    put(...Array.from({ length: 12 }, (_, i) => row(i + 1)))
    expect(runsOf(liar)).toEqual([[0]])
    liar.runs[0].answer()
    await pass(0)
    expect(runsOf(liar)).toEqual([])
    expect(pool.trial(row(99))?.worker).toBe(liar)
    put(row(13))
    expect(runsOf(liar)).toEqual([[99]])
  })

  it('what it took behind another is not held against it, nor counts the way that it had made', async () => {
    const worker = Object.assign(far('w'), { roundTripMs: 4 })
    const { pool, put, pass } = await busy([worker])
    const attempts = put(...[1, 2, 3, 4].map((x) => row(x)))
    for (let i = 0; i < 4; i++) {
      worker.runs[0].answer()
      await pass(4)
    }
    expect(attempts[1].ranMs).toBe(8) // four at work, four on the way
    expect(pool.stats()[0].expectedMs).toBeLessThan(8.1)
  })

  it('of several rows ahead one that failed is not lost when the others are taken back: it waits again, too', async () => {
    const worker = Object.assign(far('w'), { maxBatch: 8 })
    const { put, pass } = await busy([worker], { lateMs: 15 })
    const attempts = put(...[1, 2].map((x) => row(x)))
    expect(runsOf(worker)).toEqual([[0], [1, 2]])
    worker.runs[1].fail(died, 0)
    await pass(15)
    expect(attempts.map(({ phase, isAlone }) => [phase, isAlone])).toEqual([
      ['queued', true],
      ['queued', false],
    ])
    for (let i = 0; i < 3; i++) {
      worker.runs[0].answer()
      await pass(1)
    }
    expect(attempts.map((each) => answerOf(each)?.[0])).toEqual([2, 4])
  })

  it('no row shares a run that its deadline forbids, the one before it counted', async () => {
    const worker = Object.assign(far('w'), { maxBatch: 8 })
    const { put, pass } = await busy([worker])
    put(row(1))
    worker.runs[0].answer()
    await pass(0)
    put(row(2, { dueAt: 45 }), row(3)) // it is at work until 30 ms, and two rows take until 50
    expect(runsOf(worker)).toEqual([[1], [2]])
  })

  it('those that were answered are not kept while one waits behind a worker that hangs', async () => {
    const [hangs, other] = [far('hangs'), far('other')]
    const { put, pass } = await busy([hangs, other]) // what is late is not known
    const answered: WeakRef<Payload>[] = []
    const ask = () => {
      const each = row(1)
      answered.push(new WeakRef(each.payload))
      put(each)
    }
    for (let i = 0; i < 6; i++) ask()
    expect(runsOf(hangs).length).toBe(2)
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
    const attempts = put(...[1, 2, 3].map((x) => row(x)))
    expect(runsOf(worker)).toEqual([[0], [1]])
    worker.capacity = 0
    for (const run of [...worker.runs]) run.fail(died)
    await pass(0)
    expect([attempts[0].phase, attempts[0].worker]).toEqual(['queued', undefined])
  })

  it('is watched while it waits, and sets no timer when none is left', async () => {
    const worker = far('w')
    const { clock, put, pass } = await busy([worker], { lateMs: 15 })
    const timers = vi.spyOn(clock, 'after')
    put(row(1), row(2))
    expect(runsOf(worker)).toEqual([[0], [1]])
    for (let i = 0; i < 3; i++) {
      worker.runs[0].answer()
      await pass(0)
    }
    await pass(100)
    const delays = timers.mock.calls.map(([ms]) => ms)
    expect(delays.filter((ms) => !Number.isFinite(ms))).toEqual([])
    expect(delays.length).toBeGreaterThan(0)
    const { length } = delays
    await pass(1000)
    expect(timers.mock.calls.length).toBe(length)
  })
})
