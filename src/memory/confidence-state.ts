/** The saved state of `Confidence`; all of it is checked when it is loaded, since it may come from anywhere. */

import { type Criterion, chooses, labelled } from '../base/criterion'
import type { RecoverySource } from '../base/prediction'
import * as saved from '../base/saved'
import type { DeviationState } from '../base/stats'
import { MOST_MISSING, MOST_TALLIES, sources, type Tally } from './agreements'
import { type Graded, WINDOW } from './calibration'
import { savedDeviations } from './deviations'

/** The largest signal in a state: larger signals would have no finite variance. */
const MOST_SIGNAL = 1e100

/** Plain data for `JSON.stringify`. `from` is an index in the list of workers, `kind` the label; -1 means none. */
export interface ConfidenceState {
  criterion: Criterion
  workers: string[]
  agreements: (Omit<Tally, 'from'> & { from: number })[]
  outcomes: Record<RecoverySource, { signals: number[]; right: boolean; kind: number; from: number }[]>
  spread: DeviationState[]
}

/** What `Confidence` learns from. */
interface Learned {
  tallies: readonly Tally[]
  graded: Record<RecoverySource, readonly Graded[]>
  spread: DeviationState[]
}

export function confidenceState(criterion: Criterion, { tallies, graded, spread }: Learned): ConfidenceState {
  const all = [...tallies, ...graded.code, ...graded.memory]
  const workers = [...new Set(all.flatMap(({ from }) => from ?? []))]
  const places = new Map(workers.map((name, i) => [name, i]))
  const placeOf = (from: string | undefined) => (from === undefined ? -1 : (places.get(from) as number))
  const indexed = ({ signals, right, label: kind = -1, from }: Graded) => {
    return { signals: [...signals], right, kind, from: placeOf(from) }
  }
  return {
    criterion: { ...criterion },
    workers,
    agreements: tallies.map((tally) => ({ ...tally, from: placeOf(tally.from) })),
    outcomes: { code: graded.code.map(indexed), memory: graded.memory.map(indexed) },
    spread,
  }
}

/**
 * Checks a saved state and copies it.
 *
 * @param outputs  the number of values in an answer, if it is known
 * @throws RangeError for a state that `confidenceState` never made, or made for another criterion
 */
export function savedConfidence(value: unknown, criterion: Criterion, outputs: number | undefined): Learned {
  const state = saved.object('worth', value, ['criterion', 'workers', 'agreements', 'outcomes', 'spread'])
  saved.same('worth.criterion', criterion, state.criterion)
  const outcomes = saved.object('worth.outcomes', state.outcomes, sources)
  const isChoice = chooses(criterion)
  const workers = savedWorkers(state.workers)
  const labels = labelled(criterion)?.right.classes ?? 0
  return {
    tallies: savedTallies(state.agreements, workers),
    graded: {
      code: savedGraded('worth.outcomes.code', outcomes.code, isChoice ? 4 : 2, 0, workers),
      memory: savedGraded('worth.outcomes.memory', outcomes.memory, 2, labels, workers),
    },
    spread: savedDeviations('worth.spread', state.spread, criterion, outputs),
  }
}

function savedWorkers(value: unknown): string[] {
  const all = saved.list('worth.workers', value, sources.length * WINDOW + MOST_TALLIES)
  const names = all.map((name, i) => saved.text(`worth.workers[${i}]`, name))
  if (new Set(names).size === names.length) return names
  throw saved.refused('worth.workers', 'names that all differ', 'one twice')
}

function savedFrom(field: string, value: unknown, workers: readonly string[]): string | undefined {
  return workers[saved.integer(field, value, -1, workers.length - 1)]
}

/** @param signals  the number of signals of a recovery  @param labels  the number of labels; 0 if answers have none */
function savedGraded(field: string, value: unknown, signals: number, labels: number, workers: string[]): Graded[] {
  return saved.list(field, value, WINDOW).map((each, i) => {
    const at = `${field}[${i}]`
    const graded = saved.object(at, each, ['signals', 'right', 'kind', 'from'])
    const label = saved.integer(`${at}.kind`, graded.kind, Math.min(0, labels - 1), labels - 1)
    return {
      signals: saved.numbers(`${at}.signals`, graded.signals, signals, -MOST_SIGNAL, MOST_SIGNAL),
      right: saved.flag(`${at}.right`, graded.right),
      label: label < 0 ? undefined : label,
      from: savedFrom(`${at}.from`, graded.from, workers),
    }
  })
}

function savedTallies(value: unknown, workers: string[]): Tally[] {
  const seen = new Set<string>()
  return saved.list('worth.agreements', value, MOST_TALLIES).map((each, i) => {
    const field = `worth.agreements[${i}]`
    const tally = saved.object(field, each, ['source', 'missing', 'from', 'graded', 'agreed'])
    const source = saved.word(`${field}.source`, tally.source, sources)
    const missing = saved.integer(`${field}.missing`, tally.missing, 1, MOST_MISSING)
    const from = savedFrom(`${field}.from`, tally.from, workers)
    const key = `${source} ${missing} ${tally.from}`
    if (seen.has(key)) throw saved.refused(field, 'no other of its source, missing and worker', 'another')
    seen.add(key)
    const graded = saved.integer(`${field}.graded`, tally.graded, 1, saved.MOST_COUNT)
    return { source, missing, from, graded, agreed: saved.integer(`${field}.agreed`, tally.agreed, 0, graded) }
  })
}
