/** A query that waits for its answer. */

import { type Abort, aborted, onAbort } from '../base/abort'
import type { TensorList } from '../base/tensor'

/** What settles it first counts: an outcome, or an abort. */
export class OpenCall {
  settled = false
  readonly answer: Promise<TensorList>
  #settle: (outcome: TensorList | Error) => void = () => {}

  /** @param onAborted  told of an abort that has settled it; not of one before */
  constructor(
    readonly query: TensorList,
    abort?: Abort,
    onAborted?: () => void,
  ) {
    const leave = () => {
      this.settle(aborted(abort as Abort))
      onAborted?.()
    }
    this.answer = new Promise((resolve, reject) => {
      const forget = onAbort(abort, leave)
      this.#settle = (outcome) => {
        forget()
        if (outcome instanceof Error) reject(outcome)
        else resolve(outcome)
      }
    })
    if (abort?.aborted) this.settle(aborted(abort))
  }

  settle(outcome: TensorList | Error): void {
    if (this.settled) return
    this.settled = true
    this.#settle(outcome)
  }
}
