/** Where what models learned is kept, so that it can fail or hang and hold nobody up. */

import { Cancellation, orAborted } from '../base/abort'
import { expected } from '../base/check'
import type { Clock } from '../base/clock'
import { ApproxiferError } from '../base/errors'
import type { Files } from '../platform/platform'

/**
 * Where what a model learned is kept: files, a key-value store, a bucket. One call is under way at a time. Where one has not settled
 * within 2 s, the gateway warns and goes on without the store until it has; what is read too late is not used.
 */
export type Store = Files

/** Of a call: a gateway is to be ready within 5 s. */
const LIMIT_MS = 2000

/** Where a call takes longer than the limit, it fails, and so do all others until it has settled: a late write never follows a newer one. */
export class LimitedStore implements Store {
  #underWay: { readonly limit: Cancellation; readonly settled: Promise<void> } | undefined

  /** @throws TypeError for what is no store */
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
    const call = (async () => work())() // it may throw, or return what is no promise
    const end = () => {
      cancel()
      this.#underWay = undefined
    }
    this.#underWay = { limit, settled: call.then(end, end) }
    return orAborted(limit, call)
  }
}
