/** What recovered answers are worth: how often they agree with the model's own, as late answers tell. */

import type { Core } from '../core/core'
import { checkWord } from '../errors'
import { type Anchor, Calibration, type Outcome, sigmoid } from './calibration'

/**
 * What to do for a query without an answer of its own when its group is decoded. `recover`: give the recovered answer.
 * `retry`: ask a free worker for the query itself; exact, or an error. `auto`: recover where the confidence is
 * enough, else retry, and give the recovery after all if the deadline comes first.
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

/** What a recovered answer was recovered from: the answers to the group's other rows, or remembered ones. */
export type Source = 'code' | 'memory'

export interface Recovered {
  answer: Float32Array
  source: Source
  /** How many queries of the group had no answer of their own. */
  missing: number
  variance?: number
  /** Log odds that its label is right, by its source's own reckoning. */
  odds?: number
}

/**
 * The recoveries of one query to choose from: what was decoded, unless no parity tells of the query and the memory
 * does, and what the memory says.
 *
 * @param mixed  whether a parity tells of it
 */
export function recoveriesOf(
  decoded: readonly Recovered[],
  remembered: Omit<Recovered, 'missing'> | undefined,
  { mixed, missing }: { mixed: boolean; missing: number },
): Recovered[] {
  if (!remembered) return [...decoded]
  return [...(mixed ? decoded : []), { ...remembered, missing }]
}

/** A memory that gives a stranger one chance in ten knows that much of it, whatever its late answers were like. */
const STRANGER: Anchor = { signals: [Math.log(1 / 9)], probability: 0.1 }

/** Log odds beyond which one recovery is as certain as another. */
const CERTAIN = 8

/** How often recovered answers had the label that the model itself would have given. */
export interface Agreement {
  source: Source
  missing: number
  /** Recoveries whose own answer came later. */
  graded: number
  /** Those of them with the same label. */
  agreed: number
  /** Wilson's 95 % interval of agreed / graded. */
  ci95: [low: number, high: number]
}

/** Plain data, for `JSON.stringify`. */
export interface WorthState {
  agreements: Pick<Agreement, 'source' | 'missing' | 'graded' | 'agreed'>[]
  outcomes: Record<Source, Outcome[]>
}

export class Worth {
  readonly #classes: number
  readonly #agreements: WorthState['agreements']
  readonly #calibrations: Record<Source, Calibration>

  /**
   * @param classes  values at the start of an answer among which the largest is the label
   * @param state    of `save`
   */
  constructor(core: Core, classes: number, state?: WorthState) {
    this.#classes = classes
    this.#agreements = structuredClone(state?.agreements ?? [])
    this.#calibrations = {
      code: new Calibration(core, state?.outcomes.code),
      memory: new Calibration(core, state?.outcomes.memory, STRANGER),
    }
  }

  /**
   * The probability that the model's own answer has the same label. Until enough late answers came it is what the
   * source itself reckons, if it does, else undefined. Undefined, too, where there is but one class.
   */
  confidence(recovered: Recovered): number | undefined {
    const signals = this.#signals(recovered)
    if (this.#classes < 2 || !signals.every(Number.isFinite)) return undefined
    const own = recovered.odds === undefined ? undefined : sigmoid(recovered.odds)
    return this.#calibrations[recovered.source].probability(signals) ?? own
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

  /** The model's own answer came: does the recovery that was given in its place agree? Undefined where there is but one class. */
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
    if (this.#classes < 2) return undefined
    const right = this.label(recovered.answer) === this.label(own)
    const signals = this.#signals(recovered)
    if (signals.every(Number.isFinite)) this.#calibrations[recovered.source].learn({ signals, right })
    return right
  }

  get agreements(): Agreement[] {
    return this.#agreements.map((each) => ({ ...each, ci95: wilson(each.agreed, each.graded) }))
  }

  save(): WorthState {
    const { code, memory } = this.#calibrations
    return structuredClone({
      agreements: this.#agreements,
      outcomes: { code: code.outcomes, memory: memory.outcomes },
    })
  }

  /** The class with the largest value. */
  label(answer: Float32Array): number {
    let best = 0
    for (let i = 1; i < this.#classes; i++) if (answer[i] > answer[best]) best = i
    return best
  }

  /** The odds; else variance, the label's lead over the runner-up and over the mean, and how much was missing. */
  #signals({ answer, variance = 0, missing, odds }: Recovered): number[] {
    if (odds !== undefined) return [Math.min(odds, CERTAIN)]
    const values = Array.from(answer.subarray(0, this.#classes)).sort((a, b) => b - a)
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length
    return [variance, values[0] - (values[1] ?? values[0]), values[0] - mean, missing]
  }
}

/** Wilson's 95 % interval of a share. */
export function wilson(successes: number, count: number): [low: number, high: number] {
  if (!count) return [0, 1]
  const z2 = 1.96 ** 2
  const centre = (successes + z2 / 2) / (count + z2)
  const half = (1.96 / (count + z2)) * Math.sqrt((successes * (count - successes)) / count + z2 / 4)
  return [Math.max(0, centre - half), Math.min(1, centre + half)]
}
