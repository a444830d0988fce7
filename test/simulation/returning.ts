/** Of a history: what is promised to callers who are refused, by `retryMs`: when what waits is done, or given up by its deadlines. Knows nothing of the code. */

import type { Entry } from './entries'

/** Of those who came back to a fleet that had nothing else to do meanwhile, the share that may be refused again, beside a few: times are foretold by the last ones. */
const REFUSED = 0.5
const FEW = 3

export class Returning {
  /** The longest that any query was given. */
  #longestMs = 0
  /** Of each that was refused, how many had asked by then. */
  readonly #refused = new Map<number, number>()
  #asked = 0
  /** Those who came back though nobody else had asked since, and those of them who were refused at once. */
  readonly #quiet = new Set<number>()
  #again = 0

  constructor(
    private readonly tick: number,
    /** A deadline that an idle fleet keeps: one that is shorter may be refused however little waits. */
    private readonly ampleMs: number,
    private readonly breaks: (at: number, line: string, why: string) => void,
  ) {}

  asked({ at, query, dueAt, before }: Entry & { what: 'asked' }): void {
    this.#longestMs = Math.max(this.#longestMs, dueAt - at)
    if (this.#refused.get(before ?? Number.NaN) === this.#asked && dueAt - at > this.ampleMs) this.#quiet.add(query)
    this.#asked++
  }

  /** @param since  when it was asked @param isCrowded  as many are under way as may be: when one ends is not foretold */
  failed({ at, query, code, retryMs }: Entry & { what: 'failed' }, since: number, isCrowded: boolean): void {
    if (code !== 'OVERLOADED') return
    if (this.#quiet.has(query) && at <= since + this.tick && !isCrowded) this.#again++
    if (retryMs === undefined) return
    if (!isCrowded) this.#refused.set(query, this.#asked)
    if (!(retryMs >= 0 && retryMs <= this.#longestMs + this.tick))
      this.breaks(at, 'retryMs is the time until the queue is empty', `query ${query}: ${retryMs} ms`)
  }

  over(at: number): void {
    if (this.#again > FEW + REFUSED * this.#quiet.size)
      this.breaks(
        at,
        'a caller that comes back after retryMs is admitted',
        `${this.#again} of ${this.#quiet.size} are not`,
      )
  }
}
