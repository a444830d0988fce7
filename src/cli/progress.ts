/** How far a measurement is: a bar on stderr where that is a terminal, and first figures there or wherever stderr goes. */

import { SingleBar } from 'cli-progress'
import type { Progress as Course } from '../evaluate/evaluate'
import type { BatchModel } from '../evaluate/model'
import { note, width } from './terminal'

/** When the first figures are told, if there is more to come, in seconds; then again whenever twice as much time has passed. */
const FIRST = 5
/** What is nearly done needs no first figures. */
const LEAST_LEFT = 1

export class Progress {
  readonly #shown: boolean
  readonly #begin = performance.now()
  #next = FIRST
  #bar?: SingleBar
  #what = ''
  #total = 0
  #since = 0

  constructor(shown: boolean) {
    this.#shown = shown
  }

  /** Seconds since it was made. */
  get seconds(): number {
    return (performance.now() - this.#begin) / 1000
  }

  /**
   * Begins with something new to count.
   *
   * @param since  when what the time left is told of began. Default: now
   */
  start(what: string, total: number, since = performance.now()): void {
    this.stop()
    this.#what = what
    this.#total = total
    this.#since = since
  }

  /**
   * So many are done. The bar is as full as time has passed, of all that it will take.
   *
   * @param left  seconds that the rest will take. Default: at the pace so far
   */
  update(done: number, left?: number): void {
    const passed = (performance.now() - this.#since) / 1000
    const rest = left ?? passed * (this.#total / done - 1)
    const at = passed / (passed + rest)
    const payload = { what: this.#what, done, of: this.#total, left: `, ${duration(rest)} left` }
    if (this.#bar) this.#bar.update(at, payload)
    else if (this.#shown && process.stderr.isTTY) this.#bar = this.#draw(at, payload)
  }

  #draw(at: number, payload: object): SingleBar {
    const text = `${this.#what}  ${this.#total}/${this.#total}, 59 min left `.length
    const barsize = Math.max(0, Math.min(40, width(process.stderr) - text))
    const bar = new SingleBar({ format: '{what} {bar} {done}/{of}{left}', barsize, clearOnComplete: true })
    bar.start(1, at, payload)
    return bar
  }

  /** A line of figures, where it is time for one; the text is only made then. */
  tell(left: number, text: () => string): void {
    if (!this.#shown || this.seconds < this.#next || left < LEAST_LEFT) return
    while (this.#next <= this.seconds) this.#next *= 2
    this.stop()
    note(text())
    this.start(this.#what, this.#total, this.#since)
  }

  /** Clears the line. */
  stop(): void {
    this.#bar?.stop()
    this.#bar = undefined
  }
}

/** A model that knows how long it was at work. */
export class TimedModel implements BatchModel {
  readonly #model: BatchModel
  rows = 0
  ms = 0

  constructor(model: BatchModel) {
    this.#model = model
  }

  get signature() {
    return this.#model.signature
  }

  async infer(rows: Float32Array, count: number): Promise<Float32Array> {
    const begin = performance.now()
    const answers = await this.#model.infer(rows, count)
    this.ms += performance.now() - begin
    this.rows += count
    return answers
  }
}

/** Steps over which a pace is averaged: the first group is slow, and some inputs take a hundred times as long as others. */
const WINDOW = 100

/** How long the rest will take: rows through the model, and what else there is to do for an input and for a group. */
export class Pace {
  readonly #model: TimedModel
  /** Milliseconds for one, without the model. */
  readonly #else = { inputs: { ms: 0, count: 0 }, groups: { ms: 0, count: 0 } }
  #last = performance.now()
  #modelMs: number

  constructor(model: TimedModel) {
    this.#model = model
    this.#modelMs = model.ms
  }

  /** One more input or group is done. @returns seconds left */
  step({ stage, left }: Pick<Course, 'stage' | 'left'>): number {
    const now = performance.now()
    const { ms } = this.#model
    const pace = this.#else[stage]
    const took = now - this.#last - (ms - this.#modelMs)
    pace.ms += (took - pace.ms) / Math.min(++pace.count, WINDOW)
    this.#last = now
    this.#modelMs = ms
    return this.#rest(left) / 1000
  }

  #rest(left: Course['left']): number {
    const { inputs, groups } = this.#else
    const row = this.#model.ms / Math.max(1, this.#model.rows)
    // Until there are groups: what costs most is to look at an input for the first time, as at one that is remembered.
    const measuring = groups.count ? left.groups * groups.ms : left.drawn * inputs.ms
    return left.rows * row + left.inputs * inputs.ms + measuring
  }
}

function duration(seconds: number): string {
  if (seconds < 120) return `${Math.ceil(seconds)} s`
  return seconds < 3600 ? `${Math.ceil(seconds / 60)} min` : `${(seconds / 3600).toFixed(1)} h`
}
