/** A worker of which some answers come late, as the premise of a verdict says, and which counts its calls. */

import type { Random } from '../../src/base/random'
import type { TensorList } from '../../src/base/tensor'
import type { Premise } from '../../src/evaluate/premise'
import { FaultyWorker } from '../../src/testing/faulty'
import type { ModelWorker } from '../../src/workers/worker'

export class StragglingWorker extends FaultyWorker {
  calls = 0
  readonly #premise: Pick<Premise, 'stragglerRate' | 'lateMs'>
  readonly #random: Random

  /** @param inner  the worker that answers; owned by this one from now on */
  constructor(inner: ModelWorker, premise: Pick<Premise, 'stragglerRate' | 'lateMs'>, random: Random) {
    super(inner, {}, 0)
    this.#premise = premise
    this.#random = random
  }

  override infer(query: TensorList, options?: { signal?: AbortSignal }): Promise<TensorList> {
    const { stragglerRate, lateMs } = this.#premise
    this.calls++
    this.faults = { delayMs: this.#random.next() < stragglerRate ? lateMs : 0 }
    return super.infer(query, options)
  }
}
