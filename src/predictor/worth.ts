/** Whether it pays to look queries up before they are asked: what that takes, beside what the answers that it spares would have taken. */

/** Queries that were looked up before the first judgement, and between two. */
const EVERY = 512
/** Where looks do not pay, one query in SELDOM is still looked up, since the memory may have become better. Fewer where that would take more than the share LITTLE of the answers' time. */
const SELDOM = 16
const LITTLE = 0.01
/** It has to pay by so much more to be taken up again. */
const CLEARLY = 1.1

export interface LookCosts {
  lookMs: number
  /** To learn from an answer, which is not asked for where it is given unasked. */
  lessonMs: number
  /** Of a worker's answer. */
  inferenceMs: number | undefined
  /** Part of the queries that are answered unasked. */
  share: number
}

/** What answers that were given unasked spared, and what looking for them took. */
export interface Saving {
  /** Looks do not pay for now: nothing is given unasked, and one query in 16 at most is looked up. */
  off: boolean
  /** Queries that were looked up, and the time of this thread that it took, ms. */
  looks: number
  lookedMs: number
  /** Inferences that were spared, and the workers' time that they would have taken, ms. */
  spared: number
  sparedMs: number
}

export class Worth {
  readonly saving: Saving = { off: false, looks: 0, lookedMs: 0, spared: 0, sparedMs: 0 }
  readonly #costs: () => LookCosts
  #queries = 0
  #seldom = SELDOM

  constructor(costs: () => LookCosts) {
    this.#costs = costs
  }

  /** Whether one more query is looked up. */
  looks(): boolean {
    if (++this.#queries % EVERY === 0) this.#judge()
    return !this.saving.off || this.#queries % this.#seldom === 0
  }

  looked(ms: number): void {
    this.saving.looks++
    this.saving.lookedMs += ms
  }

  gave(): void {
    this.saving.spared++
    this.saving.sparedMs += this.#costs().inferenceMs ?? 0
  }

  #judge(): void {
    const { lookMs, lessonMs, inferenceMs, share } = this.#costs()
    if (inferenceMs === undefined || !Number.isFinite(lookMs)) return
    this.#seldom = Math.max(SELDOM, Math.ceil(lookMs / (LITTLE * inferenceMs)))
    const saved = share * (inferenceMs + (Number.isFinite(lessonMs) ? lessonMs : 0))
    this.saving.off = saved <= lookMs * (this.saving.off ? CLEARLY : 1)
  }
}
