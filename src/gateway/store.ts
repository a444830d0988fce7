/** A store for what models learned, with time limits: a store that fails or hangs must not delay serving. */

import { Cancellation, orAborted } from '../base/abort'
import { expected } from '../base/check'
import type { Clock } from '../base/clock'
import { ApproxiferError } from '../base/errors'
import type { Files } from '../platform/platform'

/**
 * A store for what models learned: files, a key-value store, a bucket. The gateway makes one call at a time. If a call has not settled
 * within 2 s, the gateway warns and works without the store until it has; a late result of `read` is not used.
 */
export type Store = Files

/** The time limit of a call: a gateway must be ready within 5 s. */
const LIMIT_MS = 2000

/** A store with a time limit. After a call that took too long, all calls fail until it has settled: a late write must not overwrite a newer one. */
export class LimitedStore implements Store {
  #underWay: { readonly limit: Cancellation; readonly settled: Promise<void> } | undefined

  /** @throws TypeError for an object without the functions read and write */
  constructor(
    private readonly store: Store,
    private readonly clock: Clock,
  ) {
    const { read, write } = (store ?? {}) as Partial<Store>
    if (typeof read === 'function' && typeof write === 'function') return
    throw new TypeError(expected('store', 'an object with the functions read and write', store))
  }

  read(name: string): Promise<Uint8Array | undefined> {
    return this.#call(() => this.store.read(name))
  }

  write(name: string, bytes: Uint8Array): Promise<void> {
    return this.#call(() => this.store.write(name, bytes))
  }

  async #call<T>(work: () => Promise<T>): Promise<T> {
    while (this.#underWay) await orAborted(this.#underWay.limit, this.#underWay.settled)
    const limit = new Cancellation()
    const late = () => limit.abort(new ApproxiferError('DEADLINE', `the store has not answered within ${LIMIT_MS} ms`))
    const cancel = this.clock.after(LIMIT_MS, late)
    const call = (async () => work())() // async: the user's function may throw, or return no promise
    const end = () => {
      cancel()
      this.#underWay = undefined
    }
    this.#underWay = { limit, settled: call.then(end, end) }
    return orAborted(limit, call)
  }
}
