/**
 * Asks other machines when an answer differs from what was cached or remembered: a single machine's answer neither proves that the model
 * was replaced nor counts as an error of the memory.
 */

import type { Clock } from '../base/clock'
import type { Payload } from '../base/payload'
import type { Status } from '../base/prediction'
import type { Apart, Attempt, Identity, Owner } from '../pool/attempt'
import type { Pool } from '../pool/pool'
import { agree, type Equality } from '../trust/equality'

/** Time limit: long enough for workers to go down and restart. */
const MOST_MS = 60_000
/** Machines that may fail on a query before it is given up. */
const MOST_FAILED = 3

/**
 * `confirmed`: another machine gives the new answer, or the only machine gives it again. `refuted`: others give the cached or remembered
 * answer. `alone`: the only machine gives now one and now the other. `open`: undecided.
 */
export type Opinion = 'confirmed' | 'refuted' | 'alone' | 'open'

export interface Differing {
  readonly payload: Payload
  readonly answer: Payload
  readonly from: Identity
  /** Whether an answer equals the cached or remembered one. */
  isAsBefore(answer: Payload): boolean
  /** The machine that gave the cached answer; undefined for an answer of the memory, which two machines have to give. */
  readonly before?: Identity | undefined
}

interface SecondOpinionOptions {
  readonly clock: Clock
  readonly pool: Pick<Pool<Payload, Payload>, 'identities' | 'submit' | 'cancel' | 'record'>
  readonly trust: { readonly equality: Equality }
  /** Set if answers are sampled: the status that a worker's answer deserves. */
  readonly sampled?: { worth(worker: NonNullable<Attempt['worker']>): Status } | undefined
  /** Whether `agree` proves answers before they are given. They need no second opinion, and the answer of a single machine is none. */
  readonly isProven: boolean
}

export class SecondOpinion {
  readonly isProven: boolean
  readonly #options: SecondOpinionOptions
  readonly #open = new Set<OneMore>()
  #isClosed = false

  constructor(options: SecondOpinionOptions) {
    this.#options = options
    this.isProven = options.isProven
  }

  /** Whether no other machine can be asked. */
  isOnly(identity: Identity): boolean {
    return !this.#others([identity]).length
  }

  judge(differing: Differing, report: (opinion: Opinion) => void): void {
    const { payload, answer, from, before, isAsBefore } = differing
    const isConfirmed = (other: Payload) => agree(other, answer, this.#options.trust.equality)
    if (this.isProven) return report('confirmed')
    const others = this.#others([from])
    if (!others.length) {
      if (before === undefined) return report('open')
      return this.ask(payload, [], (again) => report(!again ? 'open' : isConfirmed(again) ? 'confirmed' : 'alone'))
    }
    const isOther = others.some((identity) => identity !== before)
    this.ask(payload, isOther && before !== undefined ? [from, before] : [from], (second, who) => {
      if (!second) return report('open')
      if (!isAsBefore(second)) return report(isConfirmed(second) ? 'confirmed' : 'open')
      if (before !== undefined && before !== who) return report('refuted')
      if (!this.#others([from, who]).length) return report('open')
      this.ask(payload, [from, who], (third) => report(third && isAsBefore(third) ? 'refuted' : 'open'))
    })
  }

  /** Asks one machine that is not in `apart`. @param report  receives its answer; undefined: none answered */
  ask(
    payload: Payload,
    apart: readonly Identity[],
    report: (answer: Payload | undefined, from: Identity) => void,
  ): void {
    if (this.#isClosed || !this.#others(apart).length) return report(undefined, '')
    const isBlocked = (identity: Identity) => apart.includes(identity) || !this.#counts(identity)
    const one = new OneMore(isBlocked, (attempt) => {
      this.#open.delete(one)
      stop()
      const { outcome, identity = '' } = attempt
      this.#options.pool.record({ attempt, onTime: false })
      if (outcome?.kind === 'answered') return report(outcome.answer, identity)
      const isGivenUp = outcome?.kind !== 'failed' || apart.length >= MOST_FAILED + 1
      if (isGivenUp) return report(undefined, '')
      this.ask(payload, identity ? [...apart, identity] : apart, report)
    })
    this.#open.add(one)
    const stop = this.#options.clock.after(
      MOST_MS,
      () => {
        this.#drop(one)
        report(undefined, '')
      },
      true,
    )
    one.stop = stop
    one.attempt = this.#options.pool.submit({ payload, owner: one, apart: [one], priority: 'high' })
  }

  /** Ends all requests without a report: they are of no use any more. */
  stop(): void {
    for (const one of [...this.#open]) this.#drop(one)
  }

  close(): void {
    this.#isClosed = true
    this.stop()
  }

  #drop(one: OneMore): void {
    this.#open.delete(one)
    one.stop()
    if (one.attempt) this.#options.pool.cancel(one.attempt)
    one.isDropped = true
  }

  #others(apart: readonly Identity[]): Identity[] {
    const { identities } = this.#options.pool
    return identities.all().filter((each) => !apart.includes(each) && identities.isUsable(each) && this.#counts(each))
  }

  /** Whether a machine's answers are exact. If answers are sampled, only those of the user's own machines are. */
  #counts(identity: Identity): boolean {
    const { sampled, pool } = this.#options
    return !sampled || [...pool.identities.workersOf(identity)].every((worker) => sampled.worth(worker) === 'exact')
  }
}

class OneMore implements Owner, Apart {
  attempt: Attempt<Payload, Payload> | undefined
  isDropped = false
  stop = () => {}

  constructor(
    readonly blocks: (identity: Identity) => boolean,
    readonly report: (attempt: Attempt<Payload, Payload>) => void,
  ) {}

  settled(attempt: Attempt<Payload, Payload>): void {
    if (!this.isDropped) this.report(attempt)
  }
}
