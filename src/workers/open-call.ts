/** A call for one query whose answer is pending. */

import { type Abort, aborted, onAbort } from '../base/abort'
import type { TensorList } from '../base/tensor'

/** Settles once: by an answer, an error or an abort, whichever comes first. Later ones are ignored. */
export class OpenCall {
  settled = false
  readonly answer: Promise<TensorList>
  #settle: (outcome: TensorList | Error) => void = () => {}

  /** @param onAborted  called after an abort has settled the call; not for an abort before the call was made */
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
