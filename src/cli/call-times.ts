/** What calls of real workers take on this machine, asked at the rate of a premise. */

import { type Random, seeded } from '../base/random'
import { mean, median } from '../base/stats'
import { type TensorList, toNamed } from '../base/tensor'
import { gapMsOf, lateMsOf, type Premise } from '../evaluate/premise'
import type { CallTimes } from '../evaluate/replayed-times'
import { StragglingWorker, type TimedCall } from '../evaluate/straggling-worker'
import { createPredictor } from '../predictor/create'
import { localWorkers } from '../workers/local/local'
import type { LocalOptions } from '../workers/local/options'
import type { ModelWorker } from '../workers/worker'
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
/** Share of the time under load that is not counted: the engine still compiles, and a pause of it would be 1 % of what is left. */
const UNCOUNTED = 0.35
const TIMER_EVERY_MS = 5
/** Calls of all workers that tell their times, however long that takes. */
const LEAST = 20

interface MeasureOptions {
  remembers: boolean
  ms: number
  seed: number
  onProgress?: (passedMs: number) => void
}

/**
 * Starts the workers, asks them one after the other, and then all at the premise's rate.
 *
 * @param premise  without `lateMs` it is reckoned from the time of a call
 * @param remembers  whether calls beside a memory's thread are measured as well: it takes processor time from them
 * @param ms  how long to ask
 * @returns the premise with its `lateMs`, and the times
 */
export async function measureCalls(
  options: Pick<LocalOptions, 'model' | 'inputShapes' | 'outputs'>,
  queries: Queries,
  premise: Omit<Premise, 'lateMs'> & { lateMs?: number | undefined },
  { remembers, ms, seed, onProgress = () => {} }: MeasureOptions,
): Promise<{ times: CallTimes; besideMemory: CallTimes | undefined; premise: Premise }> {
  const random = seeded(seed)
  const start = async () => {
    const threads = await localWorkers({ ...options, workers: premise.workers, onWarning() {} })
    try {
      for (const thread of threads) for (let i = 0; i < WARM_UP; i++) await thread.infer(queries.at(i % queries.length))
      return { threads, alone: await aloneOf(threads[0], queries) }
    } catch (error) {
      await Promise.all(threads.map((thread) => thread.close()))
      throw error
    }
  }
  const { threads, alone } = await start()
  const supposed = { ...premise, lateMs: premise.lateMs ?? lateMsOf(median(alone) as number) }
  const gapMs = gapMsOf(supposed, mean(alone))
  const each = remembers ? ms / 2 : ms
  const measure = (threads: ModelWorker[], memory: boolean, onProgress: (passedMs: number) => void) => {
    const workers = threads.map((thread) => new StragglingWorker(thread, supposed, random))
    return underLoad(workers, queries, { gapMs, memory, ms: each, random, onProgress })
  }
  const times = await measure(threads, false, onProgress)
  const besideMemory = remembers
    ? await measure((await start()).threads, true, (passed) => onProgress(each + passed))
    : undefined
  return { times, besideMemory, premise: supposed }
}

/** Milliseconds of calls one after the other. */
async function aloneOf(thread: ModelWorker, queries: Queries): Promise<number[]> {
  const alone: number[] = []
  for (const start = performance.now(); alone.length < FIRST.calls && performance.now() - start < FIRST.ms; ) {
    const since = performance.now()
    await thread.infer(queries.at(alone.length % queries.length))
    alone.push(performance.now() - since)
  }
  return alone
}

interface LoadOptions {
  gapMs: number
  memory: boolean
  ms: number
  random: Random
  onProgress(passedMs: number): void
}

/** @param workers  closed at the end */
async function underLoad(
  workers: StragglingWorker[],
  queries: Queries,
  { gapMs, memory, ms, random, onProgress }: LoadOptions,
): Promise<CallTimes> {
  const remembering = memory ? { scheme: { queries: 1 } } : { memory: false as const }
  const predictor = await createPredictor({ ...remembering, workers, hedge: false, onWarning() {} })
  const { inputs, outputs } = predictor.signature
  const answers = new Map<number, TensorList>()
  const overheads: number[] = []
  const timers: TimedCall[] = []
  const start = performance.now()
  const watch = setInterval(() => onProgress(performance.now() - start), 100)
  let lags = 0
  const lag = () => {
    const at = performance.now()
    const wait = 2 + (lags++ % 3)
    setTimeout(() => timers.push({ at, ms: Math.max(0, performance.now() - at - wait) }), wait)
  }
  const watchTimers = setInterval(lag, TIMER_EVERY_MS)
  const ask = async (n: number) => {
    const index = n % queries.length
    const since = performance.now()
    const { output, status, queuedMs, ranMs } = await predictor.predict(toNamed(queries.at(index), inputs))
    if (status === 'recovered') return
    overheads.push(performance.now() - since - queuedMs - ranMs)
    answers.set(
      index,
      outputs.map(({ name }) => output[name]),
    )
  }
  try {
    const count = Math.max(2 * LEAST, Math.ceil((2 * ms) / gapMs))
    await askAtRandom({ gapMs, count, random }, ask, () => performance.now() - start > ms && overheads.length >= LEAST)
  } catch (error) {
    if ((error as { code?: unknown }).code !== 'OVERLOADED') throw error
    const text = `${workers.length} threads of this machine cannot answer queries as fast as they would come`
    throw new RangeError(`--pool, --load: expected fewer workers or a lower load, since ${text}`)
  } finally {
    await predictor.close()
    clearInterval(watch)
    clearInterval(watchTimers)
  }
  const all = workers.flatMap((worker) => worker.calls).sort((a, b) => a.at - b.at)
  const counted = all.filter(({ at }) => at - start > UNCOUNTED * ms)
  const calls = counted.length < LEAST ? all : counted
  const took = calls.map((call) => call.ms)
  return {
    ownMs: median(took) as number,
    meanMs: mean(took),
    overheadMs: median(overheads) ?? 0,
    timers: timers.sort((a, b) => a.at - b.at),
    calls,
    answers,
  }
}
