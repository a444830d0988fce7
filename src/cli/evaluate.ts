/** approxifer evaluate: accuracy of coded inference on a model and data of the user's. */

import { basename } from 'node:path'
import { SingleBar } from 'cli-progress'
import { Codec, type CodecOptions } from '../codec/codec'
import { loadCore } from '../core/core'
import { type Evaluation, evaluate } from '../evaluate/evaluate'
import { type Candidate, recommend } from '../evaluate/recommend'
import type { Features } from '../history/memory'
import type { Policy } from '../history/worth'
import { parseAttack } from '../workers/attacks'
import { readModel } from '../workers/local'
import { OnnxModel } from '../workers/onnx'
import { chosenCodec } from './chosen'
import { loadInputs, loadLabels } from './npy'
import { prepareReport, writeReport } from './report'
import { table } from './table'

interface Options extends Omit<CodecOptions, 'core'> {
  inputs: string
  labels: string
  attack: string
  groups: number
  memory: number
  grouping: string
  features?: Features
  policy: Policy
  minConfidence: number
  learn?: number
  /** Queries and stragglers to combine. */
  grid?: { queries: number[]; stragglers: number[] }
  tolerate: number
  stragglerRate: number
  retryPrice: number
  report?: string
  seed: number
  core?: 'wasm' | 'js'
  json?: boolean
}

/** One scheme, measured. */
export interface Result extends Omit<Evaluation, 'groups' | 'locator'> {
  model: string
  scheme: Pick<Codec['scheme'], 'queries' | 'stragglers' | 'byzantine' | 'workers' | 'points'>
  code: Codec['code']
  decoder: string
  /** Its name, and with byzantine > 0 what it found. */
  locator: string | ({ name: string } & Evaluation['locator'])
  groups: number
  grouping: string
  memory: number
  policy: Policy
  minConfidence: number
  attack: string
  seed: number
  seconds: number
}

export async function evaluateCommand(path: string, options: Options): Promise<void> {
  const core = await loadCore({ prefer: options.core })
  const codecs = schemes(options).map((scheme) => new Codec(core, { ...chosenCodec(options), ...scheme }))
  parseAttack(options.attack)
  if (options.report) await prepareReport(options.report)
  const model = await OnnxModel.load(await readModel(path))
  const results: Result[] = []
  try {
    const [first, ...others] = model.signature.inputs
    const shape = others.length ? undefined : first.shape
    const [inputs, labels] = await Promise.all([loadInputs(options.inputs, shape), loadLabels(options.labels)])
    for (const warning of model.warnings) console.error(`approxifer: warning: ${warning}`)
    for (const codec of codecs) results.push(await measure(basename(path), { model, codec, inputs, labels }, options))
  } finally {
    await model.close()
  }
  const candidates = results.some(({ scheme }) => scheme.byzantine) ? [] : recommend(results.map(measurement), options)
  if (options.json) {
    const [only] = results
    console.log(JSON.stringify(options.grid ? { results, candidates } : { ...only, candidates }, null, 2))
  } else {
    console.log(options.grid ? gridTable(results) : resultTable(results[0]))
    if (candidates.length) console.log(`\n${recommendation(candidates, options)}`)
    if (candidates.length && results[0].code === 'berrut') console.log(`\n${HINT}`)
  }
  if (!options.report) return
  await writeReport(options.report, results, candidates, options)
  if (!options.json) console.log(`\nreport: ${options.report}/report.md`)
}

const HINT = `This is the paper's code. The library's default: --code systematic --policy auto --memory 1000`

/** The schemes to measure: one, or all of the grid that are schemes. */
function schemes({ grid, queries, stragglers = 0, workers }: Options) {
  if (grid && workers !== undefined)
    throw new RangeError('workers: expected none with --grid, which has schemes of its own')
  if (!grid) return [{ queries, stragglers }]
  return grid.queries.flatMap((K) => grid.stragglers.map((S) => ({ queries: K, stragglers: S })))
}

async function measure(
  name: string,
  subject: Pick<Parameters<typeof evaluate>[0], 'model' | 'codec' | 'inputs' | 'labels'>,
  options: Options,
): Promise<Result> {
  const start = performance.now()
  const { groups, grouping, memory, policy, minConfidence, attack, seed, features, learn } = options
  const bar = new SingleBar({ format: 'groups {bar} {value}/{total}, {eta} s left', clearOnComplete: true })
  if (process.stderr.isTTY && !options.json) bar.start(groups, 0)
  const settings = { groups, grouping, memory, policy, minConfidence, attack, seed }
  const onProgress = (done: number) => bar.update(done)
  const evaluation = await evaluate({ ...subject, ...settings, features, learn, onProgress }).finally(() => bar.stop())
  const { groups: _, locator, ...rest } = evaluation
  const { codec } = subject
  const { queries, stragglers, byzantine, workers, points } = codec.scheme
  return {
    model: name,
    scheme: { queries, stragglers, byzantine, workers, points },
    code: codec.code,
    decoder: codec.decoder,
    locator: locator ? { name: codec.locator, ...locator } : codec.locator,
    ...settings,
    ...rest,
    seconds: (performance.now() - start) / 1000,
  }
}

const measurement = (result: Result) => ({
  ...result.scheme,
  code: result.code,
  memory: result.memory,
  evaluation: result,
})

export const percent = (share: number | undefined) => (share === undefined ? '-' : `${(100 * share).toFixed(1)} %`)
const interval = ([low, high]: readonly [number, number]) => `${percent(low)} to ${percent(high)}`

function resultTable(result: Result): string {
  const { accuracy, confidence, locator, rivals } = result
  const { queries, stragglers, byzantine, workers, points } = result.scheme
  const overhead = `${(workers / queries).toFixed(2)}x; replication ${rivals.replicationWorkers}`
  const rows = table(['accuracy', '', '95 % interval'])
  const share = (name: string, part?: number, ci95?: readonly [number, number]) =>
    rows.push([name, percent(part), ci95 ? interval(ci95) : ''])
  share('the model alone', accuracy.base)
  share(`all queries, ${stragglers} missing, ${byzantine} lying`, accuracy.all, accuracy.allCi95)
  share('lost queries only', accuracy.recovered, accuracy.recoveredCi95)
  share('nothing missing', accuracy.nothingMissing)
  share('worst survivor set', accuracy.worstSet)
  share('no code, lost answers guessed', rivals.guessLost)
  if (rivals.memoryAlone) share('lost queries, memory alone', rivals.memoryAlone.accuracy, rivals.memoryAlone.ci95)
  if (rivals.sumParity) share('lost queries, a sum as parity', rivals.sumParity.accuracy, rivals.sumParity.ci95)
  if (confidence) {
    share('recovered answers that agree with the model', confidence.agreement)
    share(`those sure of it (confidence >= ${result.minConfidence})`, confidence.sure.share)
    share('agreement among these', confidence.sure.agreement)
    rows.push(['Brier skill over the base rate', confidence.brierSkill.toFixed(3), ''])
    rows.push(['calibration error', confidence.calibrationError.toFixed(3), ''])
  }
  if (result.policy !== 'recover') {
    rows.push([`retries a query (${result.policy})`, result.retriesPerQuery.toFixed(3), ''])
  }
  if (typeof locator === 'object') {
    share(`liars found (${result.attack})`, locator.found)
    share('groups with exactly the liars found', locator.exactSet)
    share('honest groups with somebody accused', locator.falseAlarm)
  }
  return [
    `${result.model}: ${queries} queries on ${workers} workers (${overhead}), code ${result.code}, ${points} nodes`,
    rows.toString(),
    `${result.groups} groups, seed ${result.seed}, ${result.seconds.toFixed(1)} s`,
  ].join('\n')
}

/** Columns of the grid, for the terminal and the report. */
export const gridHead = [
  'K',
  'S',
  'workers',
  'overhead',
  'all',
  '95 %',
  'lost only',
  'nobody late',
  'worst set',
  'guessing',
]

export function gridRow({ scheme, accuracy, rivals }: Result): string[] {
  const { queries, stragglers, workers } = scheme
  const shares = [accuracy.recovered, accuracy.nothingMissing, accuracy.worstSet, rivals.guessLost].map(percent)
  const size = [queries, stragglers, workers].map(String)
  return [...size, `${(workers / queries).toFixed(2)}x`, percent(accuracy.all), interval(accuracy.allCi95), ...shares]
}

function gridTable(results: readonly Result[]): string {
  const rows = table(gridHead)
  for (const result of results) rows.push(gridRow(result))
  const [{ model, code, accuracy, groups, seed }] = results
  const seconds = results.reduce((sum, result) => sum + result.seconds, 0)
  const last = `${groups} groups each, seed ${seed}, ${seconds.toFixed(1)} s`
  return `${model}: ${percent(accuracy.base)} alone, code ${code}\n${rows}\n${last}`
}

/** Columns of the candidates, for the terminal and the report. */
export const candidateHead = ['scheme', 'policy', 'inferences a query', 'accuracy lost, at most', 'because']

export function candidateRow({ name, policy, cost, loss, why }: Candidate): string[] {
  return [name, policy, cost.toFixed(3), `${(100 * loss).toFixed(2)} points`, why]
}

/** In words: the first candidate, and under which wishes. */
export function verdict([best]: readonly Candidate[], { tolerate, stragglerRate, retryPrice }: Options): string {
  const wishes = `tolerating ${percent(tolerate)}, ${percent(stragglerRate)} of answers late, a retry worth ${retryPrice} inferences`
  const advice =
    best.policy === 'retry' ? 'do not code this model: retry instead' : `${best.name}, policy ${best.policy}`
  return `recommended, ${wishes}: ${advice}`
}

function recommendation(candidates: readonly Candidate[], options: Options): string {
  const rows = table(candidateHead)
  for (const candidate of candidates) rows.push(candidateRow(candidate))
  return `${verdict(candidates, options)}\n${rows}`
}

export type { Options as EvaluateCommandOptions }
