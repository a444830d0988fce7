/** How likely recovered answers are right, by how often they agreed with the model's own answers that came late. */

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
import { finished } from './steps'

/**
 * For an input unlike anything remembered the confidence is one in ten, whatever late answers have shown so far: without a
 * margin or, where there is no label, of variance 1.
 */
const OUT_OF_DISTRIBUTION: Prior = { signals: [Math.log(1 / 9), 0], probability: 0.1 }

/** How much the model's answers differ from each other, each output by itself; undefined until that is known. Empty where only choices count. */
export type Spread = readonly (number | undefined)[]

/** Whether it takes several things at once to be right, so that errors which have to do with each other count for more than is reckoned. */
const hasParts = (criterion: Criterion) =>
  judgedOf(criterion).some(({ right }) => right.kind === 'labels' || right.kind === 'top' || right.kind === 'relative')

/** Of several recoveries that of the highest confidence. @param all  at least one */
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
  /** How much the model's answers differ from each other. */
  #deviations: Deviations
  #assumed: Spread | undefined

  /**
   * @param criterion  when a recovered answer is right
   * @param state      of `save`
   * @param outputs    values in an answer; default: as many as the state was learned from
   * @throws RangeError for a state that is none, or of another criterion: what was right then may be wrong now
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

  /** The probability that an answer is right; what its source reckons, if it does, before enough late answers came. */
  of(recovered: Recovered): number | undefined {
    return this.rated(recovered).confidence
  }

  /** The same, and what it goes by. */
  rated(recovered: Recovered): { confidence: number | undefined; signals: readonly number[] | undefined } {
    const signals = this.#signals(recovered)
    if (!signals?.every(Number.isFinite)) return { confidence: undefined, signals: undefined }
    const own = (recovered.odds ?? recovered.error) === undefined ? undefined : sigmoid(signals[0])
    const confidence = this.#calibrations[recovered.source].probability(signals, this.#label(recovered)) ?? own
    return { confidence, signals }
  }

  /** For `assume` of another one. */
  get spread(): Spread {
    return chooses(this.#criterion) ? NONE : this.#judged.map((_, i) => this.#spreadOf(i))
  }

  /** Takes how much answers differ from another one, which sees all of them. */
  assume(spread: Spread): void {
    this.#assumed = spread
  }

  #spreadOf(output: number): number | undefined {
    return this.#assumed ? this.#assumed[output] : this.#deviations.of(output)
  }

  /** How far off an answer without a label may be; undefined where there are labels or several outputs, or until it was learned. */
  get tolerance(): number | undefined {
    return this.#judged.length > 1 ? undefined : this.#tolerance(0)
  }

  /** The same of each of several outputs. */
  get tolerances(): Record<string, number | undefined> {
    const several = this.#judged.length > 1 ? this.#judged : []
    return Object.fromEntries(several.map(({ name }, i) => [name, this.#tolerance(i)]))
  }

  #tolerance(output: number): number | undefined {
    const { right } = this.#judged[output]
    if (right.kind !== 'tolerance') return right.kind === 'equal' ? 0 : undefined
    return toleranceOf(right, this.#spreadOf(output))
  }

  /** Takes one of the model's own answers: how much these differ says what is a large error. */
  observe(own: Float32Array): void {
    if (!chooses(this.#criterion)) this.#deviations.add(own)
  }

  /** Whether a recovered answer is right, with all of its outputs; undefined until it is known how far off these may be. */
  agrees(answer: Float32Array, own: Float32Array): boolean | undefined {
    let isRight = true
    for (let i = 0; i < this.#judged.length; i++) {
      const isOne = this.outputAgrees(i, answer, own)
      if (isOne === undefined) return undefined // those that are known so far would be the wrong ones
      isRight &&= isOne
    }
    return isRight
  }

  /** The same of one output. */
  outputAgrees(output: number, answer: Float32Array, own: Float32Array): boolean | undefined {
    const each = this.#judged[output]
    const [a, b] = [outputIn(answer, each), outputIn(own, each)]
    if (chooses(each.right)) return sameChoice(a, b, each.right)
    if (each.right.kind === 'relative') return isWithinShare(a, b, each.right.share)
    const tolerance = this.#tolerance(output)
    return tolerance === undefined ? undefined : rmsDifference(a, b) <= tolerance
  }

  /** Of several recoveries of one query the one of the highest confidence. */
  best<T extends Recovered>(all: readonly T[]): { recovery: T; confidence: number | undefined } {
    return surest(all, (recovery) => this.of(recovery))
  }

  /** The model's own answer came: was the recovery right that was given? As `agrees`. @param from  the identity of its worker */
  grade(recovered: Recovered, own: Float32Array, from?: string): boolean | undefined {
    const agreed = this.rehearse(recovered, own, from)
    if (agreed !== undefined) this.count(recovered, agreed, from)
    return agreed
  }

  /** As `grade`, for a recovery that was not given: it is learned from, but not counted. */
  rehearse(recovered: Recovered, own: Float32Array, from?: string): boolean | undefined {
    const right = this.agrees(recovered.answer, own)
    const graded = right === undefined ? undefined : this.graded(recovered, right, from)
    if (graded) this.learn(recovered.source, graded)
    return right
  }

  /** What a recovery that was right, or not, shows; undefined where nothing can be told from it. @param signals  as it was rated */
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
   * Takes back what a worker's answers showed of recoveries, as if they had never come.
   *
   * @returns how many recoveries were graded by its answers
   */
  forget(from: string): number {
    this.#agreements.forget(from)
    return sources.reduce((sum, source) => sum + this.#calibrations[source].forget(from), 0)
  }

  /** Fits anew what is due to be: else a caller would wait for it, sooner or later. In steps. */
  *renew(): Generator<void> {
    for (const source of sources) yield* this.#calibrations[source].renew()
  }

  /** How much answers differ is learned again from the last of some, oldest first: else what a worker added to that fades with the next thousand. */
  differ(answers: readonly Float32Array[]): void {
    if (chooses(this.#criterion)) return
    this.#deviations = finished(Deviations.over(this.#criterion, answers.slice(-DEVIATION_WINDOW)))
  }

  /** How much answers differ, for `spreadFrom` of another one. */
  get deviations(): DeviationState[] {
    return this.#deviations.save()
  }

  spreadFrom(states: readonly DeviationState[]): void {
    this.#deviations = new Deviations(this.#criterion, states)
  }

  get agreements(): Agreement[] {
    return this.#agreements.all
  }

  /** What of recoveries from one source was graded, oldest first. */
  gradedOf(source: RecoverySource): readonly Graded[] {
    return this.#calibrations[source].save()
  }

  /** @param memory  what was graded of the memory's recoveries, where another one learns from them */
  save(memory = this.gradedOf('memory')): ConfidenceState {
    const graded = { code: this.gradedOf('code'), memory }
    const { tallies } = this.#agreements
    return confidenceState(this.#criterion, { tallies, graded, spread: this.#deviations.save() })
  }

  /** The first label of a remembered answer: the memory knows some better than others. A parity does not. */
  #label({ answer, source }: Recovered): number | undefined {
    const first = source === 'memory' ? this.#labelled : undefined
    return first && labelAt(outputIn(answer, first), first.right)
  }

  /**
   * What is seen of a recovery. Of a choice: of a remembered one its odds and its margin; of a decoded one variance, margin,
   * height, and how many were missing. Of values, or of several outputs: the odds that all of these are right by the errors to be expected, and its variance or how many were missing.
   */
  #signals(recovered: Recovered): number[] | undefined {
    const { source, answer, variance = 0, missing, odds } = recovered
    if (chooses(this.#criterion)) {
      // Near-duplicates on both sides of a decision border have no margin to speak of, however well they are known.
      if (odds !== undefined) return [Math.min(odds, CERTAIN), recovered.margin ?? lead(answer, this.#criterion).margin]
      const { margin, height } = lead(answer, this.#criterion)
      return [variance, margin, height, missing]
    }
    const each = this.#judged.map((_, i) => this.#oddsOf(i, recovered))
    if (each.includes(undefined)) return undefined
    const within = Math.min(each.length > 1 ? jointOdds(each as number[]) : (each[0] as number), CERTAIN)
    // The odds assume normal errors; those of answers that jump are not normal, and the variance shows by how much.
    return source === 'memory' ? [within, Math.log(Math.max(variance, LEAST_VARIANCE))] : [within, missing]
  }

  /** Log odds that an output is right; undefined until it is known how far off it may be. */
  #oddsOf(
    output: number,
    { answer, source, variance = 0, error, errors = error === undefined ? [] : [error] }: Recovered,
  ) {
    const { right, ...place } = this.#judged[output]
    const expected = errors[output] ?? Math.sqrt(variance) * (this.#spreadOf(output) ?? Number.NaN)
    if (chooses(right)) return choiceLead(outputIn(answer, place), right, expected).odds
    if (right.kind === 'relative') {
      const values = outputIn(answer, place)
      // What is decoded is in units of its own: its error in those of the smallest value.
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
