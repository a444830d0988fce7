/** The progress of a measurement on stderr: a bar, if stderr is a terminal, and lines of intermediate figures. */

import { SingleBar } from 'cli-progress'
import type { EvaluationProgress } from '../evaluate/experiment'
import type { BatchModel } from '../evaluate/model'
import { note, width } from './terminal'

/** Seconds until the first line of intermediate figures. Each further line comes after twice the time of the line before. */
const FIRST = 5
/** A run that takes longer than this many seconds says so. Where stderr is no terminal it then prints a line each ten seconds. */
const LONG = 60
const LINE_EVERY = 10
/** Seconds after which the time left is known well enough to be said. */
const KNOWN = 2
/** A measurement that ends within this many seconds prints no further line. */
const LEAST_LEFT = 1

export class ProgressBar {
  readonly #begin = performance.now()
  #next = FIRST
  #bar?: SingleBar
  #what = ''
  #total = 0
  #since = 0
  #isLong = false
  #line = 0

  constructor(private readonly shown: boolean) {}

  get seconds(): number {
    return (performance.now() - this.#begin) / 1000
  }

  /** Says that the run will take long, if it will. @param seconds  of the whole run */
  expect(seconds: number): void {
    if (!this.shown || this.#isLong || !(seconds > LONG)) return
    this.#isLong = true
    this.stop()
    note(`this takes about ${duration(seconds)}`)
  }

  /** Begins a new phase. @param since  when the work began from which the time left is extrapolated */
  start(what: string, total: number, since = performance.now()): void {
    this.stop()
    this.#what = what
    this.#total = total
    this.#since = since
  }

  /** The bar shows the share of the expected time that has passed. @param left  seconds; default: extrapolated from `done`  @param times  how often the run does such work */
  update(done: number, left?: number, times = 1): void {
    const passed = (performance.now() - this.#since) / 1000
    const rest = left ?? passed * (this.#total / done - 1)
    const at = passed / (passed + rest)
    const payload = { what: this.#what, done, of: this.#total, left: `, ${duration(rest)} left` }
    if (this.#bar) this.#bar.update(at, payload)
    else if (this.shown && process.stderr.isTTY) this.#bar = this.#draw(at, payload)
    if (this.seconds > KNOWN) this.expect(this.seconds + times * (passed + rest) - passed)
    if (!this.#isLong || process.stderr.isTTY || this.seconds < this.#line + LINE_EVERY) return
    this.#line = this.seconds
    note(`${Math.round(this.seconds)} s: ${this.#what}, ${done} of ${this.#total}${payload.left}`)
  }

  #draw(at: number, payload: object): SingleBar {
    const text = `${this.#what}  ${this.#total}/${this.#total}, 59 min left `.length
    const barsize = Math.max(0, Math.min(40, width(process.stderr) - text))
    const format = '{what} {bar} {done}/{of}{left}'
    // Without linewrap: true the library switches the terminal's line wrapping off, and after Ctrl-C it would stay off.
    const bar = new SingleBar({ format, barsize, clearOnComplete: true, linewrap: true })
    bar.start(1, at, payload)
    return bar
  }

  /** Prints a line of intermediate figures if one is due. @param text  only called then */
  show(left: number, text: () => string): void {
    if (!this.shown || this.seconds < this.#next || left < LEAST_LEFT) return
    while (this.#next <= this.seconds) this.#next *= 2
    this.stop()
    note(text())
    this.start(this.#what, this.#total, this.#since)
  }

  stop(): void {
    this.#bar?.stop()
    this.#bar = undefined
  }
}

export class TimedModel implements BatchModel {
  rows = 0
  ms = 0

  constructor(private readonly model: BatchModel) {}

  get signature() {
    return this.model.signature
  }

  async infer(rows: Float32Array, count: number): Promise<Float32Array> {
    const begin = performance.now()
    const answers = await this.model.infer(rows, count)
    this.ms += performance.now() - begin
    this.rows += count
    return answers
  }
}

/** The mean time covers about this many of the latest items: the first ones are slow, and the machine's load changes. */
const WINDOW = 100

/** The mean time of an item (a row, an input, a group), in milliseconds, over the latest items. */
class Average {
  ms = 0
  #count = 0

  add(ms: number, count: number): void {
    if (!count) return
    this.#count += count
    this.ms += (ms / count - this.ms) * (count / Math.min(this.#count, Math.max(count, WINDOW)))
  }
}

/** Estimates the remaining time from the mean time of each kind of work: an inference, a lookup with its lesson, and a group. */
export class RemainingTime {
  readonly #rows = new Average()
  readonly #inputs = new Average()
  readonly #groups = new Average()
  #last: { now: number; ms: number; rows: number }
  #done = 0

  constructor(private readonly model: TimedModel) {
    this.#last = this.#now()
  }

  step({ stage, done, lookedUp, left }: Pick<EvaluationProgress, 'stage' | 'done' | 'lookedUp' | 'left'>): number {
    const [before, now] = [this.#last, this.#now()]
    const ms = now.ms - before.ms
    const others = now.now - before.now - ms
    this.#rows.add(ms, now.rows - before.rows)
    if (stage === 'inputs') this.#inputs.add(others, lookedUp)
    else this.#groups.add(others - lookedUp * this.#inputs.ms, done - this.#done)
    this.#done = stage === 'groups' ? done : 0
    this.#last = now
    const rest = left.inputs * this.#inputs.ms + left.groups * this.#groups.ms
    return (left.rows * this.#rows.ms + Math.max(0, rest)) / 1000
  }

  #now() {
    const { ms, rows } = this.model
    return { now: performance.now(), ms, rows }
  }
}

function duration(seconds: number): string {
  if (seconds < 120) return `${Math.ceil(seconds)} s`
  return seconds < 3600 ? `${Math.ceil(seconds / 60)} min` : `${(seconds / 3600).toFixed(1)} h`
}
