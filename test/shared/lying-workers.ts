/** Streams of queries through workers of which some lie, in made time; what became of the queries and of the workers. */

import { createPredictor, type PredictorOptions, type PredictorStats } from 'approxifer'
import { expect } from 'vitest'
import { vectorOf } from '../../src/base/payload'
import { type Random, seeded } from '../../src/base/random'
import type { TensorList } from '../../src/base/tensor'
import { VirtualClock } from '../../src/testing/virtual-clock'
import { HeardEvents } from './heard-events'
import { type Lie, truth } from './lying-answers'
import { MoodyWorker } from './troubled-worker'
import { listOf } from './vectors'

/** Tells the truth, rounded in its own way, or lies. */
export class Witness extends MoodyWorker {
  lie: Lie | undefined
  /** Of its answers. */
  share = 1
  told = 0

  constructor(
    index: number,
    clock: VirtualClock,
    private readonly random: Random,
    private readonly rounding: number,
  ) {
    super(index, clock, random)
  }

  override async infer(query: TensorList): Promise<TensorList> {
    const answer = await super.infer(query)
    const told = answer?.[0]?.data
    if (told?.length !== 2 || Number.isNaN(told[0])) return answer
    const row = vectorOf(query)
    const own = truth(row).map((value) => value * (1 + this.rounding))
    if (!this.lie || this.random.next() >= this.share) return listOf(own)
    this.told++
    const lie = this.lie(own, this.random, row)
    return lie ? listOf(lie) : new Promise(() => {})
  }
}

export interface Ended {
  /** Wrong labels, and answers that are no worker's own, by status. */
  wrong: Record<string, number>
  answered: Record<string, number>
  stats: PredictorStats
  overdue: number
  workers: Witness[]
  saved: Uint8Array
  /** Queries, and attempts at workers, of which no end was told. */
  unended: number
}

/** A stream of queries through some workers of which the first E lie. */
export async function stream(
  seed: number,
  {
    liars,
    count,
    queries,
    lie,
    share = 1,
    same = false,
    ...options
  }: PredictorOptions & { liars: number; count: number; queries: number; lie?: Lie; share?: number; same?: boolean },
  during?: (clock: VirtualClock, workers: Witness[], random: Random) => void,
): Promise<Ended> {
  const random = seeded(seed)
  const clock = new VirtualClock()
  const workers = Array.from({ length: count }, (_, i) => new Witness(i, clock, seeded(seed + i), i % 3 ? 0 : 1e-6))
  for (const worker of workers.slice(0, liars)) Object.assign(worker, { lie, share })
  const heard = new HeardEvents(false)
  const predictor = await createPredictor({
    onEvent: heard.onEvent,
    scheme: { queries: Math.min(4, count), byzantine: Math.max(1, liars) },
    workers,
    testing: { clock, seed },
    right: 'label',
    hangMs: 200,
    deadlineMs: 400,
    onWarning: () => {},
    ...options,
  })
  const [wrong, answered]: Ended['wrong'][] = [{}, {}]
  let [open, overdue] = [0, 0]
  const ask = async () => {
    const row = same ? Float32Array.of(0.3, 0.7) : Float32Array.of(random.gauss(), random.gauss())
    const start = clock.now()
    const abort = new AbortController()
    if (during && random.next() < 0.05) clock.after(40 * random.next(), () => abort.abort())
    open++
    try {
      const { status, output } = await predictor.predict(row, { signal: abort.signal })
      const [own, got] = [truth(row), output.y.data]
      answered[status] = (answered[status] ?? 0) + 1
      const isOff = status === 'exact' && Math.hypot(own[0] - got[0], own[1] - got[1]) > 0.01
      const isOther = own[0] > own[1] !== got[0] > got[1] && Math.abs(own[0] - own[1]) > 1e-4
      if (isOff || isOther) wrong[status] = (wrong[status] ?? 0) + 1
    } catch {}
    open--
    if (clock.now() - start > 400 + 1e-6) overdue++
  }
  for (let i = 0, at = 0; i < queries; i++) {
    at += (20 / count) * random.next() * (1 + liars)
    clock.after(at, () => void ask())
  }
  during?.(clock, workers, random)
  await clock.run()
  const stats = predictor.stats()
  expect({ seed, open }).toEqual({ seed, open: 0 })
  const saved = await predictor.save()
  await predictor.close()
  return { wrong, answered, stats, overdue, workers, saved, unended: heard.unended }
}

export const ejected = ({ stats }: Ended) =>
  stats.workers.flatMap(({ worker, ejections }) => (ejections ? [worker] : []))

/** Attempts that workers answered. */
export const answers = ({ stats }: Ended) => stats.workers.reduce((sum, { onTime, late }) => sum + onTime + late, 0)
