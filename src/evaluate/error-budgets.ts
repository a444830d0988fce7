/**
 * Measures reuse within an error budget on a stream of queries. The confidences of the memory, and of a rival, are recorded once, while
 * they learn every answer; then the rule is run on the record with several random seeds. It counts, and needs no clock.
 */

import { checksum } from '../base/checksum'
import type { Random } from '../base/random'
import { BUDGETS, ErrorBudget } from '../layers/error-budget'
import type { Experience } from '../memory/experience'
import { Neighbours, type Said } from './neighbours'

/** Number of answers in the first window of an error budget. */
export const firstWindow = (maxError: number) => Math.round(BUDGETS.first / maxError)

/** A query of a stream. */
export interface Recorded {
  /** Index of the first query that equals it. */
  readonly first: number
  /** The answer that would be given without asking a worker; undefined if nothing is known yet. */
  readonly said: Said | undefined
}

/** Asks a memory about one query after the other, before it learns the model's answer. */
export class Pupil {
  /** Total milliseconds of lookups and of training steps. */
  readonly ms = { look: 0, lesson: 0 }

  constructor(readonly experience: Experience) {}

  next(query: Float32Array, answer: Float32Array): Said | undefined {
    const { experience, ms } = this
    const { confidence } = experience
    confidence.observe(answer)
    const start = performance.now()
    const recalled = experience.recall(query)
    const sure = recalled && (confidence.of({ ...recalled, missing: 1 }) ?? 0)
    const between = performance.now()
    const isRight = recalled !== undefined && confidence.agrees(recalled.answer, answer) === true
    Array.from(experience.train(query, answer)) // all steps at once: no query waits
    ms.look += between - start
    ms.lesson += performance.now() - between
    return sure === undefined ? undefined : { confidence: sure, isRight }
  }
}

/** Records the confidence of the memory, and of the nearest neighbour, in one query after the other, before each learns its answer. */
export class Recorder {
  readonly memory: Recorded[] = []
  readonly neighbour: Recorded[] = []
  readonly #pupil: Pupil
  readonly #neighbours: Neighbours
  readonly #firsts = new Map<string, number>()

  constructor(experience: Experience) {
    this.#pupil = new Pupil(experience)
    this.#neighbours = new Neighbours((said, own) => experience.confidence.agrees(said, own) === true)
  }

  get ms(): Pupil['ms'] {
    return this.#pupil.ms
  }

  next(query: Float32Array, answer: Float32Array): void {
    const key = checksum(new Uint8Array(query.buffer, query.byteOffset, query.byteLength))
    const first = this.#firsts.get(key) ?? this.memory.length
    this.#firsts.set(key, first)
    this.memory.push({ first, said: this.#pupil.next(query, answer) })
    this.neighbour.push({ first, said: this.#neighbours.next(query, answer) })
  }
}

export interface Spending {
  queries: number
  asked: number
  audits: number
  wrong: number
  windows: number
  /** Windows with more wrong answers than allowed. */
  over: number
}

export const nothingSpent = (): Spending => ({ queries: 0, asked: 0, audits: 0, wrong: 0, windows: 0, over: 0 })

export function addTo(to: Spending, more: Spending): Spending {
  for (const name of Object.keys(to) as (keyof Spending)[]) to[name] += more[name]
  return to
}

/**
 * Runs the rule on a stream with one random sequence. A query that equals one that was asked gets its answer, unless it is audited.
 *
 * @param from  where counting begins
 */
export function spend(stream: readonly Recorded[], maxError: number, random: Random, from = 0): Spending {
  const budget = new ErrorBudget({ maxError, recovers: false, coin: random.next })
  const spent = nothingSpent()
  const kept = new Set<number>()
  let [{ window, allowed }, wrong] = [budget.stats, 0]
  const close = () => {
    spent.windows++
    spent.over += Number(wrong > allowed)
  }
  for (const [i, { first, said }] of stream.entries()) {
    if (i === from) Object.assign(spent, { queries: 0, asked: 0, audits: 0, wrong: 0 })
    spent.queries++
    const isRepeat = kept.has(first)
    const draw = isRepeat ? budget.drawRepeat() : said && budget.draw(said.confidence)
    if (budget.window !== window) {
      close()
      ;[{ window, allowed }, wrong] = [budget.stats, 0]
    }
    budget.count()
    const isRight = isRepeat || said?.isRight === true
    draw?.grade(isRight)
    spent.audits += Number(draw?.is === 'audit')
    if (draw?.is === 'remember') {
      wrong += Number(!isRight)
      spent.wrong += Number(!isRight)
    } else {
      spent.asked++
      kept.add(first)
    }
  }
  close()
  return spent
}
