/** Notices when nobody asks: workers elsewhere are then not checked, and no timer runs until the next query. */

import type { Clock } from '../base/clock'

/** The time without a query after which the workers sleep. */
const QUIET_MS = 5000

export class Activity {
  #askedAt: number
  #isAsleep = false
  #unplan: (() => void) | undefined

  /** @param isBusy  whether a query is open @param sleepers  see `ModelWorker.sleep`; they must not throw */
  constructor(
    private readonly clock: Clock,
    private readonly isBusy: () => boolean,
    private readonly sleepers: readonly ((isAsleep: boolean) => void)[],
  ) {
    this.#askedAt = clock.now()
    this.#plan(QUIET_MS)
  }

  /** Somebody asks for an answer, or for what the workers do. */
  asked(now = this.clock.now()): void {
    this.#askedAt = now
    if (!this.#isAsleep) return
    this.#isAsleep = false
    this.#plan(QUIET_MS)
    this.#tell()
  }

  close(): void {
    this.#unplan?.()
  }

  /** One timer serves all queries of `QUIET_MS`. */
  #plan(ms: number): void {
    this.#unplan = this.clock.after(ms, () => this.#look(), true)
  }

  #look(): void {
    const left = this.isBusy() ? QUIET_MS : this.#askedAt + QUIET_MS - this.clock.now()
    if (left > 0) return this.#plan(left)
    this.#isAsleep = true
    this.#tell()
  }

  #tell(): void {
    for (const sleep of this.sleepers) sleep(this.#isAsleep)
  }
}
