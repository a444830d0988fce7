/** approxifer evaluate: what approxifer would do for this model, in milliseconds and in right answers, and what to type next. */

import { basename } from 'node:path'
import { labelAt } from '../base/criterion'
import { type OutputKind, sayRight } from '../base/output-kind'
import { tensorsOf, vectorOf } from '../base/payload'
import { median } from '../base/stats'
import { rowShape, type TensorList } from '../base/tensor'
import { loadCore } from '../core/load'
import { checkLabels, criterionFor, type Rightness } from '../evaluate/experiment'
import type { CallTimes, ServiceFigures } from '../evaluate/forecast'
import { OwnAnswers } from '../evaluate/model'
import { lateMsOf } from '../evaluate/premise'
import type { Interval } from '../evaluate/statistics'
import {
  type ChosenOptions,
  type ModelVerdict,
  queriesIn,
  type TriedPredictor,
  type Unclear,
  verdictOf,
  WIDEST,
} from '../evaluate/verdict'
import { abilitiesOf } from '../predictor/abilities'
import { asBatch, type OnnxModel } from '../workers/onnx/model'
import { readModel } from '../workers/onnx/model-file'
import { measureCalls, type Queries } from './call-times'
import { doubtsIn } from './doubts'
import { percent } from './figures'
import { loadModel, type ModelOptions } from './files'
import { InputFile, loadLabels, loadTensors } from './npy'
import { ProgressBar } from './progress'
import { table } from './table'
import { note, width, wrap } from './terminal'

export interface VerdictArguments extends ModelOptions, Rightness {
  inputs: string
  labels?: string
  /** Workers of the pool that the verdict is about. */
  pool: number
  load: number
  stragglerRate: number
  /** Milliseconds. */
  late?: number
  tolerate: number
  /** About how long it may take. */
  seconds: number
  seed: number
  core?: 'wasm' | 'js'
  json?: boolean
  /** Whether tables follow. */
  all?: boolean
}

/** A verdict with what was measured for it. */
export interface Found {
  verdict: ModelVerdict
  times: CallTimes
  /** Options of `createPredictor` that the verdict recommends, besides `model`. */
  use: ChosenOptions
  /** The flag --right to say, and why; undefined if all outputs can be read. */
  unread: { flag: string; why: string } | undefined
}

/** Shares of the time that measuring the calls takes; the rest is for answers and forecasts. */
const CALLS = 0.3
/** A longer run is not proposed. */
const MOST_SECONDS = 3600

/** @returns what --json prints; with `all` the caller prints it, with its own figures */
export async function verdictCommand(path: string, options: VerdictArguments): Promise<object> {
  const progress = new ProgressBar(!options.json)
  try {
    const found = await findVerdict(path, options, progress)
    progress.stop()
    const name = basename(path)
    const whole = { model: name, ...shown(found) }
    if (!options.json) console.log(`${verdictText(name, found, options)}${options.all ? '\n' : ''}`)
    else if (!options.all) console.log(JSON.stringify(whole, null, 2))
    return whole
  } finally {
    progress.stop()
  }
}

const shown = ({ verdict, use, unread }: Found) => ({ verdict, use, ...(unread && { say: unread }) })

/** Measures a model, and reckons what would become of it. */
export async function findVerdict(path: string, options: VerdictArguments, progress: ProgressBar): Promise<Found> {
  const model = await loadModel(path, await readModel(path), options)
  let inputs: InputFile | undefined
  try {
    const { why } = abilitiesOf(model, options.right)
    if (!why) inputs = await InputFile.open(options.inputs, rowShape(model.signature.inputs))
    const queries = inputs ? rowsOf(inputs, model) : await tensorsIn(options.inputs, model)
    const labels = options.labels === undefined ? undefined : await loadLabels(options.labels)
    if (labels) checkLabels(labels, queries.length, criterionFor(model, options))
    return await judged(path, model, { inputs, queries, labels, why }, options, progress)
  } finally {
    await Promise.all([inputs?.close(), model.close()])
  }
}

interface Material {
  /** Where queries are vectors. */
  inputs: InputFile | undefined
  queries: Queries
  labels: number[] | undefined
  /** Why the model cannot be coded. */
  why: string | undefined
}

async function judged(
  path: string,
  model: OnnxModel,
  { inputs, queries, labels, why }: Material,
  options: VerdictArguments,
  progress: ProgressBar,
): Promise<Found> {
  const { pool, load, stragglerRate, late, right, seed, tolerate, seconds, inputShapes, outputs } = options
  const total = 1000 * seconds
  if (!options.json) note(`${basename(path)}: measuring calls, then simulating ${pool} workers ...`)
  progress.expect(seconds)
  progress.start('calls of a worker', CALLS * total)
  const times = await measureCalls({ model: path, inputShapes, outputs }, queries, CALLS * total, (passed) =>
    progress.update(Math.round(passed)),
  )
  const lateMs = late ?? lateMsOf(median(times.calls) as number)
  const premise = { workers: pool, load, stragglerRate, lateMs }
  const { right: kinds } = abilitiesOf(model, right)
  const unread = inputs && doubtsIn(model.signature.outputs, kinds, answersIn(times))
  const verdict = await verdictOf({
    ...{ core: await loadCore({ prefer: options.core }), premise, times, right, seed, tolerate },
    vectors: inputs && { model, inputs, own: new OwnAnswers(model, inputs), labels },
    alone: inputs ? undefined : aloneOf(await answersFor(model, queries, times, labels && total / 4), kinds, labels),
    isLabelled: labels !== undefined,
    whyNotCoded: why ?? (unread && 'nothing tells when a recovered answer would be right'),
    ms: (1 - CALLS) * total,
    queries: queriesIn(seconds),
    onProgress: shownBy(progress, seconds),
  })
  const said = right === undefined ? {} : { right }
  return { verdict, times, unread, use: { workers: pool, ...verdict.best.options, ...said } }
}

const answersIn = ({ answers }: CallTimes) => [...answers.values()].map(vectorOf)

/** @param seconds  what the run was given: it takes longer only where the least that tells does */
function shownBy(progress: ProgressBar, seconds: number) {
  let stage = ''
  return (what: string, done: number, of: number) => {
    if (what !== stage) progress.start(what, of)
    stage = what
    if (done) progress.update(done, progress.seconds < seconds ? seconds - progress.seconds : undefined)
  }
}

const rowsOf = (inputs: InputFile, { signature }: OnnxModel): Queries => ({
  length: inputs.length,
  at: (index) => tensorsOf(inputs.at(index) as Float32Array, signature.inputs),
})

/** Queries of a model that takes other things than vectors: a file for each input. @param files  NAME=FILE,.. or, for one input, FILE */
async function tensorsIn(files: string, { signature: { inputs } }: OnnxModel): Promise<Queries> {
  const named = new Map(inputs.length === 1 && !files.includes('=') ? [[inputs[0].name, files]] : entriesOf(files))
  const names = inputs.map(({ name }) => name)
  if (named.size !== inputs.length || !names.every((name) => named.has(name)))
    throw new RangeError(`--inputs: expected ${names.map((name) => `${name}=FILE`).join(',')}, got ${files}`)
  const columns = await Promise.all(inputs.map((spec) => loadTensors(named.get(spec.name) as string, spec)))
  const [{ length }] = columns
  const odd = columns.find((column) => column.length !== length)
  if (odd) throw new RangeError(`--inputs: expected as many rows in each file, got ${length} and ${odd.length}`)
  return { length, at: (row): TensorList => columns.map((column) => column.at(row)) }
}

function entriesOf(files: string): [name: string, file: string][] {
  return files.split(',').map((entry) => {
    const at = entry.indexOf('=')
    return [entry.slice(0, Math.max(0, at)), entry.slice(at + 1)]
  })
}

/** The workers' answers and, where answers have labels, the model's to as many other queries as come in this time: a few hundred tell little. */
async function answersFor(model: OnnxModel, queries: Queries, { answers }: CallTimes, ms = 0) {
  const all = new Map(answers)
  const until = performance.now() + ms
  for (let i = 0; i < queries.length && performance.now() < until; i++) {
    const query = queries.at(i)
    if (!all.has(i)) all.set(i, await model.run(model.signature.batched === false ? query : query.map(asBatch)))
  }
  return all
}

/** For each query that was asked, 1 if the model's own answer is right, else 0. */
function aloneOf(
  answers: ReadonlyMap<number, TensorList>,
  [{ right }]: readonly OutputKind[],
  labels: number[] | undefined,
): number[] {
  const all = [...answers]
  if (!labels || right.kind !== 'label' || !all.every(([, [first]]) => first.data.length === right.classes))
    return all.map(() => 1)
  return all.map(([index, [first]]) => Number(labelAt(first.data as Float32Array, right) === labels[index]))
}

/** At most 16 lines of 80 columns. */
export function verdictText(name: string, found: Found, options: Pick<VerdictArguments, 'late' | 'seconds'>): string {
  const { verdict, unread } = found
  const { premise, callMs, plain, hedged, tried, against } = verdict
  const rows = table(['', 'p50 ms', 'p99 ms', '95 %', against === 'labels' ? 'right' : 'as the model', '95 %', 'calls'])
  rows.push(rowOf('a plain queue', plain), rowOf(`hedged by hand at p${100 * hedged.percentile}`, hedged))
  for (const each of tried) rows.push(rowOf(NAMES[each.name](each.options), each.forecast))
  const late = `${share(premise.stragglerRate)} of answers ${milliseconds(premise.lateMs)} ms late`
  const flags = `--pool ${premise.workers} --load ${premise.load} --straggler-rate ${premise.stragglerRate} --late ${options.late ?? milliseconds(premise.lateMs)}`
  const took = `${milliseconds(callMs.median)} ms a call (${range(callMs.ci95, milliseconds)}) idle`
  return [
    say(`${name}: ${took}; ${milliseconds(callMs.here)} on this machine now`),
    say(`supposed: ${premise.workers} workers, busy ${share(premise.load)} of the time, ${late} (${flags})`),
    rows.toString(),
    say(othersSentence([plain, hedged, ...tried.map(({ forecast }) => forecast)])),
    ...[notCodedSentence(found) ?? recoveredSentence(tried)].flatMap((text) => (text ? [say(text)] : [])),
    say(`verdict: ${sentenceOf(verdict, options.seconds)}`),
    say(`next: ${callOf(found)}`),
    ...(unread ? [] : [say('--all has the tables: codes, recovered answers, reuse')]),
  ].join('\n')
}

const say = (text: string) => wrap(text, 2, Math.min(80, width()))
const share = (part: number) => `${Number((100 * part).toPrecision(3))} %`

const NAMES: Record<TriedPredictor['name'], (options: ChosenOptions) => string> = {
  hedges: () => 'approxifer, hedges',
  memory: () => 'approxifer, a memory',
  code: ({ scheme }) => `approxifer, code K = ${scheme?.queries}`,
}

const milliseconds = (ms: number) =>
  ms < 0.995 ? ms.toFixed(2) : ms < 99.5 ? `${Number(ms.toPrecision(3))}` : ms.toFixed(0)

const range = ([low, high]: Interval, said: (value: number) => string) =>
  said(low) === said(high) ? said(low) : `${said(low)}-${said(high)}`

function rowOf(name: string, { p50, p99, right, inferences, ci95 }: ServiceFigures): string[] {
  const ofRight = range(right.ci95, (part) => `${Number((100 * part).toFixed(1))}`)
  const tail = [milliseconds(p99), range(ci95.p99, milliseconds)]
  return [name, milliseconds(p50), ...tail, percent(right.accuracy), ofRight, inferences.toFixed(2)]
}

/** How far the figures without an interval of their own may be off: these are narrow, and the widest stands for all. */
function othersSentence(all: readonly ServiceFigures[]): string {
  const widest = (halfOf: (each: ServiceFigures) => number) => Math.max(...all.map(halfOf))
  const p50 = widest(({ p50, ci95: { p50: ci } }) => (ci[1] - ci[0]) / 2 / p50)
  const calls = widest(({ ci95: { inferences: ci } }) => (ci[1] - ci[0]) / 2)
  return `95 %: over ${all[0].queries} simulated queries; p50 within ${Math.ceil(100 * p50)} %, calls within ${calls.toFixed(2)}`
}

/** How good recovered answers are, of the memory or else of the code. */
function recoveredSentence(tried: readonly TriedPredictor[]): string | undefined {
  const each = tried.find(({ name, forecast }) => name === 'memory' && forecast.recovered)
  const { recovered } = each?.forecast ?? {}
  if (!recovered) return undefined
  const { accuracy, ofAll, count, ci95 } = recovered
  const given = `from the memory: ${percent(ofAll)} of the answers`
  const [low, high] = ci95
  if (high - low > WIDEST) return `${given}: too few (${count}) to tell how many are right; more inputs would`
  return `${given}, ${percent(accuracy)} right (${percent(low)} to ${percent(high)})`
}

function notCodedSentence({ verdict: { whyNotCoded, tried }, unread }: Found): string | undefined {
  if (unread) return `no memory and no code were tried: ${unread.why}. Say for example ${unread.flag}`
  if (whyNotCoded) return `no memory and no code were tried: ${whyNotCoded}`
  const memory = tried.find(({ name, unfit }) => name === 'memory' && unfit)
  return memory && `the memory is not recommended: ${memory.unfit}`
}

/** @param seconds  what the run was given */
function sentenceOf(verdict: ModelVerdict, seconds: number): string {
  const { best, worth, plain, hedged, unclear, whyNotCoded } = verdict
  const p99 = (each: ServiceFigures) => milliseconds(each.p99)
  const { forecast, name } = best
  if (worth === 'nothing')
    return unclear
      ? unclearSentence(unclear, seconds)
      : `do not use approxifer here: a plain queue is as good (p99 ${p99(plain)} ms)`
  const other = unclear
    ? `. Beside these ${unclearSentence(unclear, seconds)}`
    : '. A memory or a code adds nothing here'
  if (worth === 'hedges')
    return `hedges suffice: p99 ${p99(forecast)} ms instead of ${p99(plain)}; by hand ${p99(hedged)}${whyNotCoded ? '' : other}`
  const lost = forecast.loss.mean
  const price = lost > 0.0005 ? `for ${percent(lost)} of the right answers` : 'with as many right answers'
  return `use a ${name}: p99 ${p99(forecast)} ms instead of ${p99(plain)}, or ${p99(hedged)} hedged by hand, ${price}`
}

const OTHERS = { plain: 'a plain queue', hedges: 'hedges', memory: 'a memory', code: 'a code' }

function unclearSentence({ of, beside, ci95, queries, wouldTell }: Unclear, given: number): string {
  const seconds = wouldTell && Math.ceil((given * wouldTell) / queries)
  const enough =
    seconds && seconds < MOST_SECONDS
      ? `about ${wouldTell} simulated queries would tell (--seconds ${seconds})`
      : 'no number of queries would tell soon'
  const times = ci95.map((ratio) => ratio.toFixed(2)).join(' to ')
  return `no difference found: p99 with ${OTHERS[of]} is ${times} times that of ${OTHERS[beside]}; ${enough}`
}

function callOf({ verdict: { worth }, use }: Found): string {
  const { workers, scheme, memory, right } = use
  const options = [
    'model',
    `workers: ${workers}`,
    ...(scheme
      ? [
          `scheme: { ${Object.entries(scheme)
            .map(([key, value]) => `${key}: ${value}`)
            .join(', ')} }`,
        ]
      : []),
    ...(memory === false ? ['memory: false'] : []),
    ...(right === undefined ? [] : [`right: ${sayRight(right)}`]),
  ]
  return worth === 'nothing' ? 'nothing to install' : `createPredictor({ ${options.join(', ')} })`
}
