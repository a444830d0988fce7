/** A worker of which some answers come late, as the premise of a verdict says, and which notes what each call took before that. */

import { ApproxiferError } from '../../src/base/errors'
import type { Random } from '../../src/base/random'
import type { TensorList } from '../../src/base/tensor'
import type { Premise } from '../../src/evaluate/premise'
import type { ModelWorker } from '../../src/workers/worker'

/** A call of the worker: when it began, on the clock of `performance.now`, and how long it took; in milliseconds. */
export interface TimedCall {
  readonly at: number
  readonly ms: number
}

/** Takes one query at a time, and no batches. A call that nobody waits for keeps it busy to its end. */
export class StragglingWorker implements ModelWorker {
  onFree: (() => void) | undefined
  /** All calls so far; the delay is not in their time. */
  readonly calls: TimedCall[] = []
  readonly #inner: ModelWorker
  readonly #premise: Pick<Premise, 'stragglerRate' | 'lateMs'>
  readonly #random: Random
  #isBusy = false

  /** @param inner  the worker that answers; owned by this one from now on */
  constructor(inner: ModelWorker, premise: Pick<Premise, 'stragglerRate' | 'lateMs'>, random: Random) {
    this.#inner = inner
    this.#premise = premise
    this.#random = random
    inner.onFree = () => this.onFree?.()
  }

  get name() {
    return this.#inner.name
  }

  get signature() {
    return this.#inner.signature
  }

  get hints() {
    return this.#inner.hints
  }

  get repeats() {
    return this.#inner.repeats
  }

  get scales() {
    return this.#inner.scales
  }

  get fingerprint() {
    return this.#inner.fingerprint
  }

  get free() {
    return !this.#isBusy && this.#inner.free
  }

  async infer(query: TensorList): Promise<TensorList> {
    if (this.#isBusy) throw new ApproxiferError('WORKER', `${this.name} is at work`)
    const { stragglerRate, lateMs } = this.#premise
    this.#isBusy = true
    try {
      const at = performance.now()
      const answer = await this.#inner.infer(query)
      this.calls.push({ at, ms: performance.now() - at })
      if (this.#random.next() < stragglerRate) await new Promise((resolve) => setTimeout(resolve, lateMs))
      return answer
    } finally {
      this.#isBusy = false
      this.onFree?.()
    }
  }

  close(): Promise<void> {
    return this.#inner.close()
  }
}
