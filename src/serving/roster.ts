/** The workers of a predictor: who is free, who is fast, who did what; and which worker gets which row. */

import type { CodedRow } from '../codec/codec'
import type { Random } from '../random'
import type { Scheme } from '../scheme'
import type { ModelWorker } from '../workers/worker'
import type { Clock } from './clock'

/** What became of a worker's calls, and how fast it is. */
export interface WorkerStats {
  worker: string
  /** Answers that came before their group was decoded. */
  onTime: number
  /** Answers that came after. */
  late: number
  /** Calls that ended in a crash, a hang or an error. */
  failed: number
  /** Answers that were none: wrong length, NaN, Inf. */
  rejected: number
  /** Answers dropped as lies. */
  suspected: number
  /** Moving average of its answers' milliseconds, failures counted as slow ones; undefined before the first. */
  expectedMs: number | undefined
}

/** Weight of the newest answer in the moving average. */
const NEW = 0.3
/** What is left of a worker's average when a group passes it over: in the end even the slowest gets another try. */
const FORGET = 0.99
/** A call open this many times longer than the median worker takes is late. */
const PATIENCE = 4
/** A failure counts as an answer that took this many times the median. */
const FAILURE = 20

export class Roster {
  readonly workers: readonly ModelWorker[]
  readonly clock: Clock
  readonly #stats: Map<ModelWorker, WorkerStats>
  /** When each worker's open calls were sent, oldest first. */
  readonly #open: Map<ModelWorker, Map<object, number>>
  readonly #answeredAt = new Map<ModelWorker, number>()
  readonly #random: Random

  constructor(workers: readonly ModelWorker[], random: Random, clock: Clock) {
    this.workers = workers
    this.clock = clock
    this.#random = random
    this.#open = new Map(workers.map((worker) => [worker, new Map()]))
    this.#stats = new Map(
      workers.map((worker) => [
        worker,
        { worker: worker.name, onTime: 0, late: 0, failed: 0, rejected: 0, suspected: 0, expectedMs: undefined },
      ]),
    )
  }

  get free(): number {
    return this.workers.reduce((count, worker) => count + (worker.free ? 1 : 0), 0)
  }

  /**
   * Whether to send a group of this scheme now. A row whose worker is full has to wait, so workers that are merely
   * busy are waited for; those that are down, or late already, are not.
   */
  ready({ workers: rows, quorum }: Scheme): boolean {
    const { free } = this
    if (free >= rows || free < quorum) return free >= rows
    const patience = PATIENCE * this.medianMs()
    const now = this.clock.now()
    return !this.workers.some((worker) => !worker.free && now - this.#oldest(worker) < patience)
  }

  /**
   * Each row gets a free worker of its own, the fast ones first; rows beyond the free workers get none. Where nobody
   * lies, queries themselves go to the fastest. Where somebody may, rows are dealt at random: a row's place biases
   * its locator score, so evidence against a worker must come from many places.
   *
   * @param taken  workers that have a row of the group already: a second one would make one failure two
   */
  assign(
    rows: readonly CodedRow[],
    byzantine: number,
    taken: ReadonlySet<ModelWorker> = new Set(),
  ): { row: CodedRow; worker: ModelWorker }[] {
    const ranked = this.#ranked(taken)
    for (const passed of ranked.slice(rows.length)) {
      const stats = this.stats(passed)
      if (stats.expectedMs !== undefined) stats.expectedMs *= FORGET
    }
    const chosen = ranked.slice(0, rows.length)
    if (byzantine) {
      // Dealt to a fixed order of workers, so that a seed means the same whatever their speed.
      const order = this.#random.choose(rows.length, rows.length)
      return this.workers
        .filter((worker) => chosen.includes(worker))
        .map((worker, i) => ({ row: rows[order[i]], worker }))
    }
    const order = [...rows].sort((a, b) => Number(b.query !== undefined) - Number(a.query !== undefined))
    return chosen.map((worker, i) => ({ row: order[i], worker }))
  }

  /** The free worker that is likely to answer first, none of `taken`; undefined if there is none. */
  fastest(taken: ReadonlySet<ModelWorker>): ModelWorker | undefined {
    return this.#ranked(taken)[0]
  }

  sent(worker: ModelWorker, call: object): void {
    this.#calls(worker).set(call, this.clock.now())
  }

  finished(worker: ModelWorker, call: object): void {
    this.#calls(worker).delete(call)
  }

  /** When a worker last answered, rightly or wrongly. */
  answeredAt(worker: ModelWorker): number {
    return this.#answeredAt.get(worker) ?? 0
  }

  /** Counts what became of a call. */
  count(worker: ModelWorker, outcome: 'onTime' | 'late' | 'failed' | 'rejected', ms: number): void {
    const stats = this.stats(worker)
    stats[outcome]++
    if (outcome !== 'failed') this.#answeredAt.set(worker, this.clock.now())
    // Failing fast is not being fast: it would draw every row.
    const median = this.medianMs()
    const failed = outcome === 'failed' || outcome === 'rejected'
    const cost = failed ? Math.max(ms, FAILURE * (Number.isFinite(median) ? median : 1)) : ms
    stats.expectedMs = (1 - NEW) * (stats.expectedMs ?? cost) + NEW * cost
  }

  suspected(worker: ModelWorker): void {
    this.stats(worker).suspected++
  }

  stats(worker: ModelWorker): WorkerStats {
    return this.#stats.get(worker) as WorkerStats
  }

  /** Free workers that are not taken, the fast ones first. */
  #ranked(taken: ReadonlySet<ModelWorker>): ModelWorker[] {
    const open = (worker: ModelWorker) => this.#calls(worker).size
    const median = this.medianMs()
    // One that was never heard is tried first, but not again before it answers: it may be silent for ever.
    const unknown = (worker: ModelWorker) => (open(worker) && Number.isFinite(median) ? median : 0)
    const cost = (worker: ModelWorker) => (this.stats(worker).expectedMs ?? unknown(worker)) * (1 + open(worker))
    return this.workers
      .filter((worker) => worker.free && !taken.has(worker))
      .sort((a, b) => cost(a) - cost(b) || open(a) - open(b))
  }

  #calls(worker: ModelWorker): Map<object, number> {
    return this.#open.get(worker) as Map<object, number>
  }

  /** When the oldest open call was sent; NaN where none is open. */
  #oldest(worker: ModelWorker): number {
    return this.#calls(worker).values().next().value ?? Number.NaN
  }

  /** What an answer takes: the median of the workers' averages; Infinity before the first. */
  medianMs(): number {
    const known = this.workers.flatMap((worker) => this.stats(worker).expectedMs ?? []).sort((a, b) => a - b)
    return known[known.length >> 1] ?? Number.POSITIVE_INFINITY
  }
}
