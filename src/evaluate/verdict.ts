/**
 * What would approxifer do for a model? A plain queue, hedges and predictors answer the same queries in simulated time: the real code, with call times that
 * were measured and the model's real answers.
 */

import { judgedOf, labelAt } from '../base/criterion'
import { mean } from '../base/stats'
import type { Core } from '../core/core'
import type { PredictorOptions } from '../predictor/options'
import { numbered, vectors } from './courses'
import { criterionFor, experienceOf, type Rightness } from './experiment'
import { forecast, type ServiceFigures, type StartSystem } from './forecast'
import { memoryCosts } from './memory-costs'
import type { BatchModel, OwnAnswers, Rows } from './model'
import type { Premise } from './premise'
import type { CallTimes } from './replayed-times'
import { percent } from './statistics'
import { hedged, plainQueue, predictorOf } from './systems'

/** Options of `createPredictor` that a verdict speaks of. */
export type ChosenOptions = Pick<PredictorOptions, 'workers' | 'scheme' | 'memory' | 'right'>

/** A predictor that was tried, and what callers got. */
export interface TriedPredictor {
  name: 'hedges' | 'memory' | 'code'
  /** Options of `createPredictor`, besides `model` and `right`. */
  options: ChosenOptions
  forecast: ServiceFigures
  /** Why it is not recommended, however fast; undefined if it may be. */
  unfit: string | undefined
}

export interface ModelVerdict {
  premise: Premise
  /** Milliseconds of a call: the median, and what 99 of 100 calls take at most. */
  callMs: { median: number; mean: number; p99: number }
  /** What answers are compared with: labels, or the model's own answers. */
  against: 'labels' | 'model'
  /** Share of right answers of the model alone; 1 without labels. */
  alone: number
  plain: ServiceFigures
  /** Hedged requests, by hand, at the best of several percentiles. */
  hedged: ServiceFigures & { percentile: number }
  tried: TriedPredictor[]
  /** What to use: of `tried`. */
  best: TriedPredictor
  /** What shortens the tail: a memory or a code, hedges alone, or nothing, since a plain queue is as good. */
  worth: 'approxifer' | 'hedges' | 'nothing'
  /** Why no memory and no code were tried; undefined if they were. */
  whyNotCoded: string | undefined
}

/** The model and its inputs, if they are vectors, which a memory and a code need. */
export interface VectorModel {
  model: BatchModel
  inputs: Rows
  /** Answers are computed when they are needed, and shared with other measurements. */
  own: OwnAnswers
  labels: ArrayLike<number> | undefined
}

export interface VerdictOptions extends Rightness {
  core: Core
  premise: Premise
  times: CallTimes
  /** Calls beside a memory's thread. Default: `times`. */
  besideMemory?: CallTimes | undefined
  /** Undefined: only times are told apart, and no memory is tried. */
  vectors: VectorModel | undefined
  /** For each query 1 if the model's own answer is right, else 0; only without `vectors`. */
  alone: readonly number[] | undefined
  isLabelled: boolean
  whyNotCoded: string | undefined
  seed: number
  /** Share of right answers, 0..1, that may be lost. */
  tolerate: number
  /** Queries that each forecast counts, if the time suffices. Default 4,000. */
  queries?: number
  /** Milliseconds to spend: half of it on answers and on what only takes time, the rest on memory and code. */
  ms: number
  onProgress?: (what: string, done: number, of: number) => void
}

/** Queries that a forecast counts: its p99 then is the 40th from the top. */
const COUNTED = 4000
/** Inputs that are asked, and the fewest that tell what a memory gives: half of them teach it. */
const INPUTS = { most: 4000, least: 400 }
/** Percentiles at which a good engineer would hedge: the best one counts. */
const PERCENTILES = [0.8, 0.9, 0.95]
/** A p99 is better if it is at most this share of another: less is within the noise of a forecast. */
const BETTER = 0.9
/** An interval wider than this says nothing. */
export const WIDEST = 0.3
/** Most queries of a group. */
const MOST_QUERIES = 8

export async function verdictOf(options: VerdictOptions): Promise<ModelVerdict> {
  const { premise, times, vectors: data, tolerate, ms } = options
  const own = data ? await ownAnswers(data, ms / 4, options) : []
  const isShort = data && own.length < INPUTS.least
  const few = `${own.length} inputs are too few to tell: ${INPUTS.least} or more would`
  const slow = `${own.length} answers in ${Math.round(ms / 4000)} s are too few to tell: --seconds ${Math.ceil((INPUTS.least / Math.max(1, own.length)) * (ms / 1000))} would`
  const whyNotCoded = options.whyNotCoded ?? (isShort ? (own.length < data.inputs.length ? slow : few) : undefined)
  const coded = data && !whyNotCoded ? courseOf(data, own, options) : undefined
  const alone =
    options.alone ?? (coded ? own.map((answer, i) => coded.course.right(i, answer, true)) : aloneOf(data, own, options))
  const forecasts = { premise, times, seed: options.seed, queries: options.queries ?? COUNTED }
  const quick = (what: string, start: StartSystem) =>
    forecast(start, {
      ...forecasts,
      course: numbered(alone),
      mayRepeat: true,
      ms: ms / 20,
      onProgress: told(options, what),
    })
  const plain = await quick('plain queue', plainQueue)
  const byHand: ModelVerdict['hedged'][] = []
  for (const percentile of PERCENTILES) byHand.push({ ...(await quick('hedges', hedged(percentile))), percentile })
  const hedges = byHand.reduce((a, b) => (b.p99 < a.p99 ? b : a))
  const tried: TriedPredictor[] = [
    { name: 'hedges', options: {}, forecast: await quick('hedges', predictorOf({}, {})), unfit: undefined },
  ]
  if (coded) {
    for (const { name, options: chosen } of candidates(premise)) {
      const start = predictorOf(
        { ...chosen, ...(options.right !== undefined && { right: options.right }) },
        coded.costs,
      )
      const given = await forecast(start, {
        ...forecasts,
        times: (chosen.memory !== false && options.besideMemory) || times,
        course: coded.course,
        mayRepeat: false,
        ms: ms / 4,
        onProgress: told(options, name),
      })
      tried.push({ name, options: chosen, forecast: given, unfit: unfitness(given, mean(alone), tolerate) })
    }
  }
  const [first, ...others] = tried.filter(({ unfit }) => !unfit)
  // A little faster is no reason for more machinery: hedges come first, then a memory, then a code.
  const fastest = others.reduce((a, b) => (b.forecast.p99 < BETTER * a.forecast.p99 ? b : a), first)
  const worth = worthOf(fastest, hedges, plain)
  return {
    premise,
    callMs: callMsOf(times),
    against: options.isLabelled ? 'labels' : 'model',
    alone: mean(alone),
    plain,
    hedged: hedges,
    tried,
    best: worth === 'approxifer' ? fastest : first,
    worth,
    whyNotCoded,
  }
}

const told =
  ({ onProgress }: VerdictOptions, what: string) =>
  (done: number) =>
    onProgress?.(what, Math.min(done, COUNTED), COUNTED)

function worthOf(
  { name, forecast }: TriedPredictor,
  hedges: ServiceFigures,
  plain: ServiceFigures,
): ModelVerdict['worth'] {
  const least = Math.min(hedges.p99, forecast.p99)
  if (least > BETTER * plain.p99) return 'nothing'
  return name !== 'hedges' && forecast.p99 <= BETTER * hedges.p99 ? 'approxifer' : 'hedges'
}

/** Predictors besides plain hedges. */
function candidates({ workers }: Premise): Pick<TriedPredictor, 'name' | 'options'>[] {
  const queries = Math.min(MOST_QUERIES, workers - 1)
  return [
    { name: 'memory', options: { scheme: { queries: 1 } } },
    ...(queries > 1
      ? [{ name: 'code' as const, options: { scheme: { queries, stragglers: 1 }, memory: false as const } }]
      : []),
  ]
}

/** @param alone  share of right answers of the model alone */
function unfitness({ recovered }: ServiceFigures, alone: number, tolerate: number): string | undefined {
  if (!recovered) return undefined
  const [low, high] = recovered.ci95
  const loss = recovered.ofAll * Math.max(0, alone - low)
  if (loss <= tolerate) return undefined
  if (high - low > WIDEST) return `too few recovered answers (${recovered.count}) to tell: give more inputs`
  return `it may lose ${percent(loss)} of the right answers`
}

function callMsOf({ calls, ownMs, meanMs }: CallTimes): ModelVerdict['callMs'] {
  const sorted = calls.map(({ ms }) => ms).sort((a, b) => a - b)
  return { median: ownMs, mean: meanMs, p99: sorted[Math.ceil(0.99 * (sorted.length - 1))] }
}

/** The model's answers to the first inputs, as many as come in this time, but some in any case. */
async function ownAnswers(
  { inputs, own }: VectorModel,
  ms: number,
  { onProgress }: VerdictOptions,
): Promise<Float32Array[]> {
  const count = Math.min(inputs.length, INPUTS.most)
  const answers: Float32Array[] = []
  for (const start = performance.now(); answers.length < count && performance.now() - start < ms; ) {
    answers.push(...(await own.of([answers.length])))
    if (answers.length % 16 === 0) onProgress?.('the model’s answers', answers.length, count)
  }
  return answers
}

function judgeOf(
  { model, labels }: VectorModel,
  own: readonly Float32Array[],
  { core, right }: VerdictOptions,
  memory: false | undefined,
) {
  const criterion = criterionFor(model, { right })
  const experience = experienceOf(core, model, { criterion, memory })
  for (const answer of own) experience.confidence.observe(answer)
  return { criterion, labels, experience }
}

/** The queries as vectors, and what a memory's thread takes of them. */
function courseOf(data: VectorModel, own: readonly Float32Array[], options: VerdictOptions) {
  const judge = judgeOf(data, own, options, false)
  const pairs = own
    .slice(0, INPUTS.least)
    .map((answer, i) => ({ query: data.inputs.at(i) as Float32Array, own: answer }))
  const costs = memoryCosts(judgeOf(data, [], options, undefined).experience, pairs)
  return { course: vectors(data, own, judge), costs }
}

/** For each query 1 if the model's own answer is right, else 0. */
function aloneOf(data: VectorModel | undefined, own: readonly Float32Array[], options: VerdictOptions): number[] {
  if (!data?.labels) return Array.from({ length: Math.max(1, own.length) }, () => 1)
  const { labels } = data
  const [{ right }] = judgedOf(criterionFor(data.model, options))
  if (right.kind !== 'label') return own.map(() => 1)
  return own.map((answer, i) => Number(labelAt(answer, right) === labels[i]))
}
