/** The memory in this thread: lookups and lessons in slices, each within its share of the time. */

import type { Learning } from './learning'
import type { MemoryService, MemoryUse, RecalledAnswer, RecallWant } from './service'

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

  recallFirst(
    query: Float32Array,
    { withinMs, isWanted }: { withinMs: number; isWanted(): boolean },
    told: (said: RecalledAnswer | undefined, ms: number | undefined) => void,
  ): void {
    const learning = this.#learning
    learning.recall(query, withinMs, isWanted, (found, ms) => {
      if (!found) return told(undefined, ms)
      const said = { ...found, missing: 1 }
      told({ ...said, confidence: learning.experience.confidence.of(said), epoch: learning.epoch }, ms)
    })
  }

  agrees(recalled: Float32Array, own: Float32Array): boolean | undefined {
    return this.#learning.experience.confidence.agrees(recalled, own)
  }

  get costs(): MemoryService['costs'] {
    return this.#learning.costs
  }

  get use(): MemoryUse {
    return this.#learning.use
  }

  set use(use: MemoryUse) {
    this.#learning.use = use
  }

  isCurrent({ epoch }: RecalledAnswer): boolean {
    return epoch === this.#learning.epoch
  }

  grade(said: RecalledAnswer, own: Float32Array, from: string | undefined): boolean | undefined {
    return this.#learning.experience.confidence.grade(said, own, from)
  }

  learn(query: Float32Array, own: Float32Array, from: string | undefined): void {
    this.#learning.remember(query, own, from)
  }
}
