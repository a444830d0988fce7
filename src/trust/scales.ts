/**
 * The size of a model's outputs, by which a lie is told from rounding: the size of the answer to a fixed query, which no caller chooses. Workers
 * report it; of the others some are asked that query. Where the user has trusted workers, only these count: two untrusted workers of three that
 * reported 1e30 once made all of their lies pass for rounding.
 */

import { Payload, sizesOf } from '../base/payload'
import { probeQuery } from '../base/probe-query'
import { median } from '../base/stats'
import type { Signature } from '../base/tensor'
import type { Apart, Attempt, Attempts, Identity, Owner } from '../pool/attempt'
import type { IdentitiesView } from '../pool/identities'
import { identityOf, type ModelWorker } from '../workers/worker'

/** Machines that have a vote, if there are as many: no single one of three decides. */
const ENOUGH = 3
/** Failures after which a machine is not asked again. */
const TRIES = 3

export class Scales implements Owner, Apart {
  /** Called when a machine that was asked has answered or failed. */
  onAnswer = (): void => {}
  readonly #pool: Attempts<Payload, Payload> & { readonly identities: IdentitiesView }
  readonly #signature: Signature
  readonly #liars: number
  /** The scales found so far; undefined when they have to be computed again. */
  #known: readonly number[] | undefined
  /** For machines that report no scales: their answers, and their failures. */
  readonly #answered = new Map<Identity, readonly number[]>()
  readonly #failures = new Map<Identity, number>()
  readonly #underWay = new Set<Attempt<Payload, Payload>>()
  /** Machines that report no scales and may be asked. */
  #silent = new Set<Identity>()
  /** A trusted worker has been here: other workers' reports do not count any more. */
  #hasTrusted = false

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

  /** For each output the median of the machines' reports; 0 while it is unknown. As long as most machines are honest, liars cannot move it. */
  get known(): readonly number[] {
    return this.#known ?? this.#found()
  }

  /** Whether a scale is unknown and has been asked for. */
  get isMeasuring(): boolean {
    return this.known.includes(0) && this.#underWay.size > 0
  }

  /** A machine that has not answered yet votes 0: otherwise a silent liar could keep the scales unknown. */
  #found(): readonly number[] {
    const standards = this.#standards()
    const votes = standards.map((worker) => this.#reportedBy(worker)).filter((scales) => scales !== undefined)
    const missing = Math.min(standards.length, Math.max(ENOUGH, 2 * this.#liars + 1)) - votes.length
    for (let i = 0; i < missing; i++) votes.push([])
    const known = this.#signature.outputs.map((_, i) => median(votes.map((scales) => sane(scales[i]))) ?? 0)
    if (missing <= 0) this.#known = known
    this.#ask(standards, missing)
    return known
  }

  /** A machine's scales; undefined while it may still answer. */
  #reportedBy(worker: ModelWorker): readonly number[] | undefined {
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
    this.#hasTrusted ||= own.length > 0
    const others = machines.length > 2 * this.#liars ? machines.map(([first]) => first) : []
    return this.#hasTrusted ? own : others
  }

  /**
   * Asks `missing` machines that can be reached. Attempts that are not needed any more are taken back: they stand before other queries in the
   * queue.
   */
  #ask(standards: readonly ModelWorker[], missing: number): void {
    const silent = standards.filter((worker) => !this.#reportedBy(worker)).map(identityOf)
    this.#silent = new Set(silent.filter((each) => this.#pool.identities.isUsable(each)))
    const wanted = Math.min(missing, this.#silent.size)
    for (const attempt of this.#underWay) {
      if (this.#underWay.size <= wanted) break
      if (attempt.phase === 'queued' && this.#underWay.delete(attempt)) this.#pool.cancel(attempt)
    }
    for (let more = wanted - this.#underWay.size; more > 0; more--) {
      const payload = new Payload(probeQuery(this.#signature))
      const attempt = this.#pool.submit({ payload, owner: this, apart: [this], priority: 'high' })
      if (attempt.phase !== 'settled') this.#underWay.add(attempt)
    }
  }

  blocks(identity: Identity): boolean {
    return !this.#silent.has(identity) || Array.from(this.#underWay).some((each) => each.identity === identity)
  }

  settled(attempt: Attempt): void {
    const asked = attempt as Attempt<Payload, Payload>
    const { outcome, identity } = asked
    if (!this.#underWay.delete(asked) || identity === undefined) return
    this.#silent.delete(identity) // until `#ask` lists them anew
    if (outcome?.kind === 'answered') {
      this.#answered.set(identity, sizesOf(outcome.answer.tensors, this.#signature.outputs))
    } else if (outcome?.kind === 'failed' && outcome.blame !== 'nobody') {
      this.#failures.set(identity, (this.#failures.get(identity) ?? 0) + 1)
    }
    this.onAnswer()
  }

  /** Workers came or went. */
  changed(): void {
    this.#known = undefined
    for (const all of [this.#answered, this.#failures]) {
      for (const identity of all.keys()) if (!this.#pool.identities.has(identity)) all.delete(identity)
    }
  }

  /** The workers have another model: answers under way say nothing about it. */
  renew(): void {
    for (const attempt of this.#underWay) this.#pool.cancel(attempt)
    for (const all of [this.#underWay, this.#answered, this.#failures]) all.clear()
    this.#known = undefined
  }
}

/** A worker may report anything. */
const sane = (scale: unknown) => (typeof scale === 'number' && scale > 0 && scale < Number.MAX_VALUE ? scale : 0)

/** A loop: one machine may have thousands of workers, and making an array of them for each query took a millisecond. */
function trustedOf(workers: Iterable<ModelWorker>): ModelWorker | undefined {
  for (const worker of workers) if (worker.trusted) return worker
}
