/** How much the model's answers differ from each other: the unit in which an error is large or small. */

import * as saved from '../saved'

/** Values of an answer that are looked at, evenly spread: as many tell the deviation of all. */
const SAMPLE = 256
/** Answers over which is averaged; older ones fade, so that a stream that changes is followed. */
export const TELLING = 1000
/** Answers below which nothing is said. */
const ENOUGH = 30
/** An answer further off than so many deviations counts as that far: one odd query must not make all errors small. */
const FAR = 4
/** One that is further off than so many is none of the model's, as far as can be told: a few hundred like it change that. */
const ABSURD = 20
/** Share of the first answers that may be absurd. */
const RARE = 0.1

/** Plain data. */
export interface SpreadState {
  count: number
  means: number[]
  variances: number[]
}

/** Of a saved state. @param outputs  values in an answer, where that is known */
export function savedSpread(field: string, value: unknown, outputs: number | undefined): SpreadState {
  const state = saved.object(field, value, ['count', 'means', 'variances'])
  const count = saved.integer(`${field}.count`, state.count, 0, saved.MOST_COUNT)
  const most = count ? Math.min(SAMPLE, outputs ?? SAMPLE) : 0
  const { length } = saved.list(`${field}.means`, state.means, most, outputs ? most : Math.min(1, most))
  const means = saved.numbers(`${field}.means`, state.means, length, -saved.MOST, saved.MOST)
  return { count, means, variances: saved.numbers(`${field}.variances`, state.variances, length, 0, saved.MOST_SQUARE) }
}

export class Spread {
  #state: SpreadState

  constructor(state: SpreadState = { count: 0, means: [], variances: [] }) {
    this.#state = structuredClone(state)
  }

  /** Takes one of the model's own answers, of always as many values. */
  see(answer: ArrayLike<number>): void {
    const { means, variances } = this.#state
    const n = Math.min(++this.#state.count, TELLING)
    const values = Math.min(SAMPLE, answer.length)
    for (let i = 0; i < values; i++) {
      const value = answer[sampled(i, answer.length)]
      const most = n > ENOUGH ? FAR * Math.sqrt(variances[i]) : Number.POSITIVE_INFINITY
      const off = Math.max(-most, Math.min(most, value - (means[i] ?? 0)))
      means[i] = (means[i] ?? 0) + off / n
      variances[i] = (1 - 1 / n) * ((variances[i] ?? 0) + (off * off) / n)
    }
  }

  /** Standard deviation of a value about its own mean, over all values; undefined before 30 answers. */
  get deviation(): number | undefined {
    const { count, variances } = this.#state
    if (count < ENOUGH) return undefined
    return Math.sqrt(variances.reduce((sum, variance) => sum + variance, 0) / variances.length)
  }

  /** Whether an answer is unlike all others so far; those that are no longer rare are not. */
  isAbsurd(answer: ArrayLike<number>): boolean {
    const { deviation } = this
    return deviation !== undefined && deviation > 0 && offBy(answer, this.#state.means) > ABSURD * deviation
  }

  save(): SpreadState {
    return structuredClone(this.#state)
  }
}

/** Those of some answers that are not absurd among the others; all of them, where what seems so is not rare. */
export function plausible<T>(items: readonly T[], answerOf: (item: T) => ArrayLike<number>): T[] {
  const answers = items.map(answerOf)
  const { length } = answers[0]
  const middle = (numbers: number[]) => numbers.sort((a, b) => a - b)[numbers.length >> 1]
  const medians = Array.from({ length: Math.min(SAMPLE, length) }, (_, i, at = sampled(i, length)) => {
    return middle(answers.map((answer) => answer[at]))
  })
  const off = answers.map((answer) => offBy(answer, medians))
  const usual = middle([...off])
  const kept = items.filter((_, i) => !usual || off[i] <= ABSURD * usual)
  return items.length - kept.length > RARE * items.length ? [...items] : kept
}

/** Root mean square difference from the sampled values. */
function offBy(answer: ArrayLike<number>, means: readonly number[]): number {
  const sum = means.reduce((sum, mean, i) => sum + (answer[sampled(i, answer.length)] - mean) ** 2, 0)
  return Math.sqrt(sum / means.length)
}

/** Which value of an answer is the i-th of the sample. */
function sampled(i: number, length: number): number {
  return Math.floor((i * length) / Math.min(SAMPLE, length))
}
