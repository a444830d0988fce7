/**
 * How large a model's answers are: by that a lie is told from rounding. It is the size of the answer to a query that no caller chooses. Workers
 * tell it; of those that do not some are asked that query. Where some are the user's own only these count: two strangers of three that said
 * 1e30 once had every lie of theirs taken for rounding.
 */

import { Payload, sizesOf } from '../payload'
import type { Apart, Attempt, Attempts, Identity, Owner } from '../pool/attempt'
import type { Identities } from '../pool/identities'
import { probeQuery } from '../probe-query'
import { median } from '../stats'
import type { Signature } from '../tensor'
import { identityOf, type ModelWorker } from '../workers/worker'

/** Machines whose word it takes, where there are as many: of three no single one decides. */
const ENOUGH = 3

export class Scales implements Owner, Apart {
  readonly #pool: Attempts<Payload, Payload> & { readonly identities: Pick<Identities, 'all' | 'workersOf'> }
  readonly #signature: Signature
  readonly #liars: number
  /** Undefined where they are to be found out anew. */
  #known: readonly number[] | undefined
  /** Of machines that tell none; undefined where one gave no answer. */
  readonly #answered = new Map<Identity, readonly number[] | undefined>()
  readonly #asking = new Set<Attempt<Payload, Payload>>()
  /** Machines that tell none and were not asked. */
  #silent = new Set<Identity>()
  /** Some worker was the user's own: what others tell counts no more. */
  #isAnchored = false

  /** @param liars  E: machines that may lie */
  constructor(
    pool: Attempts<Payload, Payload> & { readonly identities: Pick<Identities, 'all' | 'workersOf'> },
    signature: Signature,
    liars: number,
  ) {
    // biome-ignore format: one line
    this.#pool = pool
    this.#signature = signature
    this.#liars = liars
  }

  /** Of each output the median of what machines tell; 0 where it is not known, or not yet. As long as most of them are honest no liar moves it. */
  get known(): readonly number[] {
    this.#known ??= this.#found()
    return this.#known
  }

  #found(): readonly number[] {
    const standards = this.#standards()
    const told = standards
      .map((worker) => this.#toldBy(worker))
      .filter((scales) => scales?.length) as (readonly number[])[]
    const missing = Math.min(standards.length, Math.max(ENOUGH, 2 * this.#liars + 1)) - told.length
    if (missing > 0) this.#ask(standards, missing)
    return this.#signature.outputs.map((_, i) =>
      missing > 0 ? 0 : (median(told.map((scales) => sane(scales[i]))) ?? 0),
    )
  }

  #toldBy(worker: ModelWorker): readonly number[] | undefined {
    return worker.scales ?? this.#answered.get(identityOf(worker))
  }

  /**
   * Of each machine whose word counts a worker. Where no more than twice as many are there as may lie nobody's does: of two that were left of
   * three, a liar that told 1e30 was right whatever it answered.
   */
  #standards(): readonly ModelWorker[] {
    const { identities } = this.#pool
    const machines = identities.all().map((each) => identities.workersOf(each))
    const own = machines.flatMap((workers) => workers.find(({ trusted }) => trusted) ?? [])
    this.#isAnchored ||= own.length > 0
    const others = machines.length > 2 * this.#liars ? machines.map(([first]) => first) : []
    return this.#isAnchored ? own : others
  }

  // Asking.

  #ask(standards: readonly ModelWorker[], count: number): void {
    const silent = standards.filter((worker) => !worker.scales).map(identityOf)
    const asked = [...this.#asking].map(({ identity }) => identity)
    this.#silent = new Set(silent.filter((each) => !this.#answered.has(each) && !asked.includes(each)))
    const queued = asked.filter((identity) => identity === undefined).length
    for (let left = Math.min(count - asked.length, this.#silent.size - queued); left > 0; left--) {
      const payload = new Payload(probeQuery(this.#signature))
      this.#asking.add(this.#pool.submit({ payload, owner: this, apart: [this], priority: 'high' }))
    }
  }

  blocks(identity: Identity): boolean {
    return !this.#silent.has(identity)
  }

  began({ identity }: Attempt): void {
    this.#silent.delete(identity as Identity)
  }

  settled(attempt: Attempt): void {
    const asked = attempt as Attempt<Payload, Payload>
    const { outcome, identity } = asked
    if (!this.#asking.delete(asked) || identity === undefined) return
    const answer = outcome?.kind === 'answered' ? outcome.answer.tensors : undefined
    this.#answered.set(identity, answer && sizesOf(answer, this.#signature.outputs))
    this.#known = undefined
  }

  /** Workers came or went; who gave no answer may give one now. */
  changed(): void {
    this.#known = undefined
    for (const attempt of this.#asking)
      if (attempt.phase === 'queued' && this.#asking.delete(attempt)) this.#pool.cancel(attempt)
    for (const [identity, scales] of this.#answered) {
      if (!scales || !this.#pool.identities.workersOf(identity).length) this.#answered.delete(identity)
    }
  }

  /** The workers have another model. */
  renew(): void {
    this.changed()
    this.#answered.clear()
    this.#asking.clear()
  }
}

/** What a worker says of itself may be anything. */
const sane = (scale: unknown) => (typeof scale === 'number' && scale > 0 && scale < Number.MAX_VALUE ? scale : 0)
