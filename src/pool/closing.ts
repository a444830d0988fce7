/** Workers that are being closed. */

import type { Clock } from '../clock'
import type { ModelWorker } from '../workers/worker'

/** How long a worker may take over it; it goes on unseen. */
const CLOSE_MS = 5000

export class Closing {
  readonly #clock: Clock
  readonly #open = new Set<Promise<void>>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  close(workers: readonly ModelWorker[]): void {
    const closing = this.#close(workers)
    this.#open.add(closing)
    void closing.then(() => this.#open.delete(closing))
  }

  /** When all are closed. */
  async done(): Promise<void> {
    await Promise.all(this.#open)
  }

  async #close(workers: readonly ModelWorker[]): Promise<void> {
    const all = Promise.allSettled(workers.map(async (worker) => worker.close()))
    let cancel = () => {}
    const late = new Promise<void>((resolve) => {
      cancel = this.#clock.after(CLOSE_MS, resolve)
    })
    await Promise.race([all, late])
    cancel()
  }
}
