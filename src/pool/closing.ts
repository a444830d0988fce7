/** Closes workers that have left, and waits until they are closed. */

import type { Clock } from '../base/clock'
import type { Member } from './member'

/** A worker may take this long to close; then it is not waited for. */
const CLOSE_MS = 5000

export class Closing {
  readonly #open = new Set<Promise<void>>()

  constructor(private readonly clock: Clock) {}

  close({ worker, slots, rest }: Member): void {
    worker.onFree = undefined
    rest?.end()
    for (const { unwatch } of slots.all) unwatch?.()
    const closing = this.#close(async () => worker.close())
    this.#open.add(closing)
    void closing.then(() => this.#open.delete(closing))
  }

  async done(): Promise<void> {
    await Promise.all(this.#open)
  }

  async #close(close: () => Promise<void>): Promise<void> {
    let cancel = () => {}
    const late = new Promise<void>((resolve) => {
      cancel = this.clock.after(CLOSE_MS, resolve)
    })
    await Promise.race([close().catch(() => {}), late])
    cancel()
  }
}
