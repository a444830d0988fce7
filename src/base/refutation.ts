/** Whether a model's first answers contradict how an output is read, for example if an output named `probabilities` has negative values. */

import { criterionFrom, type JudgedOutput, judgedOf, outputIn } from './criterion'
import type { Warn } from './notices'
import { choicesOf, doubtsOf, type OutputKind } from './output-kind'
import type { TensorSpec } from './tensor'

/** Number of first answers that are examined. */
export const FIRST_ANSWERS = 50
/** Answers that are looked at until so many differ: of a large output a look takes milliseconds. */
const MOST_LOOKED = 4 * FIRST_ANSWERS
/** Half floats and quantised models miss a sum of 1 by up to this much. */
const SUM = 0.02
/** Values above this are no probabilities; rounding may exceed 1 a little. */
const UNIT = 1 + 1e-3
/**
 * Least mean sigmoid of logits of classes: these have a mean near 0, since their gradients add up to 0, so their sigmoids have a mean of
 * about .5. For rare tags it is a few hundredths.
 */
const TAGGED = 0.1
/** Lengths of normalised vectors differ by at most this share. */
const NORM = 1e-3

interface Seen {
  /** Whether all values are from 0 to 1. */
  isUnit: boolean
  /** Whether the values, or their exponentials, add up to 1. */
  isDistribution: boolean
  least: number
  most: number
  norm: number
  /** Mean of the values' sigmoids. */
  odds: number
}

/** Collects the first answers of a model. When there are enough, each output is compared with how it is read. */
export class FirstAnswers {
  /** Why an output's reading is unreliable, and what the user should configure; undefined if nothing contradicts it. */
  doubt: string | undefined
  readonly #warn: Warn
  /** Outputs whose reading answers can contradict. */
  readonly #open: { kind: OutputKind; choices: string; output: JudgedOutput; seen: Seen[] }[]
  #count = 0
  #looked = 0

  constructor(outputs: readonly TensorSpec[], kinds: readonly OutputKind[], warn: Warn) {
    this.#warn = warn
    this.doubt = doubtsOf(kinds).join('; ') || undefined
    const choices = (i: number) =>
      choicesOf(outputs[i], outputs.length > 1 ? `right.outputs.${outputs[i].name}` : 'right')
    const judged = judgedOf(criterionFrom(outputs, kinds))
    this.#open = kinds.flatMap((kind, i) =>
      isRefutable(kind) ? [{ kind, choices: choices(i), output: judged[i], seen: [] }] : [],
    )
  }

  see(answer: Float32Array): void {
    if (this.#count === FIRST_ANSWERS || this.#looked === MOST_LOOKED || !this.#open.length) return
    this.#looked++
    const now = this.#open.map(({ output }) => seenIn(outputIn(answer, output)))
    // An answer given again, to an equal query, is no further evidence: fifty of one length would look like embeddings.
    for (let i = 0; i < this.#count; i++) if (this.#open.every(({ seen }, at) => isSame(seen[i], now[at]))) return
    this.#count++
    for (const [at, { seen }] of this.#open.entries()) seen.push(now[at])
    if (this.#count < FIRST_ANSWERS) return
    const against = this.against()
    if (!against) return
    this.doubt ??= against
    this.#warn(`nothing approximate is given any more: ${against}`)
  }

  /** How the answers so far contradict the readings, and what the user should configure. */
  against(): string | undefined {
    const all = this.#open.flatMap(({ kind, choices, seen }) => {
      const why = seen.length ? refutationOf(kind, seen) : undefined
      const word = kind.right.kind === 'labels' ? 'tags' : 'classes'
      return why ? `${choices}: it was read as ${word}, since ${kind.why}, but ${why}` : []
    })
    return all.join('; ') || undefined
  }
}

/** The user's option and the graph are certain. For outputs with several positions there is no rule. */
function isRefutable({ right, evidence, doubt }: OutputKind): boolean {
  if (evidence === 'right' || doubt) return false
  return right.kind === 'labels' || (right.kind === 'label' && right.positions === 1 && evidence !== 'graph')
}

/** @returns why an output has another kind; undefined if nothing contradicts its reading */
function refutationOf({ right }: OutputKind, all: readonly Seen[]): string | undefined {
  const share = (is: (each: Seen) => boolean) => all.filter(is).length / all.length
  const areUnit = share(({ isUnit }) => isUnit) === 1
  const distributions = share(({ isDistribution }) => isDistribution)
  if (right.kind === 'labels') {
    if (areUnit && right.threshold === 0) return 'its values lie between 0 and 1, as no logits do'
    if (!areUnit && right.threshold > 0) return 'some of its values lie beyond 0 and 1, as no probabilities do'
    return distributions === 1 ? 'its values add up to 1, as those of classes do' : undefined
  }
  if (distributions > 0.5) return undefined
  if (areUnit) return 'its values lie between 0 and 1 and do not add up to 1, as of tags or of scores each by itself'
  if (share(({ most, odds }) => most < 0 || odds < TAGGED) >= 0.5)
    return 'hardly a value is above 0, as of tags of which few are set'
  if (share(({ least }) => least >= 0) === 1) return 'no value is below 0, as of distances, counts or ratings'
  const norms = all.map(({ norm }) => norm)
  const longest = Math.max(...norms)
  if (all.length === 1 || longest - Math.min(...norms) > NORM * longest) return undefined
  return 'all answers are vectors of one length, as embeddings are'
}

const isSame = (a: Seen, b: Seen) => a.norm === b.norm && a.odds === b.odds && a.least === b.least && a.most === b.most

function seenIn(values: Float32Array): Seen {
  let [least, most] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]
  let [sum, exponentials, squares, odds] = [0, 0, 0, 0]
  for (const value of values) {
    least = Math.min(least, value)
    most = Math.max(most, value)
    sum += value
    exponentials += Math.exp(value)
    squares += value ** 2
    odds += 1 / (1 + Math.exp(-value))
  }
  const isUnit = least >= 1 - UNIT && most <= UNIT
  const isOne = Math.abs(sum - 1) <= SUM && isUnit
  return {
    isUnit,
    isDistribution: isOne || (most <= UNIT - 1 && Math.abs(exponentials - 1) <= SUM),
    least,
    most,
    norm: Math.sqrt(squares),
    odds: odds / values.length,
  }
}
