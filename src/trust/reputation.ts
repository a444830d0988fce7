/**
 * What is believed of the workers, and what becomes of one that lies: it is ejected until it has answered well for a while. The one
 * that queries tell, and the one that tells the pool.
 */

import type { Criterion } from '../base/criterion'
import type { Payload } from '../base/payload'
import { type Random, seeded } from '../base/random'
import type { Signature } from '../base/tensor'
import type { Apart, Attempt, Attempts, Identity } from '../pool/attempt'
import type { IdentitiesView } from '../pool/identities'
import { identityOf, type ModelWorker } from '../workers/worker'
import { Audit } from './audit'
import type { Equality } from './equality'
import type { Evidence, WorkerEvidence } from './evidence'
import type { OpenReputation } from './open-reputation'
import { Scales } from './scales'

/**
 * A worker was shown to lie, or has answered well for long enough since; `kept`: it lied, and too few others are left. `deviant`: it is ejected
 * since many of its answers are unlike those of others, though none is shown to be a lie.
 */
export interface Verdict {
  worker: string
  /** Of its machine, whose workers are all ejected or readmitted with it; see `ModelWorker.identity`. */
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
  /** Confidence from which a memory may check; 1: only proof counts. */
  integrity: number
  /** Share of the queries that more workers are asked for than it takes. */
  audit: number
  /** How far honest values may be apart, over the size of their output. */
  rounding: number
  seed: number
  /** Uniform, from 0 to 1, and secret. */
  coin(): number
  warn(text: string): void
  /** Whether a worker that lied gets no more attempts; the paper's code needs one for each row. */
  ejects: boolean
  judged(verdict: Verdict): void
  /** An answer of a worker was shown to be a lie. */
  liar?(worker: ModelWorker, identity: Identity): void
  /** Of what a worker's identity gave, what nothing has proven. @param place  of the one answer that is meant */
  recall(worker: ModelWorker, place?: number): void
}

/** Share of the machines that is free from which on all audits are made. At 64 callers for 64 slots one query in a hundred audited made p99 1.8 times as long. */
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
    if (this.#pool.identities.size < Math.max(1, this.liars) + 2) return false // nobody could tell who of two lies
    const share = worker ? this.evidence.audits(identityOf(worker), this.#audit) : this.#audit
    return this.#random.next() < share
  }

  /** Now and then one worker more is asked, though nobody waits for it; where two answered, whether they agree shows at once. */
  compare(payload: Payload, answered: readonly Attempt<Payload, Payload>[]): void {
    if (!this.#audit || answered.length > 2) return // not where workers must not be asked twice
    if (answered.length === 1 && !(this.audits(answered[0].worker) && this.#isAffordable)) return
    new Audit(this.#pool, this, payload.kept(), answered).proceed()
  }

  /** Audits take machines from queries where nearly all are at work: the fewer are free, the more of them are left out. */
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

  /** What keeps trials away from ejected workers that will hardly pass them. */
  readonly trials: Apart = { blocks: (identity) => this.#random.next() >= this.evidence.trials(identity) }

  /** Who has to earn trust: anybody, in an open fleet. */
  get strangers(): OpenReputation | undefined {
    return undefined
  }

  /** A worker joins. @returns whether it may have attempts: one that comes back under the identity of an ejected one may not */
  joined(worker: ModelWorker): boolean {
    this.#equal.scales.changed()
    this.evidence.join(identityOf(worker))
    return !this.#ejects || this.isTrusted(worker)
  }

  /** A worker has left; what is held against it stays. */
  left(worker: ModelWorker): void {
    this.#equal.scales.changed()
    this.tidy(identityOf(worker))
  }

  /** Machines are asked how large answers are: until they have answered few can be told to be lies. @param look  is called when one has */
  isMeasuring(look: () => void): boolean {
    this.#equal.scales.heard = look
    return this.#equal.scales.isAsking
  }

  /** The workers have another model: how far its answers differ, and how large they are, is found out anew. */
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
    this.tell(worker, 'readmitted')
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

  /** Of one that has left there is no more to know than that it lied. */
  protected tidy(identity: Identity): void {
    if (!this.#pool.identities.has(identity)) this.evidence.leave(identity, this.strangers !== undefined)
  }

  /** Workers that were ejected before what is known was saved still are. */
  resume(): void {
    for (const identity of this.evidence.workers) this.tidy(identity)
    for (const identity of this.#ejects ? this.#pool.identities.all() : []) {
      if (!this.evidence.isTrusted(identity)) this.#pool.eject(identity)
    }
  }

  /** What is believed of a machine may have changed elsewhere. */
  follow(identity: Identity): void {
    if (this.#ejects) this.#pool[this.evidence.isTrusted(identity) ? 'readmit' : 'eject'](identity)
  }

  /** @param by  'anchor' where an anchor's answer is the proof, else the agreement of other workers */
  lied(worker: ModelWorker, by?: 'anchor'): void {
    const identity = identityOf(worker)
    this.#pool.suspect(worker)
    this.#liar?.(worker, identity)
    if (!by && !this.canSpare(identity)) return this.tell(worker, 'kept')
    const wasTrusted = this.evidence.lied(identity)
    this.tidy(identity)
    if (!wasTrusted) return
    if (this.#ejects) this.#pool.eject(identity)
    // A first time its memory may be corrupt, which is likelier than malice.
    if (this.evidence.of(identity).ejections === 1) restart(worker)
    this.tell(worker, 'ejected')
    this.recall(worker)
  }

  /** @param anchored  where an anchor's answer shows it, to an answer that was given in that place, if it was */
  deviated(worker: ModelWorker, anchored?: { place: number | undefined }): void {
    const identity = identityOf(worker)
    const isDeviant = this.evidence.deviated(identity) && (anchored !== undefined || this.canSpare(identity))
    if (isDeviant) this.evidence.passOver(identity)
    this.tidy(identity)
    if (anchored?.place !== undefined) this.recall(worker, anchored.place)
    if (!isDeviant) return
    if (this.#ejects) this.#pool.eject(identity)
    this.tell(worker, 'deviant')
    this.recall(worker)
  }

  /** Whether enough would be left: where half of all are shown to lie, the model itself is not the same twice. */
  protected canSpare(identity: Identity): boolean {
    if (!this.evidence.isTrusted(identity)) return true
    const identities = this.#pool.identities.all()
    const trusted = identities.filter((each) => this.evidence.isTrusted(each)).length
    return trusted > Math.max(this.liars + 1, Math.ceil(identities.length / 2))
  }

  protected tell(worker: ModelWorker, kind: Verdict['kind']): void {
    const identity = identityOf(worker)
    this.#judged({ worker: worker.name, identity, kind, evidence: { ...this.evidence.of(identity) } })
  }
}

function restart(worker: ModelWorker): void {
  try {
    worker.restart?.('gave an answer that was proven wrong')
  } catch {} // it stays as it is
}
