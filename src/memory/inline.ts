/** The memory in this thread: lookups and lessons in slices, each within its share of the time. */

import type { Recovered } from '../prediction'
import type { Learning } from './learning'
import type { MemoryService, RecalledAnswer, RecallWant, Rehearsal } from './service'

export class InlineMemory implements MemoryService {
  readonly #learning: Learning

  constructor(learning: Learning) {
    this.#learning = learning
  }

  get isWarm(): boolean {
    return this.#learning.experience.memory === 'warm'
  }

  recall(query: Float32Array, want: RecallWant, told: (said: RecalledAnswer | undefined) => void): void {
    const learning = this.#learning
    learning.look(
      query,
      want.isLast,
      () => want.isWanted(),
      (found) => {
        if (!found) return told(undefined)
        const said = { ...found, missing: 1 }
        const confidence = learning.experience.confidence.of(said)
        learning.judge(want.isSure(confidence))
        told({ ...said, confidence, epoch: learning.epoch })
      },
    )
  }

  isCurrent({ epoch }: RecalledAnswer): boolean {
    return epoch === this.#learning.epoch
  }

  best<T extends Recovered>(all: readonly T[]): { recovery: T; confidence: number | undefined } {
    return this.#learning.experience.confidence.best(all)
  }

  grade(said: Recovered, own: Float32Array, from: string | undefined): boolean | undefined {
    return this.#learning.experience.confidence.grade(said, own, from)
  }

  learn(query: Float32Array, own: Float32Array, from: string | undefined): void {
    this.#learning.remember(query, own, from)
  }

  study(rehearsals: Iterable<readonly Rehearsal[]>, bytes: number): void {
    this.#learning.later(this.#studying(rehearsals), bytes)
  }

  *#studying(rehearsals: Iterable<readonly Rehearsal[]>): Generator<void> {
    for (const some of rehearsals) {
      for (const { recovered, own, from } of some) this.#learning.experience.confidence.rehearse(recovered, own, from)
      yield
    }
  }
}
