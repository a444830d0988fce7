/** Warnings of workers that are lost and come back. */

import type { Clock } from '../../clock'
import type { Warn } from '../../notices'

/** How long a lost worker has to be well before it is reported as back: some come and go many times a second. */
const STEADY_MS = 1000
/** Workers that are remembered as lost: whoever may announce workers can invent any number. */
const MOST = 10_000

export class LossReports {
  readonly #clock: Clock
  readonly #warn: Warn
  /** By worker: what was said of its loss, and what cancels the report that it is back. */
  readonly #reported = new Map<string, { text: string; cancel?: () => void }>()

  constructor(clock: Clock, warn: Warn) {
    this.#clock = clock
    this.#warn = warn
  }

  /** A worker is lost: reported once, until it is back. @param isNews  also where it was reported with another text */
  lost(name: string, text: string, isNews = false): void {
    const before = this.#reported.get(name)
    this.left(name)
    if (before && !(isNews && before.text !== text)) return
    this.#reported.set(name, { text })
    const [oldest] = this.#reported.keys()
    if (this.#reported.size > MOST) this.#forget(oldest)
    this.#warn(text)
  }

  /** A worker is well: reported as back, if it was lost and is not lost again meanwhile. */
  well(name: string): void {
    const reported = this.#reported.get(name)
    if (!reported || reported.cancel) return
    const report = () => {
      this.#forget(name)
      this.#warn(`${name} is back`)
    }
    reported.cancel = this.#clock.after(STEADY_MS, report, true)
  }

  /** A worker is not there any more, for whatever reason: it is not reported as back until it is well again. */
  left(name: string): void {
    const reported = this.#reported.get(name)
    reported?.cancel?.()
    if (reported) this.#reported.set(name, { text: reported.text })
  }

  #forget(name: string): void {
    this.left(name)
    this.#reported.delete(name)
  }
}
