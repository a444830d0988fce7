/** What is believed of the workers, and what becomes of one that lies: it gets no more queries until it has answered well for a while. */

import type { Clock } from '../clock'
import type { Criterion } from '../criterion'
import type { RowPool } from '../query/call'
import { type Random, seeded } from '../random'
import { identityOf, type ModelWorker } from '../workers/worker'
import type { Equality } from './agreement'
import type { Evidence, WorkerEvidence } from './evidence'

/** A worker was shown to lie, or has answered well for long enough since; `kept`: it lied, and too few others are left. */
export interface Verdict {
  worker: string
  /** Of its machine, whose workers are all quarantined or released with it; see `ModelWorker.identity`. */
  identity: string
  kind: 'convicted' | 'released' | 'kept'
  evidence: WorkerEvidence
}

export interface VerificationOptions {
  pool: RowPool
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
    if (pool.identities.size < Math.max(1, this.liars) + 2) return false // nobody could tell who of two lies
    const share = worker ? this.evidence.audits(identityOf(worker), audit) : audit
    return share > 0 && this.#random.next() < share
  }

  /** Whether a worker's answers are looked at more closely than all others'. */
  suspects(worker: ModelWorker): boolean {
    return this.evidence.isSuspect(identityOf(worker))
  }

  /** Whether anybody is asked for more than it takes; not where workers must not be asked twice. */
  get isAuditing(): boolean {
    return this.#options.audit > 0
  }

  isTrusted(worker: ModelWorker): boolean {
    return this.evidence.isTrusted(identityOf(worker))
  }

  /** When answers are the same. */
  get equality(): Equality {
    const { criterion, rounding } = this.#options
    return { criterion, rounding, deviation: this.evidence.deviation }
  }

  /** A worker joins the pool. One that comes back under the identity of a convicted one stays in quarantine. */
  join(worker: ModelWorker): void {
    const { pool, bars } = this.#options
    this.evidence.join(identityOf(worker))
    pool.add(worker, bars && !this.isTrusted(worker))
  }

  /** A worker has left; what is held against it stays. */
  left(worker: ModelWorker): void {
    this.#tidy(identityOf(worker))
  }

  proven(worker: ModelWorker, answer: Float32Array): void {
    const identity = identityOf(worker)
    const released = this.evidence.proven(identity, answer)
    this.#tidy(identity)
    if (!released) return
    const { pool, bars } = this.#options
    if (bars) pool.readmit(identity)
    this.#judged(worker, 'released')
  }

  /** What a sure memory said of an answer: see `Evidence.checked`. */
  checked(worker: ModelWorker, passed: boolean, distance: number): void {
    const identity = identityOf(worker)
    this.evidence.checked(identity, passed, distance)
    this.#tidy(identity)
  }

  /** A call had no answer, where other workers give one. */
  silent(worker: ModelWorker): void {
    const identity = identityOf(worker)
    this.evidence.silent(identity)
    this.#tidy(identity)
  }

  /** Of one that has left there is no more to know than that it lied. */
  #tidy(identity: string): void {
    if (!this.#options.pool.identities.has(identity)) this.evidence.leave(identity)
  }

  /** Workers that were convicted before what is known was saved get no rows either. */
  resume(): void {
    const { pool, bars } = this.#options
    for (const identity of this.evidence.workers) this.#tidy(identity)
    for (const identity of bars ? pool.identities.all() : [])
      if (!this.evidence.isTrusted(identity)) pool.eject(identity)
  }

  /** A worker gave an answer that is wrong, with proof. */
  lied(worker: ModelWorker): void {
    const { pool, bars } = this.#options
    const identity = identityOf(worker)
    pool.count(worker, 'suspected')
    if (!this.#canSpare(identity)) return this.#judged(worker, 'kept')
    const trusted = this.evidence.lied(identity)
    this.#tidy(identity)
    if (!trusted) return
    if (bars) pool.eject(identity)
    // A first time its memory may be corrupt, which is likelier than malice.
    if (this.evidence.of(identity).convictions === 1) restart(worker)
    this.#judged(worker, 'convicted')
  }

  /** Whether enough would be left: where half of all are shown to lie, the model itself is not the same twice. */
  #canSpare(identity: string): boolean {
    if (!this.evidence.isTrusted(identity)) return true
    const identities = this.#options.pool.identities.all()
    const trusted = identities.filter((each) => this.evidence.isTrusted(each)).length
    return trusted > Math.max(this.liars + 1, Math.ceil(identities.length / 2))
  }

  #judged(worker: ModelWorker, kind: Verdict['kind']): void {
    const identity = identityOf(worker)
    this.#options.judged({ worker: worker.name, identity, kind, evidence: { ...this.evidence.of(identity) } })
  }
}

function restart(worker: ModelWorker): void {
  try {
    worker.restart?.('gave an answer that was proven wrong')
  } catch {} // it stays as it is
}
