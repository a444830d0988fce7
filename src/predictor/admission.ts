/** Queries under way, and how others ended. */

import { ApproxiferError } from '../errors'
import { type Ending, noAnswers, type Status } from '../query/prediction'

/** A tenant has at most SHARE times as many queries under way as there is room left, so that others always find room (Choudhury and Hahne, 1998). */
const SHARE = 9

export class Admission {
  readonly #most: number
  /** Queries of each tenant under way, where there may be several. */
  readonly #tenants: Map<string, number> | undefined
  readonly #answered = noAnswers()
  readonly #failed: Record<string, number> = {}
  #open = 0

  /**
   * @param queries  under way, beyond which none is let in
   * @param tenants  that may share them
   */
  constructor({ queries: most, tenants }: { queries: number; tenants: number }) {
    this.#most = most
    if (tenants > 1) this.#tenants = new Map()
  }

  /** @param retryMs  after which it is worth another try @throws ApproxiferError OVERLOADED */
  enter(tenant: string, retryMs: () => number | undefined): void {
    const own = this.#tenants?.get(tenant) ?? 0
    if (!this.admits(tenant)) {
      this.refused()
      const text = `${this.#open < this.#most ? own : this.#open} queries are under way already`
      throw new ApproxiferError('OVERLOADED', text, { retryMs: retryMs() })
    }
    this.#tenants?.set(tenant, own + 1)
    this.#open++
  }

  /** Whether one more of a tenant is let in. @param promised  are let in before it */
  admits(tenant: string, promised = 0): boolean {
    const left = this.#most - this.#open - promised
    return left > 0 && (this.#tenants?.get(tenant) ?? 0) <= SHARE * left
  }

  /** So many were not let in. */
  refused(queries = 1): void {
    this.#count('OVERLOADED', queries)
  }

  /** @returns whether it was answered */
  leave(ending: Ending, tenant: string): boolean {
    const others = (this.#tenants?.get(tenant) ?? 0) - 1
    if (others > 0) this.#tenants?.set(tenant, others)
    else this.#tenants?.delete(tenant)
    this.#open--
    this.#count(ending)
    return ending in this.#answered
  }

  stats() {
    return { open: this.#open, ...this.#answered, failed: { ...this.#failed } }
  }

  #count(ending: Ending, by = 1): void {
    if (ending in this.#answered) this.#answered[ending as Status]++
    else this.#failed[ending] = (this.#failed[ending] ?? 0) + by
  }
}
