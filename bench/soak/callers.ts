/** The callers of one predictor: each asks for one digit, and notes how that ended. */

import { ApproxiferError, type Prediction, type Predictor } from 'approxifer'
import { sameChoice } from '../../src/base/criterion'
import type { Random } from '../../src/base/random'
import type { HeardEvents } from '../../test/shared/heard-events'
import type { Configuration } from './configurations'
import type { Digit } from './digits'
import { processorMs } from './processor'

/** What a caller does besides asking. */
interface Habit {
  deadlineMs: number
  signal: AbortSignal | undefined
  /** It comes with an aborted signal or after the end: the predictor turns it away, and does not count it. */
  refused: boolean
}

const DEADLINE_MS = 5000
/** After a deadline a promise that is open is given up. */
const PATIENCE_MS = 10_000
/** What a timer may come too early. */
const EARLY_MS = 2
const HASTE_MS = 3
const ABORT_MS = 12

export class Callers {
  asked = 0
  /** By status or an error's code; the refused are no part of it. */
  readonly endings: Record<string, number> = {}
  refused = 0
  /** Promises that have not settled. */
  open = 0
  /** Answers with the bare model's label, by status, and milliseconds to each answer. */
  readonly agreed: Record<string, number> = {}
  readonly times: number[] = []
  /** Errors of callers with time who did not abort, but for those of the end. */
  letDown = 0
  /** What must not happen: promises open after an abort or for ever, exact answers that are not, errors without a reason. */
  overdue = 0
  /** The most milliseconds of this thread's that a promise was open after its deadline, but for those in which others were asked. */
  lateMs = 0
  altered = 0
  /** Checked answers with other values than the bare model's, by the worker that gave them. */
  readonly doctored: Record<string, number> = {}
  readonly unforeseen: string[] = []
  /** Whether the predictor's end has begun. */
  ended = false
  readonly #predictor: Predictor
  readonly #configuration: Configuration
  readonly #random: Random
  /** Milliseconds of this thread's that asking took, all together. */
  #askingMs = 0

  constructor(
    predictor: Predictor,
    configuration: Configuration,
    random: Random,
    readonly heard: HeardEvents,
  ) {
    this.#predictor = predictor
    this.#configuration = configuration
    this.#random = random
  }

  /** Resolves when the promise has settled, or is overdue. */
  async ask({ image, answer }: Digit): Promise<void> {
    const { abort, ...habit } = this.#habit()
    const { deadlineMs, signal } = habit
    const start = performance.now()
    this.asked++
    this.open++
    const before = processorMs()
    const predicted = this.#predictor.predict(image, { deadlineMs, signal })
    this.#askingMs += processorMs() - before
    const settled = predicted.then(
      (prediction) => this.#answered(prediction, answer, habit, performance.now() - start),
      (error) => this.#failed(error, habit, performance.now() - start),
    )
    const inTime = isInTime(settled, deadlineMs + PATIENCE_MS, signal)
    this.#time(settled, deadlineMs)
    abort()
    if (!(await inTime)) this.overdue++
  }

  #time(settled: Promise<void>, deadlineMs: number): void {
    const workedMs = () => processorMs() - this.#askingMs
    let due: number | undefined
    const timer = setTimeout(() => {
      due = workedMs()
    }, deadlineMs)
    void settled.then(() => {
      clearTimeout(timer)
      if (due !== undefined) this.lateMs = Math.max(this.lateMs, workedMs() - due)
    })
  }

  #habit(): Habit & { abort: () => void } {
    const { aborting, hasty } = this.#configuration
    const random = this.#random
    const deadlineMs = random.next() < hasty ? random.below(HASTE_MS) : DEADLINE_MS
    if (random.next() >= aborting) return { deadlineMs, signal: undefined, refused: this.ended, abort: () => {} }
    const controller = new AbortController()
    const ms = random.below(ABORT_MS) - 2
    if (ms === -2) controller.abort() // before it asks; with -1, in the same turn
    const abort = () => void (ms < 0 ? controller.abort() : setTimeout(() => controller.abort(), ms))
    return { deadlineMs, signal: controller.signal, refused: this.ended || ms === -2, abort }
  }

  #answered(prediction: Prediction, expected: Float32Array, { refused }: Habit, ms: number): void {
    const { status } = prediction
    this.open--
    this.times.push(ms)
    count(this.endings, status)
    if (refused) this.unforeseen.push('an answer to who should have been refused')
    this.#compare(prediction, expected)
  }

  /** What each status promises: `exact` the model's own values, `checked` its label and one worker's values, `recovered` nothing for sure. */
  #compare({ status, output, workers }: Prediction, expected: Float32Array): void {
    const { data } = output.logits
    const isOwn = data.every((value, i) => Object.is(value, expected[i]))
    if (sameChoice(data, expected, { kind: 'label', positions: 1, classes: expected.length }))
      count(this.agreed, status)
    if (status === 'exact' && !isOwn) this.altered++
    if (status === 'checked' && !isOwn) count(this.doctored, workers[0])
  }

  #failed(error: unknown, habit: Habit, ms: number): void {
    const code = error instanceof ApproxiferError ? error.code : String(error)
    this.open--
    if (habit.refused) this.refused++
    else count(this.endings, code)
    if (!this.#isForeseen(code, habit, ms)) this.unforeseen.push(`${code} after ${ms.toFixed(1)} ms`)
    else if (code !== 'ABORTED' && code !== 'CLOSED' && habit.deadlineMs === DEADLINE_MS) this.letDown++
  }

  /** Whether the caller or the end gave a reason, or workers may have. */
  #isForeseen(code: string, { deadlineMs, signal, refused }: Habit, ms: number): boolean {
    if (refused) return code === (this.ended ? 'CLOSED' : 'ABORTED')
    if (code === 'ABORTED') return signal?.aborted === true
    if (code === 'CLOSED') return this.ended
    if (code === 'DEADLINE') return ms > deadlineMs - EARLY_MS
    return ['WORKER', 'QUORUM', 'PROTOCOL', 'OVERLOADED'].includes(code)
  }
}

function count(of: Record<string, number>, name: string): void {
  of[name] = (of[name] ?? 0) + 1
}

/** Whether a promise settles within so many milliseconds, and as soon as the signal fires. */
export function isInTime(promise: Promise<unknown>, ms: number, signal?: AbortSignal): Promise<boolean> {
  return new Promise((resolve) => {
    const late = () => setImmediate(resolve, false) // timers that were due before run before, however busy the loop was
    const timer = setTimeout(late, ms)
    signal?.addEventListener('abort', late)
    void promise.then(() => {
      clearTimeout(timer)
      resolve(true)
    })
  })
}
