/**
 * Which workers are trusted. A worker that is proven to lie is ejected until it has answered right for a while. This class is told what queries
 * show, and tells the pool.
 */

import type { Criterion } from '../base/criterion'
import type { Payload } from '../base/payload'
import { type Random, seeded } from '../base/random'
import type { Signature } from '../base/tensor'
import type { WorkerEvidence } from '../events'
import type { Apart, Attempt, Attempts, Identity } from '../pool/attempt'
import type { IdentitiesView } from '../pool/identities'
import { identityOf, type ModelWorker } from '../workers/worker'
import { Audit } from './audit'
import type { Equality } from './equality'
import type { Evidence } from './evidence'
import type { OpenReputation } from './open-reputation'
import { Scales } from './scales'

/**
 * `ejected`: a worker was proven to lie; `readmitted`: it has answered right for long enough since. `kept`: it lied, but too few others would be
 * left. `deviant`: it is ejected since many of its answers differ from those of others, though none is a proven lie.
 */
export interface Verdict {
  worker: string
  /** The identity of its machine, whose workers are all ejected or readmitted together; see `ModelWorker.identity`. */
  identity: string
  kind: 'ejected' | 'deviant' | 'readmitted' | 'kept'
  evidence: WorkerEvidence
}

export interface ReputationOptions {
  pool: Attempts<Payload, Payload> & { readonly identities: IdentitiesView }
  criterion: Criterion
  signature: Signature
  evidence: Evidence
  /** E: workers that may lie. */
  liars: number
  /** Confidence from which a memory may confirm an answer; 1: only agreement proves. */
  integrity: number
  /** Share of the queries that go to more workers than a proof needs. */
  audit: number
  /** How far values of honest answers may differ, relative to the size of their output. */
  rounding: number
  seed: number
  /** Uniform, from 0 to 1, and secret. */
  coin(): number
  warn(text: string): void
  /** Whether a liar gets no more attempts; not so with the paper's code, which needs a worker for each coded query. */
  ejects: boolean
  judged(verdict: Verdict): void
  /** An answer of a worker was shown to be a lie. */
  liar?(worker: ModelWorker, identity: Identity): void
  /** Recalls unproven answers of a worker's identity. @param place  recalls only this one */
  recall(worker: ModelWorker, place?: number): void
}

/**
 * From this share of free machines on all audits are made, below fewer: at 64 callers for 64 slots, auditing one query in a hundred made p99 1.8
 * times as long.
 */
const SPARE = 0.1

export class Reputation {
  readonly liars: number
  readonly integrity: number
  readonly evidence: Evidence
  readonly #pool: ReputationOptions['pool']
  readonly #equal: Omit<Equality, 'scales'> & { scales: Scales }
  readonly #audit: number
  readonly #random: Random
  readonly #ejects: boolean
  readonly #judged: (verdict: Verdict) => void
  readonly #liar: ReputationOptions['liar']
  protected readonly recall: ReputationOptions['recall']

  constructor({ pool, criterion, signature, evidence, liars, seed, rounding, ...rest }: ReputationOptions) {
    this.evidence = evidence
    this.liars = liars
    this.integrity = rest.integrity
    this.#pool = pool
    this.#equal = { criterion, outputs: signature.outputs, rounding, scales: new Scales(pool, signature, liars) }
    this.#audit = rest.audit
    this.#random = seeded(seed)
    this.#ejects = rest.ejects
    this.#judged = rest.judged
    this.#liar = rest.liar
    this.recall = rest.recall
  }

  audits(worker?: ModelWorker): boolean {
    if (this.#pool.identities.size < Math.max(1, this.liars) + 2) return false // with fewer, nobody could tell which of two answers is the lie
    const share = worker ? this.evidence.audits(identityOf(worker), this.#audit) : this.#audit
    return this.#random.next() < share
  }

  /**
   * Now and then starts an audit: one worker more is asked, though no caller waits for it. Where two workers have answered, their answers are
   * compared without asking a third.
   */
  compare(payload: Payload, answered: readonly Attempt<Payload, Payload>[]): void {
    if (!this.#audit || answered.length > 2) return // hedges are off: no query may be sent twice
    if (answered.length === 1 && !(this.audits(answered[0].worker) && this.#isAffordable)) return
    new Audit(this.#pool, this, payload.kept(), answered).proceed()
  }

  /** Audits take machines from queries: the fewer machines are free, the more audits are skipped. */
  get #isAffordable(): boolean {
    const free = 1 - this.#pool.utilisation
    return free >= SPARE || this.#random.next() < free / SPARE
  }

  isSuspected(worker: ModelWorker): boolean {
    return this.evidence.isSuspect(identityOf(worker))
  }

  isTrusted(worker: ModelWorker): boolean {
    return this.evidence.isTrusted(identityOf(worker))
  }

  get equality(): Equality {
    return { ...this.#equal, scales: this.#equal.scales.known }
  }

  /** Keeps trials away from ejected workers that are unlikely to pass them. */
  readonly trials: Apart = { blocks: (identity) => this.#random.next() >= this.evidence.trials(identity) }

  /** The trust of an open fleet; undefined in a closed one. */
  get openTrust(): OpenReputation | undefined {
    return undefined
  }

  /** A worker joins. @returns whether it may have attempts: a worker with the identity of an ejected one may not */
  joined(worker: ModelWorker): boolean {
    this.#equal.scales.changed()
    this.evidence.join(identityOf(worker))
    return !this.#ejects || this.isTrusted(worker)
  }

  left(worker: ModelWorker): void {
    this.#equal.scales.changed()
    this.tidy(identityOf(worker))
  }

  /**
   * Whether the scale of answers is still being measured: until then few answers can be proven to be lies. @param onKnown  called when a machine
   * has answered
   */
  isMeasuring(onKnown: () => void): boolean {
    this.#equal.scales.onAnswer = onKnown
    return this.#equal.scales.isMeasuring
  }

  /** The workers have another model: the distances and scales of its answers are measured anew. */
  renew(): void {
    this.#equal.scales.renew()
    this.evidence.renew()
  }

  proven(worker: ModelWorker): void {
    const identity = identityOf(worker)
    const isReadmitted = this.evidence.proven(identity)
    this.tidy(identity)
    if (!isReadmitted) return
    if (this.#ejects) this.#pool.readmit(identity)
    this.report(worker, 'readmitted')
  }

  checked(worker: ModelWorker, passed: boolean, distance: number): void {
    const identity = identityOf(worker)
    this.evidence.checked(identity, passed, distance)
    this.tidy(identity)
  }

  silent(worker: ModelWorker): void {
    const identity = identityOf(worker)
    this.evidence.silent(identity)
    this.tidy(identity)
  }

  /** Deletes what is not worth keeping of a worker that has left. */
  protected tidy(identity: Identity): void {
    if (!this.#pool.identities.has(identity)) this.evidence.leave(identity, this.openTrust !== undefined)
  }

  /** Ejects the workers that were ejected when the state was saved. */
  resume(): void {
    for (const identity of this.evidence.workers) this.tidy(identity)
    for (const identity of this.#ejects ? this.#pool.identities.all() : []) {
      if (!this.evidence.isTrusted(identity)) this.#pool.eject(identity)
    }
  }

  /** Another model version may have ejected or readmitted a machine. */
  follow(identity: Identity): void {
    if (this.#ejects) this.#pool[this.evidence.isTrusted(identity) ? 'readmit' : 'eject'](identity)
  }

  /** @param by  'trusted': a trusted worker's answer is the proof; else agreement of other workers */
  lied(worker: ModelWorker, by?: 'trusted'): void {
    const identity = identityOf(worker)
    this.#pool.suspect(worker)
    this.#liar?.(worker, identity)
    if (!by && !this.canSpare(identity)) return this.report(worker, 'kept')
    const wasTrusted = this.evidence.lied(identity)
    this.tidy(identity)
    if (!wasTrusted) return
    if (this.#ejects) this.#pool.eject(identity)
    // The first time, corrupt memory is likelier than malice: a restart may help.
    if (this.evidence.of(identity).ejections === 1) restart(worker)
    this.report(worker, 'ejected')
    this.recall(worker)
  }

  /** @param byTrusted  a trusted worker's answer is the proof; `place` of the given answer, if it was given */
  deviated(worker: ModelWorker, byTrusted?: { place: number | undefined }): void {
    const identity = identityOf(worker)
    const isDeviant = this.evidence.deviated(identity) && (byTrusted !== undefined || this.canSpare(identity))
    if (isDeviant) this.evidence.passOver(identity)
    this.tidy(identity)
    if (byTrusted?.place !== undefined) this.recall(worker, byTrusted.place)
    if (!isDeviant) return
    if (this.#ejects) this.#pool.eject(identity)
    this.report(worker, 'deviant')
    this.recall(worker)
  }

  /** Whether enough workers would be left. If half of all are shown to lie, the model itself is not deterministic. */
  protected canSpare(identity: Identity): boolean {
    if (!this.evidence.isTrusted(identity)) return true
    const identities = this.#pool.identities.all()
    const trusted = identities.filter((each) => this.evidence.isTrusted(each)).length
    return trusted > Math.max(this.liars + 1, Math.ceil(identities.length / 2))
  }

  protected report(worker: ModelWorker, kind: Verdict['kind']): void {
    const identity = identityOf(worker)
    this.#judged({ worker: worker.name, identity, kind, evidence: { ...this.evidence.of(identity) } })
  }
}

function restart(worker: ModelWorker): void {
  try {
    worker.restart?.('gave an answer that was proven wrong')
  } catch {} // the worker stays as it is
}
