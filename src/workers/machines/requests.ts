/** The rows that a worker of a fleet has. */

import type { Cancellation } from '../../base/abort'
import type { TensorList } from '../../base/tensor'
import type { Assembly } from './frames'

export interface RowRequest {
  /** Where the answer goes; tells the request from others. */
  readonly to: string
  readonly parts: Assembly
  readonly expiresAt: number
  /** `cancelled`: it runs, and nobody waits for the answer. */
  state: 'arriving' | 'waiting' | 'running' | 'cancelled'
  /** Once all of it is here. */
  row: TensorList | undefined
  cancellation: Cancellation | undefined
  startedAt: number
}

/** Those that run are told from the others: with hundreds of them, looking through all for each row took a tenth of its time. */
export class Requests {
  readonly #all = new Map<string, RowRequest>()
  readonly #queued = new Set<RowRequest>()
  /** In the order in which they began. */
  readonly running = new Set<RowRequest>()

  get size(): number {
    return this.#all.size
  }

  get all(): RowRequest[] {
    return [...this.#all.values()]
  }

  /** The first of those that are here in full and do not run yet. */
  get next(): RowRequest | undefined {
    for (const request of this.#queued) if (request.state === 'waiting') return request
    return undefined
  }

  /** Those that do not run yet, and whose time is over; of some only a part may have arrived. */
  expired(now: number): RowRequest[] {
    return this.#queued.size ? [...this.#queued].filter(({ expiresAt }) => expiresAt <= now) : []
  }

  get(to: string): RowRequest | undefined {
    return this.#all.get(to)
  }

  add(request: RowRequest): void {
    this.#all.set(request.to, request)
    this.#queued.add(request)
  }

  begin(request: RowRequest): void {
    this.#queued.delete(request)
    this.running.add(request)
  }

  remove(request: RowRequest): void {
    this.#all.delete(request.to)
    this.#queued.delete(request)
    this.running.delete(request)
  }
}
