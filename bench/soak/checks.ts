/** What has to hold. */

import type { PredictorStats } from 'approxifer'
import type { Callers } from './callers'

export interface Check {
  holds: boolean
  /** "what: expected E, got G" */
  text: string
}

/** Share of checked answers that may have a wrong label: what `integrity`, .95 by default, leaves. */
const UNSURE = 0.05

/**
 * Queries whose deadline has come may be looked up: all together for 20 ms (`LOOKING` in src/memory/learning.ts), a millisecond at a
 * time, between which everything else has its turn.
 */
const OVERTIME_MS = 40

/** Of a predictor that all callers are done with. */
export function checkCallers(callers: Callers, stats: PredictorStats, agreement: number): Check[] {
  const { open, exact, checked, recovered, unverified, failed } = stats
  const { endings, times, agreed } = callers
  const wrong = (endings.checked ?? 0) - (agreed.checked ?? 0)
  return [
    equal('promises that never settled', 0, callers.open),
    equal('promises open after an abort, or seconds after their deadline', 0, callers.overdue),
    atMost('ms of processor time that a promise was open after its deadline', OVERTIME_MS, callers.lateMs),
    equal('ends of queries and attempts that were never told', 0, callers.heard.unended),
    equal('exact answers that are not', 0, callers.altered),
    equal('errors without a reason', '', callers.unforeseen.join('; ')),
    atLeast('share of answers with the label of the bare model', agreement, total(agreed) / times.length),
    atMost('share of checked answers with another label', UNSURE, wrong / (endings.checked || 1)),
    atMost('share of errors among callers with time', 0.005, callers.letDown / callers.asked),
    equal('what the predictor counted', counts(endings), counts({ exact, checked, recovered, unverified, ...failed })),
    equal('endings, and callers refused', callers.asked, total(endings) + callers.refused),
    equal('recoveries given, as events have it', endings.recovered ?? 0, callers.heard.recovered),
    equal('open queries, as the predictor has it', 0, open),
  ]
}

export function equal(what: string, expected: number | string, got: number | string): Check {
  return { holds: expected === got, text: `${what}: expected ${expected || 'none'}, got ${got || 'none'}` }
}

export function atMost(what: string, most: number, got: number): Check {
  return { holds: got <= most, text: `${what}: expected <= ${figure(most)}, got ${figure(got)}` }
}

export function atLeast(what: string, least: number, got: number): Check {
  return { holds: got >= least, text: `${what}: expected >= ${figure(least)}, got ${figure(got)}` }
}

/** "2 ABORTED, 99 exact" */
export function counts(of: Record<string, number>): string {
  const some = Object.entries(of).filter(([, n]) => n)
  return some
    .map(([name, n]) => `${n} ${name}`)
    .sort()
    .join(', ')
}

export const total = (of: Record<string, number>) => Object.values(of).reduce((sum, n) => sum + n, 0)
const figure = (value: number) => String(Number(value.toPrecision(4)))
