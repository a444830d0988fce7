/** Workers that a test lets join and leave by hand. */

import { type Change, createPredictor, type ModelWorker, type PredictorOptions } from 'approxifer'
import { VirtualClock } from '../../src/testing/virtual-clock'
import { HandWorker, turn } from './hand-predictor'
import { Feed } from './worker-changes'

export const hand = (...names: string[]) => names.map((name) => new HandWorker(name))
export const add = (worker: ModelWorker): Change => ({ add: worker })
export const systematic = { queries: 1, stragglers: 0 } as const

/** A predictor that hand-settled workers have joined, in made time. */
export async function open(names: (string | HandWorker)[], options: Omit<PredictorOptions, 'workers'> = {}) {
  const feed = new Feed()
  const clock = new VirtualClock()
  const workers = names.map((name) => (typeof name === 'string' ? new HandWorker(name) : name))
  const warnings: string[] = []
  feed.tell(...workers.map(add))
  const own = {
    testing: { clock, coin: () => 1 },
    verify: { audit: 0 },
    hangMs: 1000,
    deadlineMs: 60_000,
    scheme: systematic,
    policy: 'retry' as const,
  }
  const onWarning = (text: string) => warnings.push(text)
  const predictor = await createPredictor({
    right: 'label',
    ...own,
    onWarning,
    ...options,
    workers: feed,
  })
  await turn()
  /** Tells changes and lets them be taken. */
  const tell = async (...changes: Change[]) => {
    feed.tell(...changes)
    await turn()
  }
  const listed = () => predictor.stats().workers.map(({ worker }) => worker)
  return { feed, clock, workers, warnings, predictor, tell, listed }
}

export const code = (promise: Promise<unknown>) =>
  promise.then(
    () => 'answered',
    (error) => error.code,
  )
export const message = (promise: Promise<unknown>) =>
  promise.then(
    () => 'answered',
    (error) => error.message,
  )
/** Answers all that the workers have, until they have nothing more. */
export async function answerAll(workers: readonly HandWorker[]): Promise<void> {
  while (workers.some(({ calls }) => calls.length)) {
    for (const { calls } of workers) for (const call of [...calls]) call.answer()
    await turn()
  }
}
