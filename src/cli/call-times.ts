/** What calls of the model take on a worker that does nothing else, and what a query takes besides. */

import { setTimeout as sleep } from 'node:timers/promises'
import { median } from '../base/stats'
import { type TensorList, toNamed } from '../base/tensor'
import type { CallTimes } from '../evaluate/forecast'
import { createPredictor } from '../predictor/create'
import { localWorkers } from '../workers/local/local'
import type { LocalOptions } from '../workers/local/options'

/** Queries, each a tensor for each input of the model. */
export interface Queries {
  readonly length: number
  at(index: number): TensorList
}

/** Queries that are called in turn: their times differ where their sizes do. */
const CALLED = { most: 200, least: 20 }
/** Calls of each query. */
const PASSES = { most: 10, least: 3 }
/** A thread's first answers are slow. */
const WARM_UP = 10
/** Timers whose lateness is measured. */
const TIMERS = 20
const TIMER_MS = 2

/**
 * Calls one worker, one query after another. Other threads would share cores with it, and take time from each other that workers on machines of their own do not.
 *
 * @param ms  how long to ask; each of a few queries is called three times in any case
 */
export async function measureCalls(
  options: Pick<LocalOptions, 'model' | 'inputShapes' | 'outputs'>,
  queries: Queries,
  ms: number,
  onProgress: (passedMs: number) => void,
): Promise<CallTimes> {
  const workers = await localWorkers({ ...options, workers: 1, onWarning() {} })
  const predictor = await createPredictor({ workers, memory: false, hedge: false, onWarning() {} })
  const { inputs, outputs } = predictor.signature
  const answers = new Map<number, TensorList>()
  const overheads: number[] = []
  const here: number[] = []
  const least: number[] = []
  const ask = async (index: number) => {
    const since = performance.now()
    const { output, queuedMs, ranMs } = await predictor.predict(toNamed(queries.at(index), inputs))
    return { output, ranMs, overheadMs: performance.now() - since - queuedMs - ranMs }
  }
  try {
    for (let i = 0; i < WARM_UP; i++) await ask(i % queries.length)
    const start = performance.now()
    const most = Math.min(CALLED.most, queries.length)
    let called = most
    for (let pass = 0; pass < PASSES.most; pass++) {
      for (let index = 0; index < called; index++) {
        const passed = performance.now() - start
        if (passed > ms && pass >= PASSES.least) break
        const { output, ranMs, overheadMs } = await ask(index)
        overheads.push(overheadMs)
        here.push(ranMs)
        least[index] = Math.min(ranMs, least[index] ?? ranMs)
        answers.set(
          index,
          outputs.map(({ name }) => output[name]),
        )
        if (!pass && passed > ms / PASSES.least && index + 1 >= CALLED.least) called = index + 1
        onProgress(passed)
      }
    }
  } finally {
    await predictor.close()
  }
  const late: number[] = []
  for (let i = 0; i < TIMERS; i++) {
    const since = performance.now()
    await sleep(TIMER_MS)
    late.push(Math.max(0, performance.now() - since - TIMER_MS))
  }
  return { calls: least, here, overheadMs: median(overheads) ?? 0, timerMs: median(late) ?? 0, answers }
}
