/**
 * Promise callbacks that are used again: each hears of one attempt, and then of another. Functions made for every attempt were a tenth of
 * what a query in flight holds; where thousands are in flight, what is new is copied from one collection of garbage to the next.
 */

import type { Batch } from './batch'
import type { PooledAttempt } from './pooled-attempt'

type Heard = (batch: Batch, attempt: PooledAttempt, outcome: unknown) => void

interface Listener {
  batch: Batch | undefined
  attempt: PooledAttempt | undefined
  answered(answer: unknown): void
  failed(error: unknown): void
}

export class Listeners {
  readonly #answered: Heard
  readonly #failed: Heard
  /** Those that hear of nothing now: at most as many as there once were attempts at work. */
  readonly #idle: Listener[] = []

  constructor(answered: Heard, failed: Heard) {
    this.#answered = answered
    this.#failed = failed
  }

  listen(batch: Batch, attempt: PooledAttempt, outcome: Promise<unknown>): void {
    const listener = this.#idle.pop() ?? this.#make()
    listener.batch = batch
    listener.attempt = attempt
    outcome.then(listener.answered, listener.failed)
  }

  #make(): Listener {
    const listener: Listener = {
      batch: undefined,
      attempt: undefined,
      answered: (answer) => this.#tell(listener, this.#answered, answer),
      failed: (error) => this.#tell(listener, this.#failed, error),
    }
    return listener
  }

  /** It has heard, and may hear of another. */
  #tell(listener: Listener, heard: Heard, outcome: unknown): void {
    const { batch, attempt } = listener
    listener.batch = listener.attempt = undefined
    this.#idle.push(listener)
    heard(batch as Batch, attempt as PooledAttempt, outcome)
  }
}
