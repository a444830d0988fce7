/**
 * What would approxifer do for a model? A plain queue, hedges and predictors answer the same queries in simulated time: the real code, with call times that
 * were measured and the model's real answers. All answer the same queries at the same moments, so that a difference between two is no chance of what came.
 */

import { judgedOf, labelAt } from '../base/criterion'
import { mean, median } from '../base/stats'
import type { Core } from '../core/core'
import type { PredictorOptions } from '../predictor/options'
import { numbered, vectors } from './courses'
import { criterionFor, experienceOf, type Rightness } from './experiment'
import { type CallTimes, forecast, type Run, type ServiceFigures } from './forecast'
import { memoryCosts } from './memory-costs'
import type { BatchModel, OwnAnswers, Rows } from './model'
import type { Premise } from './premise'
import { enoughToTell, type Interval, medianInterval, pairedRatio, percent, type Ratio } from './statistics'
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

/** The p99 of one system beside another's: whether it gains a tenth, these queries do not tell. */
export interface Unclear extends Ratio {
  of: TriedPredictor['name']
  beside: 'plain' | 'hedges'
  /** Simulated queries that were counted, and how many would tell; undefined if the gain is a tenth, and none would. */
  queries: number
  wouldTell: number | undefined
}

export interface ModelVerdict {
  premise: Premise
  /** Milliseconds of a call on a worker that does nothing else: the median with its 95 % interval; `here`: the median of all calls on this machine. */
  callMs: { median: number; ci95: Interval; mean: number; here: number }
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
  /** A difference that might change the verdict, and that was not found; undefined if there is none. */
  unclear: Unclear | undefined
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
  /** Undefined: only times are told apart, and no memory is tried. */
  vectors: VectorModel | undefined
  /** For each query 1 if the model's own answer is right, else 0; only without `vectors`. */
  alone: readonly number[] | undefined
  isLabelled: boolean
  whyNotCoded: string | undefined
  seed: number
  /** Share of right answers, 0..1, that may be lost. */
  tolerate: number
  /** Queries that are counted, if the time suffices. Default 4,000. */
  queries?: number
  /** Milliseconds to spend: a quarter of it on answers, the rest on simulated queries. */
  ms: number
  onProgress?: (what: string, done: number, of: number) => void
}

/** Queries that are counted in 18 s, the default: their p99 is the 40th from the top. */
const COUNTED = 4000
const PER_SECOND = COUNTED / 18
/** Queries to count, if these seconds suffice. */
export const queriesIn = (seconds: number) => Math.ceil(PER_SECOND * seconds)
/** Inputs that are asked, and the fewest that tell what a memory gives: half of them teach it. */
const INPUTS = { most: 4000, least: 400 }
/** Percentiles at which a good engineer would hedge: the best one counts. */
const PERCENTILES = [0.8, 0.9, 0.95]
/** A p99 is better if it is at most this share of another: less is no reason for more machinery. */
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
  const others = coded ? candidates(premise) : []
  const said = options.right !== undefined && { right: options.right }
  const systems = [
    plainQueue,
    ...PERCENTILES.map(hedged),
    predictorOf({}, {}),
    ...others.map(({ options: chosen }) => predictorOf({ ...chosen, ...said }, coded?.costs ?? {})),
  ]
  const runs = await forecast(systems, {
    ...{ premise, times, seed: options.seed, queries: options.queries ?? COUNTED },
    course: coded?.course ?? numbered(alone),
    mayRepeat: !coded,
    ms: 0.75 * ms,
    onProgress: (done) => options.onProgress?.('simulated queries', done, options.queries ?? COUNTED),
  })
  const [plain, ...faster] = runs
  const hands = PERCENTILES.map((percentile, i) => ({ run: faster[i], percentile }))
  const { run: byHand, percentile } = hands.reduce((a, b) => (b.run.figures.p99 < a.run.figures.p99 ? b : a))
  const tried = faster.slice(PERCENTILES.length).map((run, i): RanPredictor => {
    const { name, options: chosen } = i ? others[i - 1] : { name: 'hedges' as const, options: {} }
    return { run, name, options: chosen, forecast: run.figures, unfit: unfitness(run.figures, alone.length, tolerate) }
  })
  const { best, worth, unclear } = choose(tried, byHand, plain)
  return {
    premise,
    callMs: callMsOf(times),
    against: options.isLabelled ? 'labels' : 'model',
    alone: mean(alone),
    plain: plain.figures,
    hedged: { ...byHand.figures, percentile },
    tried: tried.map(shown),
    best: shown(best),
    worth,
    unclear,
    whyNotCoded,
  }
}

interface RanPredictor extends TriedPredictor {
  run: Run
}

const shown = ({ run: _, ...tried }: RanPredictor): TriedPredictor => tried

/** A little faster is no reason for more machinery: first nothing, then hedges, then a memory, then a code. */
function choose(
  tried: readonly RanPredictor[],
  byHand: Run,
  plain: Run,
): Pick<ModelVerdict, 'worth' | 'unclear'> & { best: RanPredictor } {
  let unclear: Unclear | undefined
  const isFaster = ({ name, run }: RanPredictor, other: Run, beside: Unclear['beside']) => {
    const { ratio, ci95 } = pairedRatio(run.p99, other.p99)
    const { queries } = run.figures
    if (ci95[0] <= BETTER && ci95[1] > BETTER)
      unclear ??= { of: name, beside, ratio, ci95, queries, wouldTell: enoughToTell(queries, ratio, ci95, BETTER) }
    return ci95[1] <= BETTER
  }
  const [hedges, ...others] = tried.filter(({ unfit }) => !unfit)
  const best = others.reduce((a, b) => (isFaster(b, a.run, 'hedges') ? b : a), hedges)
  if (best !== hedges && isFaster(best, byHand, 'hedges') && isFaster(best, plain, 'plain'))
    return { best, worth: 'approxifer', unclear: undefined }
  if (isFaster(hedges, plain, 'plain') || pairedRatio(byHand.p99, plain.p99).ci95[1] <= BETTER)
    return { best: hedges, worth: 'hedges', unclear }
  return { best: hedges, worth: 'nothing', unclear }
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

function unfitness({ recovered, loss }: ServiceFigures, inputs: number, tolerate: number): string | undefined {
  const [low, high] = loss.ci95
  if (!recovered || high <= tolerate) return undefined
  const lost = `it may lose ${percent(high)} of the right answers`
  const enough = low <= tolerate && loss.mean < tolerate && enoughToTell(inputs, loss.mean, loss.ci95, tolerate)
  return enough ? `${lost}; about ${enough} inputs would tell` : lost
}

function callMsOf({ calls, here }: CallTimes): ModelVerdict['callMs'] {
  return {
    median: median(calls) as number,
    ci95: medianInterval(calls),
    mean: mean(calls),
    here: median(here) as number,
  }
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
