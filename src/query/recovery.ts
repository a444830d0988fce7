/** What a query can get in the place of its own answer: what its group decoded, what the memory predicts, the more confident of them. */

import type { ErrorBudget } from '../layers/error-budget'
import type { Confidence } from '../memory/confidence'
import type { Experience } from '../memory/experience'
import type { Recollection } from '../memory/memory'
import type { Payload } from '../payload'
import type { Identity } from '../pool/attempt'
import type { Recovered, RecoveryReport } from '../prediction'
import { allFinite } from '../tensor'

/** What a group decoded for a query. */
export interface Decoding {
  readonly recoveries: readonly Recovered[]
  /** Whether a parity tells of the query. */
  readonly isMixed: boolean
  /** Queries of the group without an answer of their own. */
  readonly missing: number
}

const NOTHING: Decoding = { recoveries: [], isMixed: false, missing: 1 }

/** What a query can get in place of its own answer: the recovery of the highest confidence, of all that there are. */
export interface BestRecovery {
  recovery: Recovered
  confidence: number | undefined
  all: readonly Recovered[]
}

/**
 * The best of what was decoded and what is remembered; only of the latter, if there is any and no parity has the query in it.
 *
 * @param mixed       whether a parity has the query in it
 * @param confidence  without it the first is taken
 * @returns undefined where nothing finite was recovered
 */
export function bestRecovery(
  decoded: readonly Recovered[],
  remembered: Omit<Recovered, 'missing'> | undefined,
  { mixed, missing }: { mixed: boolean; missing: number },
  confidence: Pick<Confidence, 'best'> | undefined,
): BestRecovery | undefined {
  const recovered = remembered ? [...(mixed ? decoded : []), { ...remembered, missing }] : decoded
  const all = recovered.filter(({ answer }) => allFinite(answer))
  if (!all.length) return undefined
  return { all, ...(confidence?.best(all) ?? { recovery: all[0], confidence: undefined }) }
}

/** How pressing it is that there is a recovery: what could not be looked up for want of time is when it is more pressing. */
export type Urgency = 0 | 1 | 2

/** Absent from queries that have neither a memory nor a group. */
export class QueryRecovery {
  /** The memory is being asked; or how urgent it was when it was asked last. */
  #lookup: 'none' | 'pending' | Urgency = 'none'
  /** Of the query in its group; the paper’s scheme says it when the group closes. */
  number: number
  readonly #experience: Experience | undefined
  #decoding = NOTHING
  memory: Recollection | undefined
  #best: { readonly surest: BestRecovery; readonly report: RecoveryReport } | undefined
  #isGraded = false
  /** Told whether what was given is right. */
  #told: ((right: boolean) => void) | undefined

  /** @param number  of the query in its group */
  constructor(number: number, experience: Experience | undefined) {
    this.number = number
    this.#experience = experience
  }

  decoded(decoding: Decoding): void {
    this.#decoding = decoding
    this.#choose()
  }

  /** Whether the memory was asked: again, if it is more urgent than the last time, which had no answer. */
  lookup(urgency: Urgency): 'none' | 'pending' | 'done' {
    if (this.#lookup === 'pending') return 'pending'
    if (!this.#experience || this.memory) return 'done'
    return this.#lookup !== 'none' && this.#lookup >= urgency ? 'done' : 'none'
  }

  /** The memory is being asked. */
  ask(): void {
    this.#lookup = 'pending'
  }

  /** The memory was asked. @param recollection  undefined where nothing is remembered that tells of it, or there was no time */
  remembered(recollection: Recollection | undefined, urgency: Urgency = 0): void {
    this.#lookup = urgency
    this.memory = recollection
    this.#choose()
  }

  /**
   * An identity's answers are taken out of the memory: what it said may follow from these, unless it was given by now.
   *
   * @param isDecoded  so is what the group decoded
   */
  forget(isDecoded: boolean): void {
    if (this.report?.given) return
    if (isDecoded) this.#decoding = NOTHING
    if (typeof this.#lookup === 'number') this.#lookup = 0
    this.memory = this.#best = undefined
    this.#choose()
  }

  get answer(): Float32Array | undefined {
    return this.#best?.surest.recovery.answer
  }

  get confidence(): number | undefined {
    return this.#best?.surest.confidence
  }

  get report(): RecoveryReport | undefined {
    return this.#best?.report
  }

  /** What was decoded is no number. */
  get isNotFinite(): boolean {
    return this.#decoding.recoveries.length > 0 && !this.#best
  }

  get isFromCode(): boolean {
    return this.#best?.report.source === 'code'
  }

  /** Whether all that was recovered is graded, and some of it was decoded. */
  get isDecodedAndGraded(): boolean {
    return this.#isGraded && this.#best?.surest.all.some(({ source }) => source === 'code') === true
  }

  /** The caller gets it. @param ledger  that it counts in */
  give(ledger: ErrorBudget | undefined): void {
    if (!this.#best) return
    this.#best.report.given = true
    this.#told = ledger?.recover()
  }

  /** Whether an answer is another than the memory's: nearly all wrong labels of honest pools were recoveries of that kind. */
  isContradictedBy({ vector }: Payload): boolean {
    const own = this.memory?.answer
    return own !== undefined && this.#experience?.confidence.agrees(own, vector) === false
  }

  /** The model's own answer has come: it teaches, once, how often recoveries are right. @returns whether there was anything to grade */
  grade(own: Payload, from: Identity | undefined): boolean {
    if (!this.#experience || !this.#best || this.#isGraded) return false
    this.#isGraded = true
    const { surest, report } = this.#best
    for (const each of surest.all) {
      const agreed = this.#experience.confidence.grade(each, own.vector, from)
      if (each.answer === surest.recovery.answer) report.agreed = agreed
    }
    this.#told?.(report.agreed === true)
    return true
  }

  #choose(): void {
    const { recoveries, isMixed: mixed, missing } = this.#decoding
    const surest = bestRecovery(recoveries, this.memory, { mixed, missing }, this.#experience?.confidence)
    if (!surest) return
    const { answer, ...rest } = surest.recovery
    const report = { ...rest, query: this.number, confidence: surest.confidence, given: false }
    this.#best = { surest, report }
  }
}
