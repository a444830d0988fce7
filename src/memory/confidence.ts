/** How likely a recovered answer is right, learned from the model's own answers that come later. */

import { NONE } from '../base/arrays'
import {
  type Criterion,
  chooses,
  isWithinShare,
  type JudgedOutput,
  judgedOf,
  labelAt,
  labelled,
  lead,
  outputIn,
  sameChoice,
  toleranceOf,
} from '../base/criterion'
import type { Recovered, RecoverySource } from '../base/prediction'
import { DEVIATION_WINDOW, type DeviationState, rmsDifference } from '../base/stats'
import type { Core } from '../core/core'
import { type Agreement, Agreements, sources } from './agreements'
import { Calibration, type Graded, type Prior } from './calibration'
import { type ConfidenceState, confidenceState, savedConfidence } from './confidence-state'
import { Deviations } from './deviations'
import { sigmoid } from './logistic'
import { CERTAIN, choiceLead, jointOdds, relativeOdds, withinOdds } from './odds'
import { LEAST_VARIANCE } from './regression'

/** A query unlike all remembered queries, whose answer has no margin or a variance of 1, has a confidence of one in ten, whatever later answers showed. */
const OUT_OF_DISTRIBUTION: Prior = { signals: [Math.log(1 / 9), 0], probability: 0.1 }

/** The standard deviation of each output of the model's answers; undefined before 30 answers. Empty if only labels count. */
export type Spread = readonly (number | undefined)[]

/** Whether several values or outputs must be right at once: then the odds are too optimistic, since errors are correlated. */
const hasParts = (criterion: Criterion) =>
  judgedOf(criterion).some(({ right }) => right.kind === 'labels' || right.kind === 'top' || right.kind === 'relative')

/** The recovery of the highest confidence. @param all  at least one */
export function surest<T>(
  all: readonly T[],
  confidenceOf: (recovery: T) => number | undefined,
): { recovery: T; confidence: number | undefined } {
  const rated = all.map((recovery) => ({ recovery, confidence: confidenceOf(recovery) }))
  return rated.reduce((best, each) => ((each.confidence ?? -1) > (best.confidence ?? -1) ? each : best))
}

export class Confidence {
  readonly #criterion: Criterion
  readonly #agreements: Agreements
  readonly #calibrations: Record<RecoverySource, Calibration>
  readonly #judged: readonly JudgedOutput[]
  readonly #labelled: ReturnType<typeof labelled>
  #deviations: Deviations
  /** The spread that was taken from another confidence. */
  #assumed: Spread | undefined

  /**
   * @param criterion  when a recovered answer is right
   * @param state      made by `save`
   * @param outputs    the number of values in an answer; default: any
   * @throws RangeError for a state that `save` never made, or that it made for another criterion
   */
  constructor(core: Core, criterion: Criterion, state?: ConfidenceState, outputs?: number) {
    const learned = state === undefined ? undefined : savedConfidence(state, criterion, outputs)
    this.#criterion = criterion
    this.#judged = judgedOf(criterion)
    this.#labelled = labelled(criterion)
    this.#agreements = new Agreements(learned?.tallies)
    this.#calibrations = {
      code: new Calibration(core, learned?.graded.code),
      memory: new Calibration(core, learned?.graded.memory, OUT_OF_DISTRIBUTION, 2, hasParts(criterion)),
    }
    this.#deviations = new Deviations(criterion, learned?.spread)
  }

  /** The probability that a recovery is right. Before enough recoveries were graded: its source's own estimate, if there is one. */
  of(recovered: Recovered): number | undefined {
    return this.rated(recovered).confidence
  }

  /** The confidence, and the inputs of the calibration that gave it. */
  rated(recovered: Recovered): { confidence: number | undefined; signals: readonly number[] | undefined } {
    const signals = this.#signals(recovered)
    if (!signals?.every(Number.isFinite)) return { confidence: undefined, signals: undefined }
    const own = (recovered.odds ?? recovered.error) === undefined ? undefined : sigmoid(signals[0])
    const confidence = this.#calibrations[recovered.source].probability(signals, this.#label(recovered)) ?? own
    return { confidence, signals }
  }

  /** The spread of the model's answers, for `assume` of another confidence. */
  get spread(): Spread {
    return chooses(this.#criterion) ? NONE : this.#judged.map((_, i) => this.#spreadOf(i))
  }

  /** Uses the spread of another confidence, which sees all answers. */
  assume(spread: Spread): void {
    this.#assumed = spread
  }

  #spreadOf(output: number): number | undefined {
    return this.#assumed ? this.#assumed[output] : this.#deviations.of(output)
  }

  /** The largest error of an answer that counts as right; undefined for choices, with several outputs, and until it is learned. */
  get tolerance(): number | undefined {
    return this.#judged.length > 1 ? undefined : this.#tolerance(0)
  }

  /** The tolerance of each output, if there are several. */
  get tolerances(): Record<string, number | undefined> {
    const several = this.#judged.length > 1 ? this.#judged : []
    return Object.fromEntries(several.map(({ name }, i) => [name, this.#tolerance(i)]))
  }

  #tolerance(output: number): number | undefined {
    const { right } = this.#judged[output]
    if (right.kind !== 'tolerance') return right.kind === 'equal' ? 0 : undefined
    return toleranceOf(right, this.#spreadOf(output))
  }

  /** Learns the spread of the model's answers; tolerances are a share of it. */
  observe(own: Float32Array): void {
    if (!chooses(this.#criterion)) this.#deviations.add(own)
  }

  /** Whether all outputs of a recovery are right; undefined until their tolerances are known. */
  agrees(answer: Float32Array, own: Float32Array): boolean | undefined {
    let isRight = true
    for (let i = 0; i < this.#judged.length; i++) {
      const isOne = this.outputAgrees(i, answer, own)
      if (isOne === undefined) return undefined // the outputs with known tolerances alone would be biased
      isRight &&= isOne
    }
    return isRight
  }

  /** Whether one output of a recovery is right; undefined until its tolerance is known. */
  outputAgrees(output: number, answer: Float32Array, own: Float32Array): boolean | undefined {
    const each = this.#judged[output]
    const [a, b] = [outputIn(answer, each), outputIn(own, each)]
    if (chooses(each.right)) return sameChoice(a, b, each.right)
    if (each.right.kind === 'relative') return isWithinShare(a, b, each.right.share)
    const tolerance = this.#tolerance(output)
    return tolerance === undefined ? undefined : rmsDifference(a, b) <= tolerance
  }

  /** The recovery of the highest confidence. */
  best<T extends Recovered>(all: readonly T[]): { recovery: T; confidence: number | undefined } {
    return surest(all, (recovery) => this.of(recovery))
  }

  /** Learns from the model's own answer whether a given recovery was right. @param from  the identity of the worker that answered @returns as `agrees` */
  grade(recovered: Recovered, own: Float32Array, from?: string): boolean | undefined {
    const agreed = this.rehearse(recovered, own, from)
    if (agreed !== undefined) this.count(recovered, agreed, from)
    return agreed
  }

  /** As `grade`, for a recovery that was not given: it is learned from, but not counted in `agreements`. */
  rehearse(recovered: Recovered, own: Float32Array, from?: string): boolean | undefined {
    const right = this.agrees(recovered.answer, own)
    const graded = right === undefined ? undefined : this.graded(recovered, right, from)
    if (graded) this.learn(recovered.source, graded)
    return right
  }

  /** A graded recovery as an example for `learn`; undefined if its signals are not finite. @param signals  of `rated` */
  graded(
    recovered: Recovered,
    right: boolean,
    from: string | undefined,
    signals: readonly number[] | undefined = this.#signals(recovered),
  ): Graded | undefined {
    return signals?.every(Number.isFinite) ? { signals, right, label: this.#label(recovered), from } : undefined
  }

  learn(source: RecoverySource, graded: Graded): void {
    this.#calibrations[source].learn(graded)
  }

  count({ source, missing }: Recovered, agreed: boolean, from: string | undefined): void {
    this.#agreements.add({ source, missing, from, graded: 1, agreed: Number(agreed) })
  }

  /**
   * Removes the recoveries that a worker's answers graded.
   *
   * @returns how many they were
   */
  forget(from: string): number {
    this.#agreements.forget(from)
    return sources.reduce((sum, source) => sum + this.#calibrations[source].forget(from), 0)
  }

  /** Fits the calibrations if that is due, so that `of` need not. In steps. */
  *renew(): Generator<void> {
    for (const source of sources) yield* this.#calibrations[source].renew()
  }

  /** Replaces the spread by that of these answers, the oldest first: what a removed worker's answers added would only fade with the next thousand answers. */
  differ(answers: readonly Float32Array[]): void {
    if (chooses(this.#criterion)) return
    this.#deviations = Deviations.over(this.#criterion, answers.slice(-DEVIATION_WINDOW))
  }

  /** The state of the spread, for `spreadFrom` of another confidence after a worker was forgotten. */
  get deviations(): DeviationState[] {
    return this.#deviations.save()
  }

  spreadFrom(states: readonly DeviationState[]): void {
    this.#deviations = new Deviations(this.#criterion, states)
  }

  get agreements(): Agreement[] {
    return this.#agreements.all
  }

  /** The graded recoveries of one source, the oldest first. */
  gradedOf(source: RecoverySource): readonly Graded[] {
    return this.#calibrations[source].save()
  }

  /** @param memory  the memory's graded recoveries, if another confidence has learned them */
  save(memory = this.gradedOf('memory')): ConfidenceState {
    const graded = { code: this.gradedOf('code'), memory }
    const { tallies } = this.#agreements
    return confidenceState(this.#criterion, { tallies, graded, spread: this.#deviations.save() })
  }

  /** The first label of a recovery by the memory, for the label's intercept: the memory knows some labels better than others. Decoding does not. */
  #label({ answer, source }: Recovered): number | undefined {
    const first = source === 'memory' ? this.#labelled : undefined
    return first && labelAt(outputIn(answer, first), first.right)
  }

  /**
   * The inputs of the calibration. For a choice from the memory: odds and margin; from a group: variance, margin, height and number of missing
   * queries. For values or several outputs: the odds that all are right given their expected errors; with that the variance of the memory's recoveries,
   * and the number of missing queries of decoded ones.
   */
  #signals(recovered: Recovered): number[] | undefined {
    const { source, answer, variance = 0, missing, odds } = recovered
    if (chooses(this.#criterion)) {
      // The margin as well: between remembered queries on both sides of a decision boundary there is none, however small the variance.
      if (odds !== undefined) return [Math.min(odds, CERTAIN), recovered.margin ?? lead(answer, this.#criterion).margin]
      const { margin, height } = lead(answer, this.#criterion)
      return [variance, margin, height, missing]
    }
    const each = this.#judged.map((_, i) => this.#oddsOf(i, recovered))
    if (each.includes(undefined)) return undefined
    const within = Math.min(each.length > 1 ? jointOdds(each as number[]) : (each[0] as number), CERTAIN)
    // The variance as well: the odds assume normal errors, and errors are not normal where answers jump.
    return source === 'memory' ? [within, Math.log(Math.max(variance, LEAST_VARIANCE))] : [within, missing]
  }

  /** Log odds that one output is right; undefined until its tolerance is known. */
  #oddsOf(
    output: number,
    { answer, source, variance = 0, error, errors = error === undefined ? [] : [error] }: Recovered,
  ) {
    const { right, ...place } = this.#judged[output]
    const expected = errors[output] ?? Math.sqrt(variance) * (this.#spreadOf(output) ?? Number.NaN)
    if (chooses(right)) return choiceLead(outputIn(answer, place), right, expected).odds
    if (right.kind === 'relative') {
      const values = outputIn(answer, place)
      // The error of a decoded answer is not in logarithms; it is divided by the smallest value.
      const unit =
        source === 'memory'
          ? 1
          : values.reduce((least, value) => Math.max(1e-12, Math.min(least, Math.abs(value))), Number.MAX_VALUE)
      return relativeOdds(values.length, right.share, expected / unit)
    }
    const tolerance = this.#tolerance(output)
    return tolerance === undefined ? undefined : withinOdds(expected, tolerance)
  }
}
