/** Queries under way, how others ended, and callers that wait for room. */

import { onAbort } from '../abort'
import { ApproxiferError } from '../errors'
import { type Ending, noAnswers, type Status } from '../query/prediction'

/** Steps within a turn after which a caller that was given room has taken it; one too few wakes another in vain. */
const STEPS = 8

/** A tenant has at most SHARE times as many queries under way as there is room left, so that others always find room (Choudhury and Hahne, 1998). */
const SHARE = 9

export class Admission {
  readonly #most: number
  /** Queries of each tenant under way, where there may be several. */
  readonly #tenants: Map<string, number> | undefined
  readonly #comfortable: () => number
  readonly #answered = noAnswers()
  readonly #failed: Record<string, number> = {}
  readonly #waiting: (() => void)[] = []
  #open = 0
  #isClosed = false

  /**
   * @param queries      under way, beyond which none is let in
   * @param tenants      that may share them
   * @param comfortable  how many keep all workers busy
   */
  constructor({ queries: most, tenants }: { queries: number; tenants: number }, comfortable: () => number) {
    this.#most = most
    if (tenants > 1) this.#tenants = new Map()
    this.#comfortable = () => Math.min(most, comfortable())
  }

  /** @throws ApproxiferError OVERLOADED */
  enter(tenant: string): void {
    const own = this.#tenants?.get(tenant) ?? 0
    const left = this.#most - this.#open
    if (left <= 0 || own > SHARE * left) {
      this.#count('OVERLOADED')
      throw new ApproxiferError('OVERLOADED', `${left > 0 ? own : this.#open} queries are under way already`)
    }
    this.#tenants?.set(tenant, own + 1)
    this.#open++
  }

  /** @returns whether it was answered */
  leave(ending: Ending, tenant: string): boolean {
    const others = (this.#tenants?.get(tenant) ?? 0) - 1
    if (others > 0) this.#tenants?.set(tenant, others)
    else this.#tenants?.delete(tenant)
    this.#open--
    this.#count(ending)
    if (this.#waiting.length) void this.#letIn()
    return ending in this.#answered
  }

  get hasRoom(): boolean {
    return this.#open < this.#comfortable() || this.#isClosed
  }

  /** Waits until there may be room: `hasRoom` is to be asked again, since others may have been quicker. */
  async room(signal?: AbortSignal): Promise<void> {
    if (this.hasRoom || signal?.aborted) return
    const forget = onAbort(signal, () => this.wake())
    await new Promise<void>((resolve) => this.#waiting.push(resolve))
    forget()
  }

  /** Lets all that wait for room look again. */
  wake(): void {
    for (const wake of this.#waiting.splice(0)) wake()
  }

  close(): void {
    this.#isClosed = true
    this.wake()
  }

  stats() {
    return { open: this.#open, ...this.#answered, failed: { ...this.#failed } }
  }

  #count(ending: Ending): void {
    if (ending in this.#answered) this.#answered[ending as Status]++
    else this.#failed[ending] = (this.#failed[ending] ?? 0) + 1
  }

  /** Lets as many look again as there is room for, and the next ones where somebody did not take it after all. */
  async #letIn(): Promise<void> {
    while (this.#waiting.length && this.#open < this.#comfortable()) {
      for (const wake of this.#waiting.splice(0, this.#comfortable() - this.#open)) wake()
      for (let i = 0; i < STEPS; i++) await undefined
    }
  }
}
