/** Attempts that wait for a worker: three priorities, each first come, first served. */

import { Deque } from '../deque'
import type { Priority } from './attempt'
import type { PooledAttempt } from './pooled-attempt'

/** Attempts to try on a worker, so that one it may not take blocks nobody behind it and a deep queue is never scanned. */
export const LOOKAHEAD = 256

export class Queue {
  readonly #lines: Record<Priority, Deque<PooledAttempt>> = { high: new Deque(), normal: new Deque(), low: new Deque() }

  /** Those that cannot be done without: of high and normal priority. */
  get needed(): number {
    return this.#lines.high.size + this.#lines.normal.size
  }

  /** Those that can. */
  get low(): number {
    return this.#lines.low.size
  }

  /** The first that cannot be done without. */
  get first(): PooledAttempt | undefined {
    return this.#lines.high.first ?? this.#lines.normal.first
  }

  push(attempt: PooledAttempt): void {
    attempt.at = this.#lines[attempt.priority].push(attempt)
  }

  /** In front of all others of its priority. */
  unshift(attempt: PooledAttempt): void {
    attempt.at = this.#lines[attempt.priority].unshift(attempt)
  }

  remove({ priority, at }: PooledAttempt): void {
    this.#lines[priority].remove(at as number)
  }

  /** The first needed one that will do, behind `skip` others. */
  find(skip: number, willDo: (attempt: PooledAttempt) => boolean, lookahead = LOOKAHEAD): PooledAttempt | undefined {
    const { high, normal } = this.#lines
    const attempt = skip < high.size ? high.find(skip, lookahead, willDo) : undefined
    return attempt ?? normal.find(Math.max(0, skip - high.size), lookahead, willDo)
  }

  /** The first of low priority that will do. */
  findLow(willDo: (attempt: PooledAttempt) => boolean): PooledAttempt | undefined {
    return this.#lines.low.find(0, LOOKAHEAD, willDo)
  }

  /** All, high before normal before low. */
  get all(): PooledAttempt[] {
    return Object.values(this.#lines).flatMap((line) => [...line])
  }
}
