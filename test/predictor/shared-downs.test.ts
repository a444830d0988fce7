/** Queries that take down workers of several slots, beside others. */

import { ApproxiferError } from 'approxifer'
import { describe, expect, it } from 'vitest'
import { type HandWorker, house, query, turn } from '../shared/hand-predictor'

const SLOTS = 2
const died = new ApproxiferError('WORKER', 'died')

/** Workers of two slots, of which one may lie. */
async function wide(count: number) {
  const { predictor, workers } = await house(count, { scheme: { queries: 1, byzantine: 1 }, memory: false, hedge: { budget: 0 } }) // biome-ignore format: one line
  for (const worker of workers) {
    Object.assign(worker, { slots: SLOTS, capacity: SLOTS })
    worker.onFree?.()
  }
  return { predictor, workers }
}

/** It goes down with all that it has, and is back when others have got that. */
async function crash(worker: HandWorker): Promise<void> {
  worker.capacity = 0
  for (const call of [...worker.calls]) call.fail(died)
  await turn()
  worker.capacity = SLOTS
  worker.onFree?.()
}

const has = (worker: HandWorker, x: number) => worker.calls.some(({ row }) => row[0] === x)

/** Each worker that gets the deadly query goes down; the others answer. @returns how often */
async function goOn(workers: readonly HandWorker[], deadly: number): Promise<number> {
  for (let downs = 0; ; ) {
    await turn()
    const at = workers.find((worker) => has(worker, deadly))
    if (at) {
      downs++
      await crash(at)
      continue
    }
    const [call] = workers.flatMap(({ calls }) => calls)
    if (!call) return downs
    call.answer()
  }
}

describe('where workers have several slots', () => {
  it('a query that takes down each worker that gets it stops at twice as many as where they have one', async () => {
    const { predictor, workers } = await wide(9)
    const deadly = predictor.predict(query(1))
    const failed = expect(deadly).rejects.toMatchObject({ code: 'QUORUM', ofQuery: true })
    expect(await goOn(workers, 1)).toBe(5) // a fifth has it already when the fourth goes down
    await failed
    await predictor.close()
  })

  it('a query that was beside it when a worker went down is not to blame', async () => {
    const { predictor, workers } = await wide(9)
    const all = Array.from({ length: 9 }, (_, i) => predictor.predict(query(i)))
    const outcomes = Promise.allSettled(all)
    expect(await goOn(workers, 1)).toBe(4)
    expect((await outcomes).map(({ status }) => status)).toEqual(all.map((_, i) => (i === 1 ? 'rejected' : 'fulfilled'))) // biome-ignore format: one line
    await predictor.close()
  })
})
