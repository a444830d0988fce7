/** The memory in this thread: lookups and lessons in slices, each within its share of the time. */

import type { Recovered } from '../prediction'
import type { Learning } from './learning'
import type { Recollection } from './memory'
import type { MemoryService, MemoryUse, RecalledAnswer, RecallWant, Rehearsal } from './service'

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
        const said = found && this.#rated(found)
        if (said) learning.judge(want.isSure(said.confidence))
        told(said)
      },
    )
  }

  recallAhead(query: Float32Array, isWanted: () => boolean, told: (said: RecalledAnswer | undefined) => void): void {
    this.#learning.see(query, isWanted, (found) => told(found && this.#rated(found)))
  }

  recallFirst(
    query: Float32Array,
    { withinMs, isWanted }: { withinMs: number; isWanted(): boolean },
    told: (said: RecalledAnswer | undefined, ms: number | undefined) => void,
  ): void {
    this.#learning.recall(query, withinMs, isWanted, (found, ms) => told(found && this.#rated(found), ms))
  }

  #rated(found: Recollection): RecalledAnswer {
    const { experience, epoch } = this.#learning
    const said = { ...found, missing: 1 }
    return { ...said, confidence: experience.confidence.of(said), epoch }
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

  best<T extends Recovered>(all: readonly T[]): { recovery: T; confidence: number | undefined } {
    return this.#learning.experience.confidence.best(all)
  }

  grade(said: Recovered, own: Float32Array, from: string | undefined): boolean | undefined {
    return this.#learning.experience.confidence.grade(said, own, from)
  }

  agrees(recalled: Float32Array, own: Float32Array): boolean | undefined {
    return this.#learning.experience.confidence.agrees(recalled, own)
  }

  rehearse(said: RecalledAnswer, own: Float32Array, from: string | undefined): void {
    this.#learning.experience.confidence.rehearse(said, own, from)
  }

  /** What a confident lookup got wrong is told also where there is no time: what it got right is told every time. */
  learn(query: Float32Array, own: Float32Array, from: string | undefined, said?: RecalledAnswer): void {
    if (!this.#learning.remember(query, own, from) && said) this.rehearse(said, own, from)
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
