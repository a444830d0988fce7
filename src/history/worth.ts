/** What recovered answers are worth: how often they agree with the model's own, as late answers tell. */

import type { Core } from '../core/core'
import { type Criterion, difference, labelAt, lead, sameLabels } from '../criterion'
import { checkWord } from '../errors'
import * as saved from '../saved'
import { allFinite } from '../tensor'
import { type Anchor, Calibration, type Outcome, savedOutcomes, sigmoid } from './calibration'
import { CERTAIN, withinOdds } from './odds'
import { LEAST_VARIANCE } from './regression'
import { Spread, type SpreadState, savedSpread } from './spread'

/**
 * What becomes of a query whose answer is missing. `recover`: what is recovered is given. `retry`: another worker is asked, at
 * once where the first one failed, from a budget where it is late; exact, or an error. `auto`: recover where the
 * confidence is enough, else retry, and give the recovery after all if the deadline comes first.
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
  return { signals: kind === 'label' ? [odds] : [odds, Math.log(1)], probability: 0.1 }
}

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

/** Plain data, for `JSON.stringify`. */
export interface WorthState {
  criterion: Criterion
  agreements: Pick<Agreement, 'source' | 'missing' | 'graded' | 'agreed'>[]
  outcomes: Record<Source, Outcome[]>
  spread: SpreadState
}

export class Worth {
  readonly #criterion: Criterion
  readonly #agreements: WorthState['agreements']
  readonly #calibrations: Record<Source, Calibration>
  readonly #spread: Spread

  /**
   * @param criterion  when a recovered answer is right
   * @param state      of `save`
   * @param outputs    values in an answer; default: as many as the state was learned from
   * @throws RangeError for a state that was learned with another criterion (what was right then may be wrong now), or is none
   */
  constructor(core: Core, criterion: Criterion, state?: WorthState, outputs?: number) {
    const learned = state === undefined ? undefined : savedWorth(state, criterion, outputs)
    this.#criterion = criterion
    this.#agreements = learned?.agreements ?? []
    this.#calibrations = {
      code: new Calibration(core, learned?.outcomes.code),
      memory: new Calibration(core, learned?.outcomes.memory, stranger(criterion)),
    }
    this.#spread = new Spread(learned?.spread)
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
    if (this.#criterion.kind === 'tolerance') this.#spread.see(own)
  }

  /** Whether a recovered answer is right; undefined until it is known how far off it may be. */
  agrees(answer: Float32Array, own: Float32Array): boolean | undefined {
    if (this.#criterion.kind === 'label') return sameLabels(answer, own, this.#criterion)
    const { tolerance } = this
    return tolerance === undefined ? undefined : difference(answer, own) <= tolerance
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

  /** The model's own answer came: was the recovery that was given in its place right? Undefined as in `agrees`. */
  grade(recovered: Recovered, own: Float32Array): boolean | undefined {
    const { source, missing } = recovered
    const agreed = this.rehearse(recovered, own)
    if (agreed === undefined) return undefined
    let agreement = this.#agreements.find((each) => each.source === source && each.missing === missing)
    if (!agreement) {
      agreement = { source, missing, graded: 0, agreed: 0 }
      this.#agreements.push(agreement)
    }
    agreement.graded++
    if (agreed) agreement.agreed++
    return agreed
  }

  /** As `grade`, for a recovery that nobody needed: it teaches the confidence but is not counted. */
  rehearse(recovered: Recovered, own: Float32Array): boolean | undefined {
    const right = this.agrees(recovered.answer, own)
    const signals = right === undefined ? undefined : this.#signals(recovered)
    if (right !== undefined && signals?.every(Number.isFinite)) {
      this.#calibrations[recovered.source].learn({ signals, right }, this.#kind(recovered))
    }
    return right
  }

  get agreements(): Agreement[] {
    return this.#agreements.map((each) => ({ ...each, ci95: wilson(each.agreed, each.graded) }))
  }

  save(): WorthState {
    const { code, memory } = this.#calibrations
    return structuredClone({
      criterion: this.#criterion,
      agreements: this.#agreements,
      outcomes: { code: code.save(), memory: memory.save() },
      spread: this.#spread.save(),
    })
  }

  /** Its label, at the first position; answers without one are of no kind. */
  #kind({ answer }: Recovered): number | undefined {
    return this.#criterion.kind === 'label' ? labelAt(answer, this.#criterion) : undefined
  }

  /**
   * What is seen of a recovery. Of a remembered one its odds; of a decoded one with labels variance, the label's lead over
   * the runner-up and over the mean, and how much was missing; without labels how its error compares with the tolerance, and its
   * variance or how much was missing.
   */
  #signals({ source, answer, variance = 0, missing, odds, error }: Recovered): number[] | undefined {
    if (this.#criterion.kind === 'label') {
      if (odds !== undefined) return [Math.min(odds, CERTAIN)]
      const { margin, height } = lead(answer, this.#criterion)
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

/** A fresh copy of a saved state, all of it checked. */
function savedWorth(value: unknown, criterion: Criterion, outputs: number | undefined): WorthState {
  const state = saved.object('worth', value, ['criterion', 'agreements', 'outcomes', 'spread'])
  saved.same('worth.criterion', criterion, state.criterion)
  const outcomes = saved.object('worth.outcomes', state.outcomes, sources)
  const labels = criterion.kind === 'label'
  return {
    criterion,
    agreements: savedAgreements(state.agreements),
    outcomes: {
      code: savedOutcomes('worth.outcomes.code', outcomes.code, labels ? 4 : 2),
      memory: savedOutcomes('worth.outcomes.memory', outcomes.memory, labels ? 1 : 2),
    },
    spread: savedSpread('worth.spread', state.spread, outputs),
  }
}

function savedAgreements(value: unknown): WorthState['agreements'] {
  const seen = new Set<string>()
  return saved.list('worth.agreements', value, sources.length * MOST_MISSING).map((each, i) => {
    const field = `worth.agreements[${i}]`
    const agreement = saved.object(field, each, ['source', 'missing', 'graded', 'agreed'])
    const source = saved.word(`${field}.source`, agreement.source, sources)
    const missing = saved.integer(`${field}.missing`, agreement.missing, 1, MOST_MISSING)
    if (seen.has(`${source} ${missing}`)) throw saved.refused(field, 'no other of its source and missing', 'another')
    seen.add(`${source} ${missing}`)
    const graded = saved.integer(`${field}.graded`, agreement.graded, 1, Number.MAX_SAFE_INTEGER)
    return { source, missing, graded, agreed: saved.integer(`${field}.agreed`, agreement.agreed, 0, graded) }
  })
}

/** Wilson's 95 % interval of a share. */
export function wilson(successes: number, count: number): [low: number, high: number] {
  if (!count) return [0, 1]
  const z2 = 1.96 ** 2
  const centre = (successes + z2 / 2) / (count + z2)
  const half = (1.96 / (count + z2)) * Math.sqrt((successes * (count - successes)) / count + z2 / 4)
  return [Math.max(0, centre - half), Math.min(1, centre + half)]
}
