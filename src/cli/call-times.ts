/** What calls of real workers take on this machine, asked at the rate of a premise. */

import { type Random, seeded } from '../base/random'
import { mean, median } from '../base/stats'
import { type TensorList, toNamed } from '../base/tensor'
import { gapMsOf, lateMsOf, type Premise } from '../evaluate/premise'
import type { CallTimes } from '../evaluate/replayed-times'
import { StragglingWorker } from '../evaluate/straggling-worker'
import { createPredictor } from '../predictor/create'
import { localWorkers } from '../workers/local/local'
import type { LocalOptions } from '../workers/local/options'
import { askAtRandom } from './arrivals'

/** Queries, each a tensor for each input of the model. */
export interface Queries {
  readonly length: number
  at(index: number): TensorList
}

/** Calls of a single worker that tell how long one takes; fewer if they take a second. */
const FIRST = { calls: 50, ms: 1000 }
/** Each thread's first answers are slow. */
const WARM_UP = 3
const TIMER_EVERY_MS = 20
/** Calls of all workers that tell their times, however long that takes. */
const LEAST = 20

/**
 * Starts the workers, asks them one after the other, and then all at the premise's rate.
 *
 * @param premise  without `lateMs` it is reckoned from the time of a call
 * @param ms  how long to ask
 * @returns the premise with its `lateMs`, and the times
 */
export async function measureCalls(
  options: Pick<LocalOptions, 'model' | 'inputShapes' | 'outputs'>,
  queries: Queries,
  premise: Omit<Premise, 'lateMs'> & { lateMs?: number | undefined },
  { ms, seed, onProgress = () => {} }: { ms: number; seed: number; onProgress?: (passedMs: number) => void },
): Promise<{ times: CallTimes; premise: Premise }> {
  const threads = await localWorkers({ ...options, workers: premise.workers, onWarning() {} })
  const random = seeded(seed)
  try {
    const alone: number[] = []
    for (const thread of threads) for (let i = 0; i < WARM_UP; i++) await thread.infer(queries.at(i % queries.length))
    for (const start = performance.now(); alone.length < FIRST.calls; ) {
      const since = performance.now()
      await threads[0].infer(queries.at(alone.length % queries.length))
      alone.push(performance.now() - since)
      if (performance.now() - start > FIRST.ms) break
    }
    const ownMs = median(alone) as number
    const supposed = { ...premise, lateMs: premise.lateMs ?? lateMsOf(ownMs) }
    const workers = threads.map((thread) => new StragglingWorker(thread, supposed, random))
    const times = await underLoad(workers, queries, { gapMs: gapMsOf(supposed, mean(alone)), ms, random, onProgress })
    return { times, premise: supposed }
  } finally {
    await Promise.all(threads.map((thread) => thread.close()))
  }
}

async function underLoad(
  workers: StragglingWorker[],
  queries: Queries,
  { gapMs, ms, random, onProgress }: { gapMs: number; ms: number; random: Random; onProgress(passedMs: number): void },
): Promise<CallTimes> {
  const predictor = await createPredictor({ workers, hedge: false, memory: false, onWarning() {} })
  const { inputs, outputs } = predictor.signature
  const answers = new Map<number, TensorList>()
  const overheads: number[] = []
  const timers: number[] = []
  const start = performance.now()
  const watch = setInterval(() => onProgress(performance.now() - start), 100)
  let lags = 0
  const lag = () => {
    const since = performance.now()
    const wait = 2 + (lags++ % 3)
    setTimeout(() => timers.push(performance.now() - since - wait), wait)
  }
  const watchTimers = setInterval(lag, TIMER_EVERY_MS)
  const ask = async (n: number) => {
    const index = n % queries.length
    const since = performance.now()
    const { output, queuedMs, ranMs } = await predictor.predict(toNamed(queries.at(index), inputs))
    overheads.push(performance.now() - since - queuedMs - ranMs)
    answers.set(
      index,
      outputs.map(({ name }) => output[name]),
    )
  }
  try {
    const count = Math.max(2 * LEAST, Math.ceil((2 * ms) / gapMs))
    await askAtRandom({ gapMs, count, random }, ask, () => performance.now() - start > ms && overheads.length >= LEAST)
  } finally {
    await predictor.close()
    clearInterval(watch)
    clearInterval(watchTimers)
  }
  const calls = workers.flatMap((worker) => worker.calls).sort((a, b) => a.at - b.at)
  const all = calls.map((call) => call.ms)
  return {
    ownMs: median(all) as number,
    meanMs: mean(all),
    overheadMs: median(overheads) ?? 0,
    timerMs: median(timers) ?? 0,
    calls,
    answers,
  }
}
