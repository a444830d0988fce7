/** What evaluate measured, as tables and sentences for the terminal and the report. */

import type { Codec } from '../codec/codec'
import type { CriterionOptions } from '../criterion'
import type { Progress } from '../evaluate/evaluate'
import { advice, type Candidate, lateSentence, type Wishes, worthOf } from '../evaluate/recommend'
import type { Evaluation } from '../evaluate/scores'
import { percent as percentOf, type Share } from '../evaluate/statistics'
import { sureCells } from '../evaluate/sureness'
import type { Verified } from '../evaluate/verified'
import { table } from './table'
import { wrap } from './terminal'

/** One scheme, measured. */
export interface Result extends Omit<Evaluation, 'drawn' | 'locator'> {
  model: string
  /** What is worth knowing about the model. */
  warnings: readonly string[]
  /** Against labels the shares are accuracies, else agreement with what the model itself answers. */
  against: 'labels' | 'model'
  scheme: Pick<Codec['scheme'], 'queries' | 'stragglers' | 'byzantine' | 'workers' | 'points'>
  code: Codec['code']
  decoder: string
  /** Its name, and with byzantine > 0 what it found. */
  locator: string | ({ name: string } & Evaluation['locator'])
  groups: number
  grouping: string
  minConfidence: number
  attack: string
  seed: number
  seconds: number
}

export const percent = (share: number | undefined) => (share === undefined ? '-' : percentOf(share))
const interval = ([low, high]: readonly [number, number]) => `${percent(low)} to ${percent(high)}`

/** What the shares are, in a word. */
export const quantity = ({ against }: Pick<Result, 'against'>) => (against === 'labels' ? 'accuracy' : 'agreement')

/** What is known before all is measured. @param at  which scheme of several */
export function firstFigures(
  { stage, done, total, figures }: Progress,
  at: string,
  seconds: number,
  { ms, rows }: { ms: number; rows: number },
): string {
  const { alone, decoded, foretold, all, lost } = figures()
  const share = (name: string, part: Share | undefined) =>
    part && `${name} ${percent(part.accuracy)} (${interval(part.ci95)})`
  const parts = [
    `${at}${done} of ${total} ${stage}`,
    `${(ms / rows).toPrecision(2)} ms an answer`,
    share('the model alone', alone),
    ...(stage === 'inputs'
      ? [share('lost queries from the code alone', decoded), share('from memory alone', foretold)]
      : []),
    share('all queries', all),
    share('lost queries only', lost),
  ]
  return `after ${Math.round(seconds)} s: ${parts.filter(Boolean).join('; ')}`
}

export function resultTable(result: Result): string {
  const { accuracy, confidence, locator, rivals } = result
  const { queries, stragglers, byzantine, workers, points } = result.scheme
  const labelled = result.against === 'labels'
  const overhead = `${(workers / queries).toFixed(2)}x; replication ${rivals.replicationWorkers}`
  const within = result.tolerance === undefined ? '' : `, within ${Number(result.tolerance.toPrecision(3))}`
  const rows = table([labelled ? 'accuracy' : `agreement with the model${within}`, '', '95 % interval'])
  const share = (name: string, part?: number, ci95?: readonly [number, number]) =>
    rows.push([name, percent(part), ci95 ? interval(ci95) : ''])
  if (labelled) share('the model alone', accuracy.base)
  const again = result.policy === 'recover' ? '' : `, policy ${result.policy}`
  share(`all queries, ${stragglers} missing, ${byzantine} lying${again}`, accuracy.all, accuracy.allCi95)
  share('lost queries only', accuracy.recovered, accuracy.recoveredCi95)
  share('nothing missing', accuracy.nothingMissing)
  share('worst survivor set', accuracy.worstSet)
  share('no code, lost answers guessed', rivals.guessLost)
  if (rivals.memoryAlone) share('lost queries, memory alone', rivals.memoryAlone.accuracy, rivals.memoryAlone.ci95)
  if (rivals.sumParity) share('lost queries, a sum as parity', rivals.sumParity.accuracy, rivals.sumParity.ci95)
  if (confidence) {
    share('recovered answers that agree with the model', confidence.agreement)
    const [sure, agree] = sureCells(confidence)
    rows.push([`those sure of it (confidence >= ${result.minConfidence})`, sure, ''])
    if (agree) rows.push(['agreement among these', agree, ''])
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
  const title = `${queries} queries on ${workers} workers (${overhead}), code ${result.code}, ${points} nodes`
  return [
    wrap(`${result.model}: ${title}`),
    rows.toString(),
    wrap(`${result.groups} groups, seed ${result.seed}, ${result.seconds.toFixed(1)} s`),
  ].join('\n')
}

/** What verified inference would come to, by integrity. */
export function verifiedTable({ levels, queries, memory, attack }: Verified): string {
  const rows = table(['integrity', 'one worker enough', 'inferences more', `lies that pass (${attack})`])
  for (const { integrity, checked, extra, lies, passed } of levels) {
    rows.push([
      integrity < 1 ? `${integrity}` : '1, all proven',
      percent(checked / queries),
      extra.toFixed(2),
      lies ? `${passed} of ${lies}` : 'no lie changed anything',
    ])
  }
  return `${wrap(`verified inference, a memory of ${memory}, ${queries} queries:`)}\n${rows}`
}

/** What the shares are to be held against. */
export function baseline({ against, accuracy }: Result): string {
  return against === 'labels' ? `The model alone: ${percent(accuracy.base)}` : 'Agreement with the model itself'
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

export function gridTable(results: readonly Result[]): string {
  const rows = table(gridHead)
  for (const result of results) rows.push(gridRow(result))
  const [{ model, code, groups, seed }] = results
  const seconds = results.reduce((sum, result) => sum + result.seconds, 0)
  const last = `${groups} groups each, seed ${seed}, ${seconds.toFixed(1)} s`
  return `${wrap(`${model}, code ${code}. ${baseline(results[0])}`)}\n${rows}\n${wrap(last)}`
}

/** Columns of the candidates, for the terminal and the report. */
export const candidateHead = (result: Result) => [
  'scheme',
  'policy',
  'inferences a query',
  `${quantity(result)} lost, at most`,
  'because',
]

export function candidateRow({ name, policy, cost, loss, why }: Candidate): string[] {
  return [name, policy, cost.toFixed(3), `${(100 * loss).toFixed(2)} points`, why]
}

/** In words: the first candidate, and under which wishes. */
export function verdict(candidates: readonly Candidate[], { tolerate, stragglerRate, retryPrice }: Wishes): string {
  const wishes = `tolerating ${percent(tolerate)}, ${percent(stragglerRate)} of answers late, a retry worth ${retryPrice} inferences`
  return `recommended, ${wishes}: ${advice(candidates)}`
}

export function recommendation(
  result: Result,
  candidates: readonly Candidate[],
  wishes: Wishes & CriterionOptions,
): string {
  const rows = table(candidateHead(result))
  for (const candidate of candidates) rows.push(candidateRow(candidate))
  const { labelAxis, tolerance } = wishes
  const right = [labelAxis && `labelAxis: '${labelAxis}'`, tolerance && `tolerance: ${tolerance}`]
    .filter(Boolean)
    .join()
  const call = `  createPredictor({ ${['model', candidates[0].use, ...(right ? [`right: { ${right} }`] : [])].join(', ')} })`
  const told = [verdict(candidates, wishes), worthOf(candidates), lateSentence(candidates)]
  const lines = told.filter((line) => line !== undefined).map((line) => wrap(line))
  return [...lines, wrap(call, 2), rows].join('\n')
}
