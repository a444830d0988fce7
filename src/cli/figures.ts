/** The measurements of `approxifer evaluate` as tables and sentences. */

import { sayRight } from '../base/output-kind'
import type { Codec } from '../codec/codec'
import type { EvaluationProgress, Rightness } from '../evaluate/experiment'
import { advice, type Candidate, lateSentence, type Wishes, worthOf } from '../evaluate/recommend'
import type { Evaluation } from '../evaluate/scores'
import { type Interval, percent as percentOf, type Share, sureCells } from '../evaluate/statistics'
import type { Verified } from '../evaluate/verified'
import { table } from './table'
import { wrap } from './terminal'

export interface Result extends Omit<Evaluation, 'drawn' | 'locator'> {
  model: string
  warnings: readonly string[]
  /** What answers are compared with: the user's labels (a share is then an accuracy), or the model's own answers. */
  against: 'labels' | 'model'
  scheme: Pick<Codec['scheme'], 'queries' | 'stragglers' | 'byzantine' | 'workers' | 'points'>
  code: Codec['code']
  decoder: string
  /** The locator's name and, where byzantine > 0, how many liars it found. */
  locator: string | ({ name: string } & NonNullable<Evaluation['locator']>)
  groups: number
  minConfidence: number
  attack: string
  seed: number
  seconds: number
}

export const percent = (share: number | undefined) => (share === undefined ? '-' : percentOf(share))
const interval = ([low, high]: Interval) => `${percent(low)} to ${percent(high)}`

const quantity = ({ against }: Pick<Result, 'against'>) => (against === 'labels' ? 'accuracy' : 'agreement')

/** A line of intermediate figures, while a measurement runs. @param at  names the scheme, where several are measured; else '' */
export function firstFigures(
  { stage, done, total, figures }: EvaluationProgress,
  at: string,
  seconds: number,
  { ms, rows }: { ms: number; rows: number },
): string {
  const { alone, remembered, all, lost } = figures()
  const share = (name: string, part: Share | undefined) =>
    part && `${name} ${percent(part.accuracy)} (${interval(part.ci95)})`
  const parts = [
    `${at}${done} of ${total} ${stage}`,
    `${(ms / rows).toPrecision(2)} ms an answer`,
    share('the model alone', alone),
    stage === 'inputs' && share('lost queries from the memory alone', remembered),
    share('all queries', all),
    share('lost queries only', lost),
  ]
  return `after ${Math.round(seconds)} s: ${parts.filter(Boolean).join('; ')}`
}

export function resultTable(result: Result): string {
  const { queries, stragglers, byzantine, workers, points } = result.scheme
  const overhead = `${(workers / queries).toFixed(2)}x; replication ${result.rivals.replicationWorkers}`
  const within = result.tolerance === undefined ? '' : `, within ${Number(result.tolerance.toPrecision(3))}`
  const quantity = result.against === 'labels' ? 'accuracy' : `agreement with the model${within}`
  const rows = table([quantity, '', '95 % interval'])
  rows.push(...accuracyRows(result, `${stragglers} missing, ${byzantine} lying`), ...confidenceRows(result))
  if (result.policy !== 'recover') {
    rows.push([`retries a query (${result.policy})`, result.retriesPerQuery.toFixed(3), ''])
  }
  if (typeof result.locator === 'object') rows.push(...locatorRows(result.attack, result.locator))
  const title = `${queries} queries on ${workers} workers (${overhead}), code ${result.code}, ${points} nodes`
  return [
    wrap(`${result.model}: ${title}`),
    rows.toString(),
    wrap(`${result.groups} groups, seed ${result.seed}, ${result.seconds.toFixed(1)} s`),
  ].join('\n')
}

/** How often each output of a model with several outputs is right in recovered answers. */
export function outputRows(outputs: Result['outputs'] = []): string[][] {
  return outputs.map(({ name, right, tolerance, agreement }) => {
    const kind = right === 'tolerance' ? `within ${Number(tolerance?.toPrecision(3))}` : right
    return [`  recovered ${name}, ${kind}`, percent(agreement), '']
  })
}

const shareRow = (name: string, share?: number, ci95?: Interval) => [name, percent(share), ci95 ? interval(ci95) : '']

function accuracyRows({ accuracy, outputs, rivals, policy, against }: Result, losses: string): string[][] {
  const { memoryAlone, sumParity } = rivals
  const under = policy === 'recover' ? '' : `, policy ${policy}`
  return [
    ...(against === 'labels' ? [shareRow('the model alone', accuracy.base)] : []),
    shareRow(`all queries, ${losses}${under}`, accuracy.all, accuracy.allCi95),
    shareRow('lost queries only', accuracy.recovered, accuracy.recoveredCi95),
    ...outputRows(outputs),
    shareRow('nothing missing', accuracy.nothingMissing),
    shareRow('worst survivor set', accuracy.worstSet),
    shareRow('no code, lost answers guessed', rivals.guessLost),
    ...(memoryAlone ? [shareRow('lost queries, memory alone', memoryAlone.accuracy, memoryAlone.ci95)] : []),
    ...(sumParity ? [shareRow('lost queries, a sum as parity', sumParity.accuracy, sumParity.ci95)] : []),
  ]
}

function confidenceRows({ confidence, minConfidence }: Result): string[][] {
  if (!confidence) return []
  const [sure, agree] = sureCells(confidence)
  return [
    shareRow('recovered answers that agree with the model', confidence.agreement),
    [`those sure of it (confidence >= ${minConfidence})`, sure, ''],
    ...(agree ? [['agreement among these', agree, '']] : []),
    ['Brier skill over the base rate', confidence.brierSkill.toFixed(3), ''],
    ['calibration error', confidence.calibrationError.toFixed(3), ''],
  ]
}

function locatorRows(attack: string, { found, exactSet, falseAlarm }: NonNullable<Evaluation['locator']>): string[][] {
  return [
    shareRow(`liars found (${attack})`, found),
    shareRow('groups with exactly the liars found', exactSet),
    shareRow('honest groups with somebody accused', falseAlarm),
  ]
}

/** What verified inference would cost at each level of the option `integrity`, and how many lies would pass. */
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

function gridRow({ scheme, accuracy, rivals }: Result): string[] {
  const { queries, stragglers, workers } = scheme
  const shares = [accuracy.recovered, accuracy.nothingMissing, accuracy.worstSet, rivals.guessLost].map(percent)
  const size = [queries, stragglers, workers].map(String)
  return [...size, `${(workers / queries).toFixed(2)}x`, percent(accuracy.all), interval(accuracy.allCi95), ...shares]
}

export function gridTable(results: readonly Result[]): string {
  const sizes = ['K', 'S', 'workers', 'overhead']
  const rows = table([...sizes, 'all', '95 %', 'lost only', 'nobody late', 'worst set', 'guessing'])
  for (const result of results) rows.push(gridRow(result))
  const [{ model, code, groups, seed, against, accuracy }] = results
  const seconds = results.reduce((sum, result) => sum + result.seconds, 0)
  const last = `${groups} groups each, seed ${seed}, ${seconds.toFixed(1)} s`
  const baseline =
    against === 'labels' ? `The model alone: ${percent(accuracy.base)}` : 'Agreement with the model itself'
  return `${wrap(`${model}, code ${code}. ${baseline}`)}\n${rows}\n${wrap(last)}`
}

export function recommendation(result: Result, candidates: readonly Candidate[], wishes: Wishes & Rightness): string {
  const rows = table(['scheme', 'policy', 'inferences a query', `${quantity(result)} lost, at most`, 'because'])
  for (const { name, policy, cost, loss, why } of candidates)
    rows.push([name, policy, cost.toFixed(3), `${(100 * loss).toFixed(2)} points`, why])
  const right = wishes.right === undefined ? [] : [`right: ${sayRight(wishes.right)}`]
  const call = `  createPredictor({ ${['model', candidates[0].use, ...right].join(', ')} })`
  const { tolerate, stragglerRate, retryPrice } = wishes
  const given = `tolerating ${percent(tolerate)}, ${percent(stragglerRate)} of answers late, a retry worth ${retryPrice} inferences`
  const verdict = `recommended, ${given}: ${advice(candidates)}`
  const sentences = [verdict, worthOf(candidates), lateSentence(candidates)]
  const lines = sentences.filter((line) => line !== undefined).map((line) => wrap(line))
  return [...lines, wrap(call, 2), rows].join('\n')
}
