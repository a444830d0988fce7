/** What a memory knows: how queries are compared, a regression on their answers, how large its errors are; and how that begins. */

import { chooses, outputIn } from '../base/criterion'
import { mean, rmsDifference, squaresAboutMeans } from '../base/stats'
import { allFinite } from '../base/tensor'
import type { Core } from '../core/core'
import { BLOCK } from '../core/kernel-matrix'
import type { Domain } from './domain'
import type { Point } from './mirror'
import { choiceLead } from './odds'
import type { KernelRegression, Predicted, Uncertainty } from './regression'
import { type Similarities, Similarity } from './similarity'
import { finished, perStep } from './steps'

/** Variance of an answer's noise, beside that of its prediction. */
const NOISE = 0.01
/** Exponent of the variance in the expected error: its term is negligible below one half, and dominates near one. */
const EXPONENT = 4
/** What a new error leaves of the sums of the older ones. */
const FADE = 0.999
/** Mirror images count as alike where that lowers the error of the first pairs by this share. */
const MIRROR_GAIN = 0.01
/** Bounds of the sum of variances. */
export const LEAST_SUM = NOISE / 2
export const MOST_SUM = 10 / (1 - FADE)

/** A recovered answer; see `Recovered` in confidence.ts. The caller owns it. */
export interface Recollection extends Predicted {
  source: 'memory'
  /** Root mean square error of its values to be expected, by what the memory got wrong before, in its units (units.ts); of several outputs of each, too. */
  error: number
  errors?: readonly number[]
  /** Log odds that it chooses what the model does, with errors of that size; undefined where it is no choice. */
  odds: number | undefined
  /** How clear its choice is, where it is one: see `lead`. */
  margin?: number
}

/** A query, reduced (see domain.ts), and the model's own answer, by the identity of the worker that gave it. */
export interface Pair {
  query: Float32Array
  answer: Float32Array
  from: string | undefined
}

export type KnownAnswer = Pick<Pair, 'answer' | 'from'>

export class Known {
  /** Of each output the variance of the first answers about their mean, per value. */
  readonly variance: readonly number[]
  readonly #domain: Domain

  /**
   * @param from    the identity that each answer came from
   * @param next    where the next pair goes: when full, over the oldest
   * @param errors  sums of squared errors of predictions and of their variances, the older ones faded
   */
  constructor(
    domain: Domain,
    readonly similarity: Similarity,
    readonly regression: KernelRegression,
    readonly from: (string | undefined)[],
    public next = regression.size % domain.capacity,
    readonly errors: Uncertainty = { error: domain.judged.map(() => 0), variance: 0 },
    variance?: readonly number[],
  ) {
    this.#domain = domain
    this.variance = variance ?? finished(variances(domain, regression))
  }

  /** With a regression on all queries that are compared, and how far it errs when these are left out. In steps. */
  static *fitted(
    domain: Domain,
    similarity: Similarity,
    pairs: readonly KnownAnswer[],
    regression: KernelRegression,
  ): Generator<void, { known: Known; error: number }> {
    const leftOut = yield* regression.leaveOneOut(domain.judged)
    const from = pairs.map((pair) => pair.from)
    const variance = yield* variances(domain, regression)
    const known = new Known(domain, similarity, regression, from, undefined, undefined, variance)
    known.observe(leftOut)
    return { known, error: known.pooled(leftOut.error) }
  }

  /** The pairs at some places alone, compared as all were. In steps. */
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

  /** Places of all pairs, the oldest first. */
  get places(): number[] {
    const { size } = this
    const oldest = size < this.#domain.capacity ? 0 : this.next
    return Array.from({ length: size }, (_, i) => (oldest + i) % size)
  }

  /**
   * The squared error to expect is in proportion to the variance, as measured, and out of distribution (variance 1) that of
   * all answers as well: errors on a smooth model are so small that by proportion alone any recovery would seem certain.
   *
   * @returns undefined where it is not finite: values beyond f32, or a forged state
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

  /** An answer came to a query that had been predicted. */
  observe({ error, variance }: Uncertainty): void {
    if (!error.every(Number.isFinite) || !Number.isFinite(variance)) return
    const { errors } = this
    errors.error = errors.error.map((sum, i) => FADE * sum + error[i])
    errors.variance = FADE * errors.variance + variance + NOISE
  }

  /** Of each output the mean squared difference of an answer to the model's own. */
  squares(answer: Float32Array, own: Float32Array): number[] {
    return this.#domain.judged.map((each) => rmsDifference(outputIn(answer, each), outputIn(own, each)) ** 2)
  }

  /** One for all outputs, which have units of their own: of several the mean of squared errors over their variances. */
  pooled(squares: readonly number[]): number {
    return squares.length === 1 ? squares[0] : mean(squares.map((square, i) => square / this.variance[i]))
  }

  /** Remembers a pair, which counts from the next `settle` of the regression on. */
  put(point: Point, { similarities, kxx }: Similarities, { answer, from }: Pair): void {
    this.similarity.points.put(point, this.next)
    this.regression.place(this.next, similarities, kxx, answer.slice())
    this.from[this.next] = from
    this.next = (this.next + 1) % this.#domain.capacity
  }
}

/** Of each output the variance of the first answers about their mean, per value. In steps. */
function* variances({ judged }: Domain, { answers }: KernelRegression): Generator<void, number[]> {
  const all: number[] = []
  for (const each of judged) {
    const first = answers.slice(0, BLOCK).map((answer) => outputIn(answer, each))
    const [{ length }, columns] = [first[0], perStep(2 * BLOCK)]
    let sum = 0
    for (let from = 0; from < length; from += columns) {
      sum = squaresAboutMeans(first, from, Math.min(from + columns, length), sum)
      yield
    }
    all.push(sum / (length * first.length) || 1)
  }
  return all
}

/** Adds a copy of a pair, unless its query is there already. @returns whether it was added */
export function collect(pairs: Pair[], { query, answer, from }: Pair): boolean {
  if (pairs.some((other) => other.query.every((value, i) => value === query[i]))) return false
  pairs.push({ query: query.slice(), answer: answer.slice(), from })
  return true
}

/**
 * All that some pairs tell. In steps of a few milliseconds.
 *
 * @param deciding  how many of the answers may decide which metric it is
 */
export function* begin(
  core: Core,
  domain: Domain,
  pairs: readonly Pair[],
  deciding = pairs.length,
): Generator<void, Known> {
  const queries = pairs.map(({ query }) => query)
  const answers = pairs.slice(0, deciding).map(({ answer }) => answer)
  const similarity = yield* Similarity.learn(core, domain, queries, answers)
  const plain = yield* Known.fitted(domain, similarity, pairs, yield* similarity.regressed(pairs))
  if (!similarity.points.mirrors) return plain.known
  similarity.mirror = true
  const mirrored = yield* Known.fitted(domain, similarity, pairs, yield* similarity.regressed(pairs))
  similarity.mirror = mirrored.error < (1 - MIRROR_GAIN) * plain.error
  return similarity.mirror ? mirrored.known : plain.known
}
