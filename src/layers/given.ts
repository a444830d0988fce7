/** A call whose answer is there already: its caller is told in a moment, once it knows the call. */

import type { Answer, Call, Caller } from '../service'

/** `queueMicrotask` makes an object for async hooks each time. */
const SOON = Promise.resolve()

export class GivenCall implements Call {
  #isOpen = true

  constructor(caller: Caller, answer: Answer) {
    void SOON.then(() => {
      if (this.#isOpen) caller.settled(answer)
      this.#isOpen = false
      caller.done?.()
    })
  }

  drop(): void {
    this.#isOpen = false
  }

  expire(): void {}
}
