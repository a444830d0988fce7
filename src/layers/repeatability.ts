/**
 * What repeats that were asked again tell: that the model was replaced and nobody said so, that a machine lies, or that the model does not answer
 * the same twice.
 *
 * One kept answer that two other machines contradict may be a lie of the machine that gave it. So another machine's kept answer has to be contradicted,
 * too, before all that was kept and learned is given up. Two differences that have no machine in common are enough by themselves.
 */

import type { Warn } from '../base/notices'
import type { Payload } from '../base/payload'
import type { Identity } from '../pool/attempt'
import { agree, type Equality } from '../trust/equality'
import type { ExactCache, Kept } from './exact-cache'
import type { Opinion, SecondOpinion } from './second-opinion'

/** So many differences in so many repeats that were asked again, and so many but for one machine's: reuse is off. It is on again after as many repeats that were all answered alike. */
const UNSTEADY = { differences: 3, ofOthers: 2, repeats: 300 }

/** A difference between two answers, about which other workers are asked. */
interface OpenDifference {
  /** Who differs: the machine that answered, and the one whose answer was kept. */
  readonly between: readonly Identity[]
  readonly waiting: ((isRight: boolean) => void)[]
}

interface RepeatabilityOptions {
  kept: ExactCache
  opinion: Pick<SecondOpinion, 'judge' | 'ask' | 'isOnly' | 'isProven'>
  equality(): Equality
  warn: Warn
  /** All that was kept and learned is of a model before. */
  replaced(): void
  /** What was kept of a machine that lies is gone. */
  mended(): void
}

export class Repeatability {
  /** The model does not answer the same twice: nothing is reused. */
  isOff = false
  readonly #options: RepeatabilityOptions
  #repeats = 0
  /** Of the last ones: how many repeats there were by then, and the machine that differed from the others; undefined: several. */
  #differences: { at: number; odd: Identity | undefined }[] = []
  /** Machines of which others have contradicted a kept answer. */
  readonly #disbelieved = new Set<Identity>()
  #lastAt = 0
  readonly #judging = new Map<Kept, OpenDifference>()

  constructor(options: RepeatabilityOptions) {
    this.#options = options
  }

  /**
   * A query with a kept answer was asked again.
   *
   * @param from  the machine that answered
   * @param told  whether the kept one is what the model says now, by more than one machine where there are several
   */
  compare(key: string, kept: Kept, answer: Payload, from: Identity, told: (isRight: boolean) => void = () => {}): void {
    const { opinion, equality, kept: all } = this.#options
    this.#repeats++
    if (agree(kept.answer, answer, equality())) {
      this.#steady()
      return told(true)
    }
    if (!all.has(key, kept)) return told(false) // of a model before
    const known = this.#judging.get(kept)
    if (known) return void known.waiting.push(told)
    const before = kept.by.identity as Identity
    const [between, waiting] = [[from, before], [told]]
    const isOfOthers = (other: OpenDifference) => !other.between.some((identity) => between.includes(identity))
    if ([...this.#judging.values()].some(isOfOthers)) {
      this.#replaced()
      return told(false)
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

  /** Whether the answers of a machine may be kept. */
  believes(identity: Identity): boolean {
    return !this.#disbelieved.has(identity)
  }

  /** What the memory remembers was wrong: perhaps the model was replaced. Asks for one of the kept answers again. */
  suspect(): void {
    const { kept: all, opinion } = this.#options
    const one = opinion.isProven ? undefined : all.another(() => true) // the coin's repeats are proven
    if (!one) return
    const before = one.kept.by.identity as Identity
    opinion.ask(one.kept.query, opinion.isOnly(before) ? [] : [before], (answer, from) => {
      if (answer) this.compare(one.key, one.kept, answer, from)
    })
  }

  /** The model was replaced, and that was said. */
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

  /** @param odd  the machine that differed from the others; undefined: several, or the only one */
  #differs(odd: Identity | undefined): void {
    this.#lastAt = this.#repeats
    const recent = this.#differences.filter(({ at }) => at > this.#repeats - UNSTEADY.repeats)
    this.#differences = [...recent, { at: this.#repeats, odd }]
    const counts = new Map<Identity, number>()
    for (const { odd } of this.#differences) if (odd !== undefined) counts.set(odd, (counts.get(odd) ?? 0) + 1)
    const { length } = this.#differences
    const ofOthers = length - Math.max(0, ...counts.values()) // one machine that lies is not the model
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
