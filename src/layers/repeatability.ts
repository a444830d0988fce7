/**
 * What follows if a repeat that was asked again gets another answer than the cached one: the model was replaced without notice, a machine
 * lies, or the model does not answer equal queries equally.
 *
 * Two machines that contradict a cached answer do not suffice: the machine that gave the answer may have lied. So a cached answer of
 * another machine has to be contradicted too before everything cached and learned is dropped. Two differences without a common machine
 * suffice.
 */

import type { Warn } from '../base/notices'
import type { Payload } from '../base/payload'
import type { Identity } from '../pool/attempt'
import { agree, type Equality } from '../trust/equality'
import type { ExactCache, Kept } from './exact-cache'
import type { Opinion, SecondOpinion } from './second-opinion'

/**
 * Reuse is turned off after this many differences in this many asked repeats, `ofOthers` of them without the machine that differs most. It
 * is on again after as many repeats without a difference.
 */
const UNSTEADY = { differences: 3, ofOthers: 2, repeats: 300 }

/** A difference between two answers, about which other workers are being asked. */
interface OpenDifference {
  /** The machine that answered, and the one whose answer was cached. */
  readonly between: readonly Identity[]
  readonly waiting: ((isRight: boolean) => void)[]
}

interface RepeatabilityOptions {
  kept: ExactCache
  opinion: Pick<SecondOpinion, 'judge' | 'ask' | 'isOnly' | 'isProven'>
  equality(): Equality
  warn: Warn
  /** The model was replaced: everything cached and learned belongs to the old one. */
  replaced(): void
  /** The cached answers of a machine that lies have been removed. */
  mended(): void
}

export class Repeatability {
  /** Whether the model does not answer equal queries equally, so that nothing is reused. */
  isOff = false
  readonly #options: RepeatabilityOptions
  #repeats = 0
  /** Recent differences: the number of repeats at that time, and the machine that differed from the others; undefined if several did. */
  #differences: { at: number; odd: Identity | undefined }[] = []
  /** Machines with a cached answer that other machines have contradicted. */
  readonly #disbelieved = new Set<Identity>()
  #lastAt = 0
  readonly #judging = new Map<Kept, OpenDifference>()

  constructor(options: RepeatabilityOptions) {
    this.#options = options
  }

  /**
   * Compares the cached answer of a query with the answer that it got now.
   *
   * @param from  the machine that answered now
   * @param report  receives whether the cached answer is what the model says now, by more than one machine if there are several
   */
  compare(
    key: string,
    kept: Kept,
    answer: Payload,
    from: Identity,
    report: (isRight: boolean) => void = () => {},
  ): void {
    const { opinion, equality, kept: all } = this.#options
    this.#repeats++
    if (agree(kept.answer, answer, equality())) {
      this.#steady()
      return report(true)
    }
    if (!all.has(key, kept)) return report(false) // the cached answer belonged to an earlier model
    const known = this.#judging.get(kept)
    if (known) return void known.waiting.push(report)
    const before = kept.by.identity as Identity
    const [between, waiting] = [[from, before], [report]]
    const isOfOthers = (other: OpenDifference) => !other.between.some((identity) => between.includes(identity))
    if ([...this.#judging.values()].some(isOfOthers)) {
      this.#replaced()
      return report(false)
    }
    this.#judging.set(kept, { between, waiting })
    const isAsBefore = (other: Payload) => agree(kept.answer, other, equality())
    opinion.judge({ payload: kept.query, answer: answer.copy(), from, before, isAsBefore }, (said) => {
      this.#judging.delete(kept)
      if (all.has(key, kept)) this.#judged(key, said, { from, before })
      for (const each of waiting) each(said === 'refuted')
    })
  }

  #judged(key: string, said: Opinion, { from, before }: { from: Identity; before: Identity }): void {
    const { kept: all, opinion } = this.#options
    if (said === 'refuted') return this.#differs(from)
    all.drop(key)
    if (said !== 'confirmed') return this.#differs(said === 'alone' ? undefined : from)
    const other =
      opinion.isProven || opinion.isOnly(before) ? undefined : all.another((identity) => identity !== before)
    if (!other) return this.#replaced()
    opinion.ask(other.kept.query, [before], (answer) => {
      if (!answer || !all.has(other.key, other.kept)) return
      if (!agree(other.kept.answer, answer, this.#options.equality())) return this.#replaced()
      all.forget({ identity: before })
      this.#disbelieved.add(before)
      this.#options.mended()
      this.#differs(before)
    })
  }

  /** Whether a machine's answers may be cached. */
  believes(identity: Identity): boolean {
    return !this.#disbelieved.has(identity)
  }

  /** The memory was wrong, perhaps because the model was replaced: asks again for a cached answer. */
  suspect(): void {
    const { kept: all, opinion } = this.#options
    const one = opinion.isProven ? undefined : all.another(() => true) // with proven answers the audits of repeats suffice
    if (!one) return
    const before = one.kept.by.identity as Identity
    opinion.ask(one.kept.query, opinion.isOnly(before) ? [] : [before], (answer, from) => {
      if (answer) this.compare(one.key, one.kept, answer, from)
    })
  }

  /** The model was replaced with notice. */
  renew(): void {
    this.#differences = []
    this.#disbelieved.clear()
    this.#judging.clear()
    this.isOff = false
  }

  #replaced(): void {
    const { replaced, warn } = this.#options
    warn(
      'a query that was asked again had another answer, also of a second worker: the model was replaced, and what was kept and learned of the one before is gone',
    )
    this.#disbelieved.clear()
    this.#judging.clear()
    replaced()
    this.#differs(undefined)
  }

  /** @param odd  the machine that differed from the others; undefined if several did, or if there is only one */
  #differs(odd: Identity | undefined): void {
    this.#lastAt = this.#repeats
    const recent = this.#differences.filter(({ at }) => at > this.#repeats - UNSTEADY.repeats)
    this.#differences = [...recent, { at: this.#repeats, odd }]
    const counts = new Map<Identity, number>()
    for (const { odd } of this.#differences) if (odd !== undefined) counts.set(odd, (counts.get(odd) ?? 0) + 1)
    const { length } = this.#differences
    const ofOthers = length - Math.max(0, ...counts.values()) // a single machine that lies is not the model's fault
    if (this.isOff || length < UNSTEADY.differences || ofOthers < UNSTEADY.ofOthers) return
    this.isOff = true
    this.#options.warn(
      'queries that were asked again had other answers again and again: the model does not answer the same twice, and no answer is used again (reuse)',
    )
  }

  #steady(): void {
    if (this.isOff && this.#repeats - this.#lastAt >= UNSTEADY.repeats) this.renew()
  }
}
