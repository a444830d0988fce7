/** Counts queries in flight, and how queries ended. */

import { ApproxiferError } from '../base/errors'
import { type Ending, noAnswers, type Status } from '../base/prediction'
import { callerOf, type Turn } from '../pool/attempt'

/**
 * A caller may have at most SHARE times as many queries in flight as there are free places, so that others always find one (Choudhury and Hahne,
 * 1998).
 */
const SHARE = 9

export class Admission {
  readonly #most: number
  /** Whether queries without a tenant have to leave places for others. */
  readonly #isShared: boolean
  /** Queries in flight for each caller. */
  readonly #callers = new Map<string, number>()
  readonly #answered = noAnswers()
  readonly #failed: Record<string, number> = {}
  #open = 0

  /**
   * @param queries  in flight at most
   * @param tenants  that may share them
   */
  constructor({ queries: most, tenants }: { queries: number; tenants: number }) {
    this.#most = most
    this.#isShared = tenants > 1
  }

  /** @param retryMs  after which a caller should try again @throws ApproxiferError OVERLOADED */
  enter(turn: Turn, retryMs: () => number | undefined): void {
    const caller = callerOf(turn)
    const own = this.#callers.get(caller) ?? 0
    if (!this.admits(turn)) {
      this.refused()
      const text = `${this.#open < this.#most ? own : this.#open} queries are under way already`
      throw new ApproxiferError('OVERLOADED', text, { retryMs: retryMs() })
    }
    if (caller || this.#isShared) this.#callers.set(caller, own + 1)
    this.#open++
  }

  /** Whether one more query of a caller is admitted. @param promised  places that are granted already */
  admits(turn: Turn, promised = 0): boolean {
    const left = this.#most - this.#open - promised
    return left > 0 && (this.#callers.get(callerOf(turn)) ?? 0) <= SHARE * left
  }

  /** These queries were not admitted. */
  refused(queries = 1): void {
    this.#count('OVERLOADED', queries)
  }

  /** @returns whether it was answered */
  leave(ending: Ending, turn: Turn): boolean {
    const caller = callerOf(turn)
    const others = (this.#callers.get(caller) ?? 0) - 1
    if (others > 0) this.#callers.set(caller, others)
    else this.#callers.delete(caller)
    this.#open--
    this.#count(ending)
    return ending in this.#answered
  }

  get isBusy(): boolean {
    return this.#open > 0
  }

  stats() {
    return { open: this.#open, ...this.#answered, failed: { ...this.#failed } }
  }

  #count(ending: Ending, by = 1): void {
    if (ending in this.#answered) this.#answered[ending as Status]++
    else this.#failed[ending] = (this.#failed[ending] ?? 0) + by
  }
}
