/** `approxifer evaluate --code` with several codes, or with a user's own: one table of all, on the same groups. */

import type { CodeFigures, CodesCompared } from '../evaluate/compare-codes'
import type { Difference, Interval } from '../evaluate/statistics'
import { table } from './table'
import { wrap } from './terminal'

/** What was measured, for the title and for JSON. */
export interface CodesMeasured extends CodesCompared {
  model: string
  warnings: readonly string[]
  against: 'labels' | 'model'
  queries: number
  stragglers: number
  byzantine: number
  groups: number
  attack: string
  seed: number
  seconds: number
}

const percent = (share: number | undefined) => (share === undefined ? '-' : (100 * share).toFixed(1))
const points = (share: number) => `${share < 0 ? '' : '+'}${(100 * share).toFixed(2)}`
const between = ([low, high]: Interval, shown: (share: number) => string) => `[${shown(low)} to ${shown(high)}]`
const difference = (over: Difference | undefined) => (over ? `${points(over.mean)} ${between(over.ci95, points)}` : '')

/** All figures in %, differences in points. */
export function codesTable(measured: CodesMeasured): string {
  const { codes, base, tolerance, against, queries, stragglers, byzantine, groups, attack, seed } = measured
  const head = ['code', 'workers', 'all, 95 %', 'minus ours', 'minus the paper’s', 'lost only', 'nothing missing']
  const rows = table([...head, 'worst set', ...(byzantine ? ['liars found: share, all'] : [])])
  for (const each of codes) rows.push(row(each, byzantine))
  const within = tolerance === undefined ? '' : `, within ${Number(tolerance.toPrecision(3))}`
  const quantity =
    against === 'labels' ? `accuracy; the model alone ${percent(base)} %` : `agreement with the model${within}`
  const liars = byzantine ? ` and ${byzantine} lying (${attack})` : ''
  return [
    wrap(
      `${measured.model}: ${queries} queries, ${stragglers} missing${liars}; ${quantity}; in %, differences in points`,
    ),
    rows.toString(),
    wrap(`${groups} groups, the same for all codes; seed ${seed}, ${measured.seconds.toFixed(1)} s`),
  ].join('\n')
}

function row({ kind, code, workers, overhead, accuracy, locator, overOurs, overPaper }: CodeFigures, liars: number) {
  const name = { ours: `ours: ${code}`, paper: `the paper’s: ${code}`, chosen: code, module: code }[kind]
  const found = locator ? `${percent(locator.found)}, ${percent(locator.exactSet)}` : 'no locator'
  return [
    name,
    `${workers} (${overhead.toFixed(2)}x)`,
    `${percent(accuracy.all)} ${between(accuracy.allCi95, percent)}`,
    ...[overOurs, overPaper].map(difference),
    ...[accuracy.recovered, accuracy.nothingMissing, accuracy.worstSet].map(percent),
    ...(liars ? [found] : []),
  ]
}
