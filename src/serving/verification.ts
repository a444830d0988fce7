/** What is believed of the workers, and what becomes of one that lies: it gets no more queries until it has answered well for a while. */

import type { Criterion } from '../criterion'
import type { Evidence, WorkerEvidence } from '../history/evidence'
import { type Random, seeded } from '../random'
import type { ModelWorker } from '../workers/worker'
import type { Equality } from './agreement'
import type { Clock } from './clock'
import type { Pool } from './pool'

/** A worker was shown to lie, or has answered well for long enough since; `kept`: it lied, and too few others are left. */
export interface Verdict {
  worker: string
  kind: 'convicted' | 'released' | 'kept'
  evidence: WorkerEvidence
}

export interface VerificationOptions {
  pool: Pool
  clock: Clock
  criterion: Criterion
  evidence: Evidence
  /** E. */
  liars: number
  /** Confidence from which a memory may check; 1: only proof counts. */
  integrity: number
  /** Share of the queries that more workers are asked for than it takes. */
  audit: number
  /** Differences between honest workers, over the deviation of the model's answers. */
  rounding: number
  seed: number
  /** Whether a convicted worker gets no more rows from the queue; the paper's code needs one for each row. */
  bars: boolean
  judged(verdict: Verdict): void
}

export class Verification {
  readonly evidence: Evidence
  readonly liars: number
  readonly integrity: number
  readonly #options: VerificationOptions
  readonly #random: Random

  constructor(options: VerificationOptions) {
    this.evidence = options.evidence
    this.liars = options.liars
    this.integrity = options.integrity
    this.#random = seeded(options.seed)
    this.#options = options
  }

  /** Whether more workers should be asked for what this one answers; without one, whoever will. */
  audits(worker?: ModelWorker): boolean {
    const { audit, pool } = this.#options
    if (pool.size < Math.max(1, this.liars) + 2) return false // nobody could tell who of two lies
    const share = worker ? this.evidence.audits(worker.name, audit) : audit
    return share > 0 && this.#random.next() < share
  }

  /** Whether a worker's answers are looked at more closely than all others'. */
  suspects({ name }: ModelWorker): boolean {
    return this.evidence.isSuspect(name)
  }

  /** Whether anybody is asked for more than it takes; not where workers must not be asked twice. */
  get isAuditing(): boolean {
    return this.#options.audit > 0
  }

  isTrusted({ name }: ModelWorker): boolean {
    return this.evidence.isTrusted(name)
  }

  /** When answers are the same. */
  get equality(): Equality {
    const { criterion, rounding } = this.#options
    return { criterion, rounding, deviation: this.evidence.deviation }
  }

  /** A worker joins the pool. A name stands for a machine: one that was convicted under it is in quarantine until it has served it. */
  join(worker: ModelWorker): void {
    const { pool, bars } = this.#options
    this.evidence.join(worker.name)
    pool.add(worker, bars && !this.isTrusted(worker))
  }

  /** A worker has left; what is held against it stays. */
  left(worker: string): void {
    this.evidence.leave(worker)
  }

  proven(worker: ModelWorker, answer: Float32Array): void {
    const released = this.evidence.proven(worker.name, answer)
    this.#tidy(worker)
    if (!released) return
    const { pool, bars } = this.#options
    if (bars) pool.bar(worker.name, false)
    this.#judged(worker, 'released')
  }

  /** What a sure memory said of an answer: see `Evidence.checked`. */
  checked(worker: ModelWorker, passed: boolean, distance: number): void {
    this.evidence.checked(worker.name, passed, distance)
    this.#tidy(worker)
  }

  /** A call had no answer, where other workers give one. */
  silent(worker: ModelWorker): void {
    this.evidence.silent(worker.name)
    this.#tidy(worker)
  }

  /** Of one that has left there is no more to know than that it lied. */
  #tidy({ name }: ModelWorker): void {
    if (!this.#options.pool.worker(name)) this.evidence.leave(name)
  }

  /** Workers that were convicted before what is known was saved get no rows either. */
  resume(): void {
    const { pool, bars } = this.#options
    for (const name of this.evidence.workers) if (!pool.worker(name)) this.evidence.leave(name)
    for (const worker of bars ? pool.workers : []) if (!this.isTrusted(worker)) pool.bar(worker.name)
  }

  /** A worker gave an answer that is wrong, with proof. */
  lied(worker: ModelWorker): void {
    const { pool, bars, judged } = this.#options
    pool.count(worker, 'suspected')
    if (!this.#canSpare(worker))
      return judged({ worker: worker.name, kind: 'kept', evidence: { ...this.evidence.of(worker.name) } })
    const trusted = this.evidence.lied(worker.name)
    this.#tidy(worker)
    if (!trusted) return
    if (bars) pool.bar(worker.name)
    // A first time its memory may be corrupt, which is likelier than malice.
    if (this.evidence.of(worker.name).convictions === 1) restart(worker)
    this.#judged(worker, 'convicted')
  }

  /** Whether enough would be left: where half of all are shown to lie, the model itself is not the same twice. */
  #canSpare(worker: ModelWorker): boolean {
    if (!this.isTrusted(worker)) return true
    const { workers } = this.#options.pool
    const trusted = workers.filter((each) => this.isTrusted(each)).length
    return trusted > Math.max(this.liars + 1, Math.ceil(workers.length / 2))
  }

  #judged({ name }: ModelWorker, kind: Verdict['kind']): void {
    this.#options.judged({ worker: name, kind, evidence: { ...this.evidence.of(name) } })
  }
}

function restart(worker: ModelWorker): void {
  try {
    worker.restart?.('gave an answer that was proven wrong')
  } catch {} // it stays as it is
}
