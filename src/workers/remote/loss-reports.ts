/** Warnings of workers that are lost and come back. */

import type { Clock } from '../../clock'

/** How long a lost worker has to be well before it is reported as back: some come and go many times a second. */
const STEADY_MS = 1000
/** Workers that are remembered as lost: whoever may announce workers can invent any number. */
const MOST = 10_000

export class LossReports {
  readonly #clock: Clock
  readonly #warn: (text: string) => void
  /** By worker: what was said of its loss, and what cancels the report that it is back. */
  readonly #reported = new Map<string, { text: string; cancel: (() => void) | undefined }>()

  constructor(clock: Clock, warn: (text: string) => void) {
    this.#clock = clock
    this.#warn = warn
  }

  /**
   * A worker is lost. It is reported once, until it is back.
   *
   * @param text  the warning
   * @param isNews  it is reported again where it was reported with another text
   */
  lost(name: string, text: string, isNews = false): void {
    const reported = this.#reported.get(name)
    this.left(name)
    if (reported && !(isNews && reported.text !== text)) return
    this.#reported.set(name, { text, cancel: undefined })
    this.#warn(text)
    const [oldest] = this.#reported.keys()
    if (this.#reported.size > MOST) this.#forget(oldest)
  }

  /** A worker is well: if it was lost it is reported as back unless it is lost again soon. */
  well(name: string): void {
    const reported = this.#reported.get(name)
    if (!reported) return
    reported.cancel ??= this.#clock.after(
      STEADY_MS,
      () => {
        this.#forget(name)
        this.#warn(`${name} is back`)
      },
      true,
    )
  }

  /** A worker is gone for good, or until it is heard again: it is not reported as back. */
  left(name: string): void {
    const reported = this.#reported.get(name)
    reported?.cancel?.()
    if (reported) reported.cancel = undefined
  }

  #forget(name: string): void {
    this.left(name)
    this.#reported.delete(name)
  }

  /** Cancels what is still to be reported. */
  close(): void {
    for (const name of this.#reported.keys()) this.left(name)
  }
}
