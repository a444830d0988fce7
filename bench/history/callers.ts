/** Callers of a predictor whose threads are killed: some leave, some have no time, and now and then too many come at once. */

import { setImmediate as turn } from 'node:timers/promises'
import type { ApproxiferError, Prediction, Predictor } from 'approxifer'
import type { Random } from '../../src/base/random'
import type { OnnxModel } from '../../src/workers/onnx/model'
import type { HeardEvents } from '../../test/shared/heard-events'
import { compared, type Log, type Question } from './log'

/** Who wait at a time; now and then so many more come at once. */
const CALLERS = 32
const BURSTS = 1 / 500
export const DEADLINE_MS = 5000
/** Shares of those who leave, and of those with a deadline of a few milliseconds. */
const LEAVING = 0.05
const HASTY = 0.05
const SOON_MS = 20

export class Callers {
  /** How queries ended: by status or code. */
  readonly endings: Record<string, number> = {}
  #open = 0

  constructor(
    private readonly predictor: Predictor,
    private readonly log: Log,
    private readonly random: Random,
    private readonly policy: string,
    private readonly heard: HeardEvents,
  ) {}

  /** All queries, one after the other, each with an image of its own. */
  async ask(digits: readonly Float32Array[], model: OnnxModel, queries: number): Promise<void> {
    for (let query = 0; query < queries; ) {
      const isBurst = this.random.next() < BURSTS
      const count = Math.min(queries - query, isBurst ? 2 * CALLERS : 1)
      const questions: Question[] = []
      while (questions.length < count) questions.push(await questionOf(digits, query++, model))
      do await turn()
      while (!isBurst && this.#open >= CALLERS)
      for (const question of questions) void this.#ask(question)
    }
    await this.#end()
    const last = await questionOf(digits, queries, model)
    await turn()
    await this.#ask(last, true)
    await this.#end()
  }

  async #end(): Promise<void> {
    while (this.#open || this.heard.unended) await turn()
  }

  async #ask(question: Question, lively = false): Promise<void> {
    const { log, random, policy } = this
    const { query, image } = question
    const deadlineMs = !lively && random.next() < HASTY ? 1 + random.below(SOON_MS) : DEADLINE_MS
    const leaving = new AbortController()
    this.#open++
    log.opens(question)
    const now = log.now
    log.note({ what: 'asked', query, dueAt: now + deadlineMs, policy, gives: false, lively }, now)
    const predicted = this.predictor.predict(image, { deadlineMs, signal: leaving.signal })
    if (!lively && random.next() < LEAVING) this.#leaves(query, leaving, predicted)
    await predicted.then(
      (prediction) => this.#answered(question, prediction),
      ({ code, message }: ApproxiferError) => this.#ended(query, code ?? message),
    )
    log.closes(question, DEADLINE_MS)
    this.#open--
  }

  #leaves(query: number, leaving: AbortController, predicted: Promise<unknown>): void {
    const leave = () => {
      this.log.note({ what: 'left', query })
      leaving.abort()
    }
    const timer = setTimeout(leave, this.random.below(SOON_MS))
    predicted.then(
      () => clearTimeout(timer),
      () => clearTimeout(timer),
    )
  }

  #answered(question: Question, { status, confidence, workers, output }: Prediction): void {
    const { query } = question
    this.endings[status] = (this.endings[status] ?? 0) + 1
    const told = output.logits.data as Float32Array
    this.log.note({ what: 'answered', query, status, confidence, workers, ...compared(told, question) })
  }

  #ended(query: number, code: string): void {
    this.endings[code] = (this.endings[code] ?? 0) + 1
    this.log.note({ what: 'failed', query, code })
  }
}

/** A digit whose first pixel is like no other query's. */
async function questionOf(digits: readonly Float32Array[], query: number, model: OnnxModel): Promise<Question> {
  const image = digits[query % digits.length].slice()
  image[0] = Math.fround((query + 1) / 2 ** 20)
  return { query, image, own: await model.infer(image) }
}
