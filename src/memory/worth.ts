/** What recovered answers are worth: how often they agree with the model's own, as late answers tell. */

import { checkWord } from '../check'
import type { Core } from '../core/core'
import { type Criterion, labelAt, lead, sameLabels } from '../criterion'
import * as saved from '../saved'
import {
  DEVIATION_WINDOW,
  type DeviationState,
  RunningDeviation,
  rmsDifference,
  savedDeviation,
  wilson,
} from '../stats'
import { allFinite } from '../tensor'
import { type Anchor, Calibration, type Outcome, sigmoid, WINDOW } from './calibration'
import { CERTAIN, withinOdds } from './odds'
import { LEAST_VARIANCE } from './regression'

/**
 * What becomes of a query whose answer is missing. `recover`: what is recovered is given. `retry`: another worker is asked, at
 * once where the first one failed, from a budget where it is late; exact, or an error. `auto`: recover where the
 * confidence is enough, else retry.
 */
export type Policy = 'recover' | 'retry' | 'auto'

export const policies: readonly Policy[] = ['recover', 'retry', 'auto']

/** @throws TypeError, RangeError for what is no policy, or one that takes single answers for proven where somebody may lie */
export function checkPolicy(policy: Policy, byzantine: number): Policy {
  checkWord('policy', policy, policies)
  if (policy === 'recover' || !byzantine) return policy
  const where = 'byzantine > 0, where one answer proves nothing'
  throw new RangeError(`policy: expected 'recover' with ${where}, got '${policy}'`)
}

/** The policy where none is chosen: an exact answer may be asked for again where there are any, and nobody lies. */
export function defaultPolicy(code: string, byzantine: number): Policy {
  return code === 'systematic' && !byzantine ? 'auto' : 'recover'
}

/** What a recovered answer was recovered from: the answers to the group's other rows, or remembered ones. */
export type Source = 'code' | 'memory'

const sources: readonly Source[] = ['code', 'memory']

export interface Recovered {
  answer: Float32Array
  source: Source
  /** How many queries of the group had no answer of their own. */
  missing: number
  /** In units of the answers' own, where the decoder knows. */
  variance?: number | undefined
  /** Root mean square error of its values to be expected, by its source's own reckoning. */
  error?: number | undefined
  /** Log odds that its label is right, by its source's own reckoning; undefined where there is no label. */
  odds?: number | undefined
}

/** What a query can get in place of its own answer: the surest recovery, and all that there were to choose from. */
export interface Surest {
  recovery: Recovered
  confidence: number | undefined
  all: readonly Recovered[]
}

/**
 * The surest recovery of one query: what was decoded, unless no parity tells of the query and the memory does, or what the
 * memory says.
 *
 * @param mixed  whether a parity tells of it
 * @param worth  what was learned of recoveries; without it the first is taken, of a confidence that is not known
 * @returns undefined where nothing finite was recovered
 */
export function surestOf(
  decoded: readonly Recovered[],
  remembered: Omit<Recovered, 'missing'> | undefined,
  { mixed, missing }: { mixed: boolean; missing: number },
  worth: Pick<Worth, 'surest'> | undefined,
): Surest | undefined {
  const told = remembered ? [...(mixed ? decoded : []), { ...remembered, missing }] : decoded
  const all = told.filter(({ answer }) => allFinite(answer))
  if (!all.length) return undefined
  return { all, ...(worth?.surest(all) ?? { recovery: all[0], confidence: undefined }) }
}

/** A memory that gives a stranger one chance in ten knows that much of it, whatever its late answers were like. */
function stranger({ kind }: Criterion): Anchor {
  const odds = Math.log(1 / 9)
  return { signals: [odds, kind === 'label' ? 0 : Math.log(1)], probability: 0.1 }
}

/** Signals beyond this would have no finite variance. */
const MOST_SIGNAL = 1e100

/** Queries of a group that can be missing. */
const MOST_MISSING = 1000

/** The tolerance where none is stated, over the standard deviation of the model's answers. */
const TOLERATED = 0.1

/** How often recovered answers were right: had the label that the model itself would have given, or lay within the tolerance. */
export interface Agreement {
  source: Source
  missing: number
  /** Recoveries whose own answer came later. */
  graded: number
  /** Those of them that were right. */
  agreed: number
  /** Wilson's 95 % interval of agreed / graded. */
  ci95: [low: number, high: number]
}

/** Agreements by the worker whose late answers told; undefined where that is not known. */
interface Tally extends Pick<Agreement, 'source' | 'missing' | 'graded' | 'agreed'> {
  from: string | undefined
}

/** Tallies that are kept; beyond them whose the older half were is forgotten. */
const MOST_TALLIES = 2 * sources.length * MOST_MISSING

/** As it is saved: with its worker's place in the list of workers, -1 where that is not known. */
type Indexed<T extends { from?: string | undefined }> = Omit<T, 'from'> & { from: number }

/** Plain data, for `JSON.stringify`. */
export interface WorthState {
  criterion: Criterion
  workers: string[]
  agreements: Indexed<Tally>[]
  /** A kind of -1: none. */
  outcomes: Record<Source, (Indexed<Outcome> & { kind: number })[]>
  spread: DeviationState
}

export class Worth {
  readonly #criterion: Criterion
  #tallies: Tallies
  readonly #calibrations: Record<Source, Calibration>
  #spread: RunningDeviation

  /**
   * @param criterion  when a recovered answer is right
   * @param state      of `save`
   * @param outputs    values in an answer; default: as many as the state was learned from
   * @throws RangeError for a state that was learned with another criterion (what was right then may be wrong now), or is none
   */
  constructor(core: Core, criterion: Criterion, state?: WorthState, outputs?: number) {
    const learned = state === undefined ? undefined : savedWorth(state, criterion, outputs)
    this.#criterion = criterion
    this.#tallies = tallied(learned?.tallies ?? [])
    this.#calibrations = {
      code: new Calibration(core, learned?.outcomes.code),
      memory: new Calibration(core, learned?.outcomes.memory, stranger(criterion)),
    }
    this.#spread = new RunningDeviation(learned?.spread)
  }

  /**
   * The probability that a recovered answer is right. Until enough late answers came it is what the source itself reckons,
   * if it does, else undefined.
   */
  confidence(recovered: Recovered): number | undefined {
    const signals = this.#signals(recovered)
    if (!signals?.every(Number.isFinite)) return undefined
    const own = (recovered.odds ?? recovered.error) === undefined ? undefined : sigmoid(signals[0])
    return this.#calibrations[recovered.source].probability(signals, this.#kind(recovered)) ?? own
  }

  /** How far off an answer without a label may be; undefined where there are labels, or until it was learned. */
  get tolerance(): number | undefined {
    if (this.#criterion.kind === 'label') return undefined
    const { deviation } = this.#spread
    return this.#criterion.tolerance ?? (deviation && TOLERATED * deviation)
  }

  /** Takes one of the model's own answers: how much they differ says what is a large error. */
  see(own: Float32Array): void {
    if (this.#criterion.kind === 'tolerance') this.#spread.add(own)
  }

  /** Whether a recovered answer is right; undefined until it is known how far off it may be. */
  agrees(answer: Float32Array, own: Float32Array): boolean | undefined {
    if (this.#criterion.kind === 'label') return sameLabels(answer, own, this.#criterion)
    const { tolerance } = this
    return tolerance === undefined ? undefined : rmsDifference(answer, own) <= tolerance
  }

  /** The surest of several recoveries of one query. */
  surest<T extends Recovered>(all: readonly T[]): { recovery: T; confidence: number | undefined } {
    const rated = all.map((recovery) => ({ recovery, confidence: this.confidence(recovery) }))
    return rated.reduce((best, each) => ((each.confidence ?? -1) > (best.confidence ?? -1) ? each : best))
  }

  /**
   * Which queries of a group to ask for twice: the `copies` that the memory is least sure of, if that saves more lost
   * answers than parities of all would, by how often those agreed so far.
   *
   * @param remembered  what the memory says of each query
   * @returns their positions; undefined where parities of all are worth more, or the memory does not know all of them
   */
  leastSure(remembered: readonly (Omit<Recovered, 'missing'> | undefined)[], copies: number): number[] | undefined {
    const sure = remembered.map((recovery) => recovery && this.confidence({ ...recovery, missing: 1 }))
    const known = sure.filter((confidence) => confidence !== undefined)
    if (known.length < sure.length || known.length <= copies) return undefined
    const least = [...known.keys()].sort((a, b) => known[a] - known[b]).slice(0, copies)
    const parity = this.#calibrations.code.rate
    const saved = least.reduce((sum, at) => sum + 1 - known[at], 0)
    const otherwise = known.reduce((sum, confidence) => sum + Math.max(0, parity - confidence), 0)
    return saved > otherwise ? least : undefined
  }

  /**
   * The model's own answer came: was the recovery that was given in its place right? Undefined as in `agrees`.
   *
   * @param from  the worker whose answer it is, where that is known
   */
  grade(recovered: Recovered, own: Float32Array, from?: string): boolean | undefined {
    const agreed = this.rehearse(recovered, own, from)
    if (agreed !== undefined) this.#count(recovered, agreed, from)
    return agreed
  }

  #count({ source, missing }: Recovered, agreed: boolean, from: string | undefined): void {
    add(this.#tallies, { source, missing, from, graded: 1, agreed: Number(agreed) })
    if (this.#tallies.size <= MOST_TALLIES) return
    const all = [...this.#tallies.values()]
    this.#tallies = tallied(all.map((tally, i) => (i < all.length / 2 ? { ...tally, from: undefined } : tally)))
  }

  /** As `grade`, for a recovery that nobody needed: it teaches the confidence but is not counted. */
  rehearse(recovered: Recovered, own: Float32Array, from?: string): boolean | undefined {
    const right = this.agrees(recovered.answer, own)
    const signals = right === undefined ? undefined : this.#signals(recovered)
    if (right !== undefined && signals?.every(Number.isFinite)) {
      this.#calibrations[recovered.source].learn({ signals, right }, this.#kind(recovered), from)
    }
    return right
  }

  /**
   * Takes back what a worker's answers taught of recoveries, as if they had never been.
   *
   * @param left  answers that others gave, oldest first: how much answers differ is told anew by the last of them; without
   *   them it stays as it is, and what the worker added to it fades with the next thousand
   * @returns how many outcomes there were of it
   */
  forget(from: string, left?: readonly Float32Array[]): number {
    this.#tallies = tallied([...this.#tallies.values()].filter((tally) => tally.from !== from))
    if (left && this.#criterion.kind === 'tolerance') {
      this.#spread = new RunningDeviation()
      for (const answer of left.slice(-DEVIATION_WINDOW)) this.#spread.add(answer)
    }
    return sources.reduce((sum, source) => sum + this.#calibrations[source].forget(from), 0)
  }

  get agreements(): Agreement[] {
    const all = tallied([...this.#tallies.values()].map((tally) => ({ ...tally, from: undefined })))
    return [...all.values()].map(({ from: _, ...each }) => ({ ...each, ci95: wilson(each.agreed, each.graded) }))
  }

  save(): WorthState {
    const outcomes = { code: this.#calibrations.code.save(), memory: this.#calibrations.memory.save() }
    const tallies = [...this.#tallies.values()]
    const all = [...tallies, ...outcomes.code, ...outcomes.memory]
    const workers = [...new Set(all.flatMap(({ from }) => from ?? []))]
    const places = new Map(workers.map((name, i) => [name, i]))
    const placeOf = (from: string | undefined) => (from === undefined ? -1 : (places.get(from) as number))
    const indexed = ({ signals, right, kind = -1, from }: Outcome) => {
      return { signals: [...signals], right, kind, from: placeOf(from) }
    }
    return {
      criterion: { ...this.#criterion },
      workers,
      agreements: tallies.map((tally) => ({ ...tally, from: placeOf(tally.from) })),
      outcomes: { code: outcomes.code.map(indexed), memory: outcomes.memory.map(indexed) },
      spread: this.#spread.save(),
    }
  }

  /**
   * The label of a remembered answer, at the first position: the memory knows some better than others. A parity does not, and
   * answers without a label are of no kind.
   */
  #kind({ answer, source }: Recovered): number | undefined {
    return this.#criterion.kind === 'label' && source === 'memory' ? labelAt(answer, this.#criterion) : undefined
  }

  /**
   * What is seen of a recovery. With labels, of a remembered one its odds and the label's lead over the runner-up; of a decoded
   * one variance, the label's lead over the runner-up and over the mean, and how much was missing. Without labels how its error
   * compares with the tolerance, and its variance or how much was missing.
   */
  #signals({ source, answer, variance = 0, missing, odds, error }: Recovered): number[] | undefined {
    if (this.#criterion.kind === 'label') {
      const { margin, height } = lead(answer, this.#criterion)
      // Twins astride a decision border have no lead to speak of, however well they are known.
      if (odds !== undefined) return [Math.min(odds, CERTAIN), margin]
      return [variance, margin, height, missing]
    }
    const { tolerance } = this
    const expected = error ?? Math.sqrt(variance) * (this.#spread.deviation ?? Number.NaN)
    if (tolerance === undefined) return undefined
    const within = Math.min(withinOdds(expected, tolerance), CERTAIN)
    // The odds are of normal errors; those of answers that jump are not, and the variance tells by how much.
    return source === 'memory' ? [within, Math.log(Math.max(variance, LEAST_VARIANCE))] : [within, missing]
  }
}

/** Of each source, number missing and worker one, in the order of their first. */
type Tallies = Map<string, Tally>

function add(tallies: Tallies, { source, missing, from, graded, agreed }: Tally): void {
  const key = `${source} ${missing} ${from === undefined ? '' : `of ${from}`}`
  const sum = tallies.get(key)
  tallies.set(key, {
    ...{ source, missing, from },
    graded: graded + (sum?.graded ?? 0),
    agreed: agreed + (sum?.agreed ?? 0),
  })
}

function tallied(all: Iterable<Tally>): Tallies {
  const tallies: Tallies = new Map()
  for (const tally of all) add(tallies, tally)
  return tallies
}

interface Learned {
  tallies: Tally[]
  outcomes: Record<Source, Outcome[]>
  spread: DeviationState
}

/** A fresh copy of a saved state, all of it checked. */
function savedWorth(value: unknown, criterion: Criterion, outputs: number | undefined): Learned {
  const state = saved.object('worth', value, ['criterion', 'workers', 'agreements', 'outcomes', 'spread'])
  saved.same('worth.criterion', criterion, state.criterion)
  const outcomes = saved.object('worth.outcomes', state.outcomes, sources)
  const labels = criterion.kind === 'label'
  const workers = savedWorkers(state.workers)
  const kinds = labels ? criterion.classes : 0
  return {
    tallies: savedTallies(state.agreements, workers),
    outcomes: {
      code: savedOutcomes('worth.outcomes.code', outcomes.code, labels ? 4 : 2, 0, workers),
      memory: savedOutcomes('worth.outcomes.memory', outcomes.memory, 2, kinds, workers),
    },
    spread: savedDeviation('worth.spread', state.spread, outputs),
  }
}

function savedWorkers(value: unknown): string[] {
  const workers = saved.list('worth.workers', value, sources.length * WINDOW + MOST_TALLIES)
  const names = workers.map((name, i) => saved.text(`worth.workers[${i}]`, name))
  const twice = new Set(names).size < names.length
  if (twice) throw saved.refused('worth.workers', 'names that all differ', 'one twice')
  return names
}

function savedFrom(field: string, value: unknown, workers: readonly string[]): string | undefined {
  return workers[saved.integer(field, value, -1, workers.length - 1)]
}

/** @param signals  how many each has  @param kinds  how many there are */
function savedOutcomes(field: string, value: unknown, signals: number, kinds: number, workers: string[]): Outcome[] {
  return saved.list(field, value, WINDOW).map((each, i) => {
    const at = `${field}[${i}]`
    const outcome = saved.object(at, each, ['signals', 'right', 'kind', 'from'])
    const kind = saved.integer(`${at}.kind`, outcome.kind, Math.min(0, kinds - 1), kinds - 1)
    return {
      signals: saved.numbers(`${at}.signals`, outcome.signals, signals, -MOST_SIGNAL, MOST_SIGNAL),
      right: saved.flag(`${at}.right`, outcome.right),
      kind: kind < 0 ? undefined : kind,
      from: savedFrom(`${at}.from`, outcome.from, workers),
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
