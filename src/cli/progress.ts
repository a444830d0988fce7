/** How far a measurement is: a bar on stderr where that is a terminal, and first figures there or wherever stderr goes. */

import { SingleBar } from 'cli-progress'
import type { EvaluationProgress } from '../evaluate/experiment'
import type { BatchModel } from '../evaluate/model'
import { note, width } from './terminal'

/** When the first figures are told, if there is more to come, in seconds; then again whenever twice as much time has passed. */
const FIRST = 5
/** What is nearly done needs no first figures. */
const LEAST_LEFT = 1

export class ProgressBar {
  readonly #begin = performance.now()
  #next = FIRST
  #bar?: SingleBar
  #what = ''
  #total = 0
  #since = 0

  constructor(private readonly shown: boolean) {}

  get seconds(): number {
    return (performance.now() - this.#begin) / 1000
  }

  /** Begins with something new to count. @param since  when what the time left is told of began */
  start(what: string, total: number, since = performance.now()): void {
    this.stop()
    this.#what = what
    this.#total = total
    this.#since = since
  }

  /** The bar is as full as time has passed, of all that it will take. @param left  seconds; default: at the pace so far */
  update(done: number, left?: number): void {
    const passed = (performance.now() - this.#since) / 1000
    const rest = left ?? passed * (this.#total / done - 1)
    const at = passed / (passed + rest)
    const payload = { what: this.#what, done, of: this.#total, left: `, ${duration(rest)} left` }
    if (this.#bar) this.#bar.update(at, payload)
    else if (this.shown && process.stderr.isTTY) this.#bar = this.#draw(at, payload)
  }

  #draw(at: number, payload: object): SingleBar {
    const text = `${this.#what}  ${this.#total}/${this.#total}, 59 min left `.length
    const barsize = Math.max(0, Math.min(40, width(process.stderr) - text))
    const format = '{what} {bar} {done}/{of}{left}'
    // Without linewrap the terminal is told to wrap no lines, and Ctrl-C would leave it so.
    const bar = new SingleBar({ format, barsize, clearOnComplete: true, linewrap: true })
    bar.start(1, at, payload)
    return bar
  }

  /** A line of figures, where it is time for one; the text is only made then. */
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

/** A pace is averaged over this many rows, inputs or groups: the first ones are slow, and the machine has other things to do. */
const WINDOW = 100

/** Milliseconds for one of many, over the last of them. */
class Average {
  ms = 0
  #count = 0

  add(ms: number, count: number): void {
    if (!count) return
    this.#count += count
    this.ms += (ms / count - this.ms) * (count / Math.min(this.#count, Math.max(count, WINDOW)))
  }
}

/** Estimates the remaining time from the pace so far of each kind of work: inferences, inputs that are learned or looked up, and groups. */
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
