/** What a memory knows: remembered queries and how they are compared, a regression on their answers, and how large its errors are. */

import { chooses, outputIn } from '../base/criterion'
import { mean, rmsDifference, varianceOf } from '../base/stats'
import { allFinite } from '../base/tensor'
import type { Core } from '../core/core'
import { BLOCK } from '../core/kernel-matrix'
import type { Domain } from './domain'
import type { Point } from './mirror'
import { choiceLead } from './odds'
import type { KernelRegression, Predicted, Uncertainty } from './regression'
import { type Similarities, Similarity } from './similarity'

/** Added to the variance of a prediction: the noise of the answer itself. */
const NOISE = 0.01
/** Exponent of the variance in the expected error: its term is negligible below a variance of one half, and dominates near one. */
const EXPONENT = 4
/** Each new error reduces the sum of the older errors to this share. */
const FADE = 0.999
/** Mirror images count as alike if that lowers the leave-one-out error of the first pairs by this share. */
const MIRROR_GAIN = 0.01
/** Bounds of the sum of variances in a saved state. */
export const LEAST_SUM = NOISE / 2
export const MOST_SUM = 10 / (1 - FADE)

/** A recovered answer; its fields are those of `Recovered` in prediction.ts. The caller owns it. */
export interface Recollection extends Predicted {
  source: 'memory'
  /** The expected root mean square error of the values, by earlier errors of the memory, in the memory's units (units.ts). */
  error: number
  /** The same for each output, if there are several. */
  errors?: readonly number[]
  /** Log odds that it makes the model's choice, given the expected error; undefined if the answer is no choice. */
  odds: number | undefined
  /** How clear the choice is, if the answer is one; see `lead` in criterion.ts. */
  margin?: number
}

/** A query (see `reduced` in domain.ts), the model's own answer, and the identity of the worker that gave it. */
export interface Pair {
  query: Float32Array
  answer: Float32Array
  from: string | undefined
}

export type KnownAnswer = Pick<Pair, 'answer' | 'from'>

export interface Begun {
  known: Known
  /** The leave-one-out error of the first pairs, pooled over the outputs. */
  error: number
}

export class Known {
  /** Of each output, the variance of the first answers about their mean, per value. */
  readonly variance: readonly number[]
  readonly #domain: Domain

  /**
   * @param from    the identity of the worker that gave each answer
   * @param next    the place of the next pair; in a full memory it overwrites the oldest pair
   * @param errors  sums over predictions of squared errors and of variances; older predictions count less
   */
  constructor(
    domain: Domain,
    readonly similarity: Similarity,
    readonly regression: KernelRegression,
    readonly from: (string | undefined)[],
    public next = regression.size % domain.capacity,
    readonly errors: Uncertainty = { error: domain.judged.map(() => 0), variance: 0 },
  ) {
    this.#domain = domain
    this.variance = variancesOf(domain, regression)
  }

  /** With the regression's leave-one-out errors as the first errors. In steps. */
  static *fitted(
    domain: Domain,
    similarity: Similarity,
    pairs: readonly KnownAnswer[],
    regression: KernelRegression,
  ): Generator<void, Begun> {
    const leftOut = yield* regression.leaveOneOut(domain.judged)
    const from = pairs.map((pair) => pair.from)
    const known = new Known(domain, similarity, regression, from)
    known.observe(leftOut)
    return { known, error: known.pooled(leftOut.error) }
  }

  /** A memory of the pairs at these places alone, with the same metric. In steps. */
  *only(places: readonly number[]): Generator<void, Known> {
    const similarity = yield* this.similarity.renewed(places)
    const regression = yield* this.regression.only(places)
    return (yield* Known.fitted(this.#domain, similarity, this.pairs(places), regression)).known
  }

  pairs(places: readonly number[]): KnownAnswer[] {
    return places.map((place) => ({ answer: this.regression.answers[place], from: this.from[place] }))
  }

  get size(): number {
    return this.regression.size
  }

  /** The places of all pairs, the oldest pair first. */
  get places(): number[] {
    const { size } = this
    const oldest = size < this.#domain.capacity ? 0 : this.next
    return Array.from({ length: size }, (_, i) => (oldest + i) % size)
  }

  /**
   * The expected squared error is proportional to the prediction's variance, by earlier errors. Out of distribution (variance 1) the variance of all
   * answers is added: errors on a smooth model are so small that by proportion alone every recovery would seem certain.
   *
   * @returns undefined if it is not finite, which takes values beyond f32 or a forged state
   */
  predict({ similarities, kxx }: Similarities): Recollection | undefined {
    const predicted = this.regression.predict(similarities, kxx)
    const { criterion, judged, outputs } = this.#domain
    const { variance } = predicted
    const { error: sums, variance: of } = this.errors
    const errorOf = (i: number) =>
      Math.sqrt((sums[i] / of) * (variance + NOISE) + this.variance[i] * variance ** EXPONENT)
    const error = errorOf(0)
    const errors = judged.length > 1 ? judged.map((_, i) => errorOf(i)) : [error]
    if (!errors.every(Number.isFinite) || !allFinite(predicted.answer)) return undefined
    const lead = chooses(criterion) ? choiceLead(predicted.answer, criterion, error) : { odds: undefined }
    if (errors.length === 1) return { source: 'memory', error, ...lead, ...predicted }
    const square = errors.reduce((sum, each, i) => sum + each ** 2 * (judged[i].size as number), 0)
    return { source: 'memory', error: Math.sqrt(square / outputs), errors, ...lead, ...predicted }
  }

  /** Adds the error of a prediction to the sums. */
  observe({ error, variance }: Uncertainty): void {
    if (!error.every(Number.isFinite) || !Number.isFinite(variance)) return
    const { errors } = this
    errors.error = errors.error.map((sum, i) => FADE * sum + error[i])
    errors.variance = FADE * errors.variance + variance + NOISE
  }

  /** Of each output, the mean squared difference between an answer and the model's own. */
  squares(answer: Float32Array, own: Float32Array): number[] {
    return this.#domain.judged.map((each) => rmsDifference(outputIn(answer, each), outputIn(own, each)) ** 2)
  }

  /** One error for all outputs: with several outputs, whose units differ, the mean of their squared errors over their variances. */
  pooled(squares: readonly number[]): number {
    return squares.length === 1 ? squares[0] : mean(squares.map((square, i) => square / this.variance[i]))
  }

  /** Remembers a pair; predictions use it after the next `settle` of the regression. */
  put(point: Point, { similarities, kxx }: Similarities, { answer, from }: Pair): void {
    this.similarity.points.put(point, this.next)
    this.regression.place(this.next, similarities, kxx, answer.slice())
    this.from[this.next] = from
    this.next = (this.next + 1) % this.#domain.capacity
  }
}

/** Of each output, the variance of the first answers about their mean, per value. */
function variancesOf({ judged }: Domain, { answers }: KernelRegression): number[] {
  return judged.map((each) => varianceOf(answers.slice(0, BLOCK).map((answer) => outputIn(answer, each))))
}

/** Adds a copy of a pair, unless there is one with the same query. @returns whether it was added */
export function collect(pairs: Pair[], { query, answer, from }: Pair): boolean {
  if (pairs.some((other) => other.query.every((value, i) => value === query[i]))) return false
  pairs.push({ query: query.slice(), answer: answer.slice(), from })
  return true
}

/** A memory of some pairs, and its leave-one-out error, pooled over the outputs. In steps. */
export function* begin(core: Core, domain: Domain, pairs: readonly Pair[]): Generator<void, Begun> {
  const similarity = yield* Similarity.learn(core, domain, pairs)
  const plain = yield* Known.fitted(domain, similarity, pairs, yield* similarity.regressed(pairs))
  if (!similarity.points.mirrors) return plain
  similarity.mirror = true
  const mirrored = yield* Known.fitted(domain, similarity, pairs, yield* similarity.regressed(pairs))
  similarity.mirror = mirrored.error < (1 - MIRROR_GAIN) * plain.error
  return similarity.mirror ? mirrored : plain
}
