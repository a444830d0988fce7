/**
 * How large a model's answers are: by that a lie is told from rounding. It is the size of the answer to a query that no caller chooses. Workers
 * tell it; of those that do not some are asked that query. Where some are the user's own only these count: two strangers of three that said
 * 1e30 once had every lie of theirs taken for rounding.
 */

import { Payload, sizesOf } from '../base/payload'
import { probeQuery } from '../base/probe-query'
import { median } from '../base/stats'
import type { Signature } from '../base/tensor'
import type { Apart, Attempt, Attempts, Identity, Owner } from '../pool/attempt'
import type { IdentitiesView } from '../pool/identities'
import { identityOf, type ModelWorker } from '../workers/worker'

/** Machines whose word it takes, where there are as many: of three no single one decides. */
const ENOUGH = 3
/** Times that a machine is asked that gives no answer. */
const TRIES = 3

export class Scales implements Owner, Apart {
  /** Called when a machine that was asked has answered, or has not. */
  heard = (): void => {}
  readonly #pool: Attempts<Payload, Payload> & { readonly identities: IdentitiesView }
  readonly #signature: Signature
  readonly #liars: number
  /** Undefined where they are to be found out anew. */
  #known: readonly number[] | undefined
  /** Of machines that tell none: what they answered, and how often one gave no answer. */
  readonly #answered = new Map<Identity, readonly number[]>()
  readonly #failures = new Map<Identity, number>()
  readonly #asking = new Set<Attempt<Payload, Payload>>()
  /** Machines that may be asked. */
  #silent = new Set<Identity>()
  /** Some worker was the user's own: what others tell counts no more. */
  #isAnchored = false

  /** @param liars  E: machines that may lie */
  constructor(
    pool: Attempts<Payload, Payload> & { readonly identities: IdentitiesView },
    signature: Signature,
    liars: number,
  ) {
    this.#pool = pool
    this.#signature = signature
    this.#liars = liars
  }

  /** Of each output the median of what machines tell; 0 where it is not known, or not yet. As long as most of them are honest no liar moves it. */
  get known(): readonly number[] {
    return this.#known ?? this.#found()
  }

  /** Whether it will be known in a moment. */
  get isAsking(): boolean {
    return this.known.includes(0) && this.#asking.size > 0
  }

  /** Who has not answered yet has a vote, for 0: a liar that keeps silent could else keep it unknown. */
  #found(): readonly number[] {
    const standards = this.#standards()
    const votes = standards.map((worker) => this.#toldBy(worker)).filter((scales) => scales !== undefined)
    const missing = Math.min(standards.length, Math.max(ENOUGH, 2 * this.#liars + 1)) - votes.length
    for (let i = 0; i < missing; i++) votes.push([])
    const known = this.#signature.outputs.map((_, i) => median(votes.map((scales) => sane(scales[i]))) ?? 0)
    if (missing <= 0) this.#known = known
    this.#ask(standards, missing)
    return known
  }

  /** Undefined where it may answer yet. */
  #toldBy(worker: ModelWorker): readonly number[] | undefined {
    const identity = identityOf(worker)
    const isSilent = (this.#failures.get(identity) ?? 0) >= TRIES
    return worker.scales ?? this.#answered.get(identity) ?? (isSilent ? [] : undefined)
  }

  /**
   * One worker of each machine whose word counts. With at most twice as many machines as may lie, no machine's word counts: when two of three were
   * left, a liar that claimed answers of the size of 1e30 was right whatever it answered.
   */
  #standards(): readonly ModelWorker[] {
    const { identities } = this.#pool
    const machines = identities.all().map((each) => identities.workersOf(each))
    const own = machines.flatMap((workers) => trustedOf(workers) ?? [])
    this.#isAnchored ||= own.length > 0
    const others = machines.length > 2 * this.#liars ? machines.map(([first]) => first) : []
    return this.#isAnchored ? own : others
  }

  // Asking.

  /** Asks as many as are `missing`, of those that can be reached. Questions that are no longer needed are taken back, since they stand before others in the queue. */
  #ask(standards: readonly ModelWorker[], missing: number): void {
    const silent = standards.filter((worker) => !this.#toldBy(worker)).map(identityOf)
    this.#silent = new Set(silent.filter((each) => this.#pool.identities.isUsable(each)))
    const wanted = Math.min(missing, this.#silent.size)
    for (const attempt of this.#asking) {
      if (this.#asking.size <= wanted) break
      if (attempt.phase === 'queued' && this.#asking.delete(attempt)) this.#pool.cancel(attempt)
    }
    for (let more = wanted - this.#asking.size; more > 0; more--) {
      const payload = new Payload(probeQuery(this.#signature))
      const attempt = this.#pool.submit({ payload, owner: this, apart: [this], priority: 'high' })
      if (attempt.phase !== 'settled') this.#asking.add(attempt)
    }
  }

  blocks(identity: Identity): boolean {
    return !this.#silent.has(identity) || Array.from(this.#asking).some((each) => each.identity === identity)
  }

  settled(attempt: Attempt): void {
    const asked = attempt as Attempt<Payload, Payload>
    const { outcome, identity } = asked
    if (!this.#asking.delete(asked) || identity === undefined) return
    this.#silent.delete(identity) // until it is looked again who is
    if (outcome?.kind === 'answered') {
      this.#answered.set(identity, sizesOf(outcome.answer.tensors, this.#signature.outputs))
    } else if (outcome?.kind === 'failed' && outcome.blame !== 'nobody') {
      this.#failures.set(identity, (this.#failures.get(identity) ?? 0) + 1)
    }
    this.heard()
  }

  /** Workers came or went. */
  changed(): void {
    this.#known = undefined
    for (const all of [this.#answered, this.#failures]) {
      for (const identity of all.keys()) if (!this.#pool.identities.has(identity)) all.delete(identity)
    }
  }

  /** The workers have another model: what they are at work on says nothing of it. */
  renew(): void {
    for (const attempt of this.#asking) this.#pool.cancel(attempt)
    for (const all of [this.#asking, this.#answered, this.#failures]) all.clear()
    this.#known = undefined
  }
}

/** What a worker says of itself may be anything. */
const sane = (scale: unknown) => (typeof scale === 'number' && scale > 0 && scale < Number.MAX_VALUE ? scale : 0)

/** A loop: one machine may have thousands of names, and an array of them for each query took a millisecond. */
function trustedOf(workers: Iterable<ModelWorker>): ModelWorker | undefined {
  for (const worker of workers) if (worker.trusted) return worker
}
