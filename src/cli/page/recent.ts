/** The last ten seconds of a model, as its events tell: attempts of workers, how queries were answered, and in what time. */

import type { PredictorEvent } from '../../events'
import { howAnswered, tellOf } from './words'

export const WINDOW_MS = 10_000
/** Of the plot of latencies. */
export const PLOTTED_S = 60
/** Lines of what changed about workers and models, the latest first. */
const MOST_NEWS = 8

/** `late`: another answer was given before. `unneeded`: nobody waited for it any more, and it was stopped. `lost`: the worker gave no answer. */
export type BarOutcome = 'working' | 'answered' | 'late' | 'unneeded' | 'lost' | 'lied'

/** What a worker did from when to when, in milliseconds since 1970. `lied`: the moment when an answer of it was shown to be a lie. */
export interface Bar {
  readonly worker: string
  readonly began: number
  ended: number
  outcome: BarOutcome
}

/** A line: events of equal text are joined, so that one liar does not push out everything else. */
export interface News {
  /** Of the last one. */
  readonly at: number
  readonly text: string
  readonly count: number
  /** Of the first one. */
  readonly since: number
}

interface AnsweredQuery {
  readonly at: number
  readonly ms: number
  readonly how: string
  readonly confidence: number | undefined
}

/** Attempts of a query have numbers below this. */
const ATTEMPTS = 2 ** 12

export class RecentWork {
  /** Time of the server minus that of `performance.now()`. */
  #offset = Date.now() - performance.now()
  #isTold = false
  readonly #working = new Map<number, Bar>()
  #ended: Bar[] = []
  #fresh: Bar[] = []
  #answers: AnsweredQuery[] = []
  readonly #recovered = new Map<number, Extract<PredictorEvent, { event: 'recovered' }>>()
  /** Latencies by second since 1970. */
  readonly #seconds = new Map<number, number[]>()
  news: News[] = []
  /** The time of the latest event; and of the latest one before the server told the last ten seconds anew: what it tells again is not counted again. */
  #last = Number.NEGATIVE_INFINITY
  #countedUntil = Number.NEGATIVE_INFINITY

  /** The server's time. Events come up to 100 ms late: the earliest one says how far the clocks are apart. */
  get now(): number {
    return performance.now() + this.#offset
  }

  get working(): Iterable<Bar> {
    return this.#working.values()
  }

  /** Bars that ended within ten seconds. */
  get ended(): readonly Bar[] {
    return this.#ended
  }

  get answers(): readonly AnsweredQuery[] {
    return this.#answers
  }

  /** Bars that ended since the previous call. */
  takeFresh(): readonly Bar[] {
    const fresh = this.#fresh
    this.#fresh = []
    return fresh
  }

  /** For a server that tells the last ten seconds anew. */
  clear(): void {
    this.#isTold = false
    this.#working.clear()
    this.#recovered.clear()
    this.#ended = []
    this.#fresh = []
    this.#answers = []
    this.#countedUntil = this.#last
    const since = Math.floor((this.now - WINDOW_MS) / 1000)
    for (const second of this.#seconds.keys()) if (second >= since) this.#seconds.delete(second)
  }

  /** Forgets the latencies, too: another model was chosen. */
  clearAll(): void {
    this.clear()
    this.news = []
    this.#last = this.#countedUntil = Number.NEGATIVE_INFINITY
    this.#seconds.clear()
  }

  take(event: PredictorEvent): void {
    const { at } = event
    const offset = at - performance.now()
    if (offset > this.#offset || !this.#isTold) this.#offset = offset
    this.#isTold = true
    this.#last = Math.max(this.#last, at)
    if (event.event === 'began') this.#began(event)
    else if (event.event === 'answered') this.#settled(event, event.onTime ? 'answered' : 'late')
    else if (event.event === 'failed') this.#settled(event, event.code === 'ABORTED' ? 'unneeded' : 'lost')
    else if (event.event === 'recovered') this.#recovered.set(event.query, event)
    else if (event.event === 'ended') this.#answered(event)
    else this.#changed(event)
  }

  #began({ query, attempt, worker, at }: Extract<PredictorEvent, { event: 'began' }>): void {
    const key = query * ATTEMPTS + attempt
    const before = this.#working.get(key)
    if (before) this.#end(before, at, 'lost') // and another worker has begun
    this.#working.set(key, { worker, began: at, ended: at, outcome: 'working' })
  }

  #settled(event: { query: number; attempt: number; at: number }, outcome: BarOutcome): void {
    const key = event.query * ATTEMPTS + event.attempt
    const bar = this.#working.get(key)
    if (!bar) return // it began before the page was told
    this.#working.delete(key)
    this.#end(bar, event.at, outcome)
  }

  #end(bar: Bar, at: number, outcome: BarOutcome): void {
    Object.assign(bar, { ended: at, outcome })
    this.#ended.push(bar)
    this.#fresh.push(bar)
  }

  #answered(event: Extract<PredictorEvent, { event: 'ended' }>): void {
    const { at, ms, query } = event
    const recovered = this.#recovered.get(query)
    this.#recovered.delete(query)
    this.#answers.push({ at, ms, how: howAnswered(event, recovered), confidence: recovered?.confidence })
    const second = Math.floor(at / 1000)
    const all = this.#seconds.get(second)
    if (all) all.push(ms)
    else this.#seconds.set(second, [ms])
  }

  #changed(event: PredictorEvent): void {
    const text = tellOf(event)
    if (text === undefined) return
    const { at } = event
    if (at > this.#countedUntil) {
      const { count, since } = this.news.find((line) => line.text === text) ?? { count: 0, since: at }
      const others = this.news.filter((line) => line.text !== text)
      this.news = [{ at, text, count: count + 1, since }, ...others].slice(0, MOST_NEWS)
    }
    if (event.event !== 'lied') return
    const { worker } = event
    this.#end({ worker, began: at, ended: at, outcome: 'lied' }, at, 'lied')
  }

  /** Forgets what is older. */
  forget(): void {
    const since = this.now - WINDOW_MS
    this.#ended = this.#ended.filter(({ ended }) => ended > since)
    this.#answers = this.#answers.filter(({ at }) => at > since)
    const oldest = Math.floor(this.now / 1000) - PLOTTED_S
    for (const second of this.#seconds.keys()) if (second < oldest) this.#seconds.delete(second)
  }

  /** How many attempts of each worker ended how within ten seconds. */
  counts(): Map<string, Partial<Record<BarOutcome, number>>> {
    const counts = new Map<string, Partial<Record<BarOutcome, number>>>()
    for (const { worker, outcome } of [...this.#ended, ...this.#working.values()]) {
      const own = counts.get(worker) ?? {}
      own[outcome] = (own[outcome] ?? 0) + 1
      counts.set(worker, own)
    }
    return counts
  }

  /** Of each of the last 60 whole seconds: half and 99 % of the answers came within so many milliseconds; null where none came. */
  latencies(): { half: (number | null)[]; most: (number | null)[] } {
    const last = Math.floor(this.now / 1000) - 1
    const seconds = Array.from({ length: PLOTTED_S }, (_, i) => this.#seconds.get(last - PLOTTED_S + 1 + i) ?? [])
    const of = (share: number) => seconds.map((all) => within(all, share) ?? null)
    return { half: of(0.5), most: of(0.99) }
  }
}

/** The time within which this share of answers came. */
export function within(all: readonly number[], share: number): number | undefined {
  const sorted = [...all].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))]
}
