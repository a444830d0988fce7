/** What an evaluation comes to. */

import type { Policy } from '../base/choices'
import type { OutputCriterion, Outputs } from '../base/criterion'
import { mean } from '../base/stats'
import type { MemoryOptions } from '../memory/memory'
import { chanceOf, type Experiment, type QueriedInput, right } from './experiment'
import type { GroupScores, Rules, StatedFigure } from './group-scores'
import { guessLost, replicationWorkers, rightRecovered } from './group-scores'
import type { Bin, Figure, Figures, Interval, Sureness } from './statistics'
import { brierSkill, calibrationError, reliability, shareOf, surenessOf } from './statistics'
import type { QueryOutcome } from './trial'

/** Accuracies in 0..1: shares of answers with the right label; without labels, that agree with the model's own. */
export interface Evaluation {
  /** How far an answer may be off to agree, where there are no labels. */
  tolerance?: number
  /** Inputs that were remembered. */
  memory: number
  /** The memory's options where they are not those of a predictor by default. */
  memoryOptions?: Pick<MemoryOptions, 'bytes' | 'features'> | undefined
  policy: Policy
  accuracy: {
    /** The model alone, on all inputs. */
    base: number
    /** All K queries, with S random results missing and E wrong, under the policy. */
    all: number
    /** 95 % confidence interval, as all of them: over distinct queries and groups, not over how often these were drawn. */
    allCi95: Interval
    /** Only queries whose own answer was lost, as if all recovered ones were given; undefined where nothing was lost. */
    recovered?: number
    recoveredCi95?: Interval
    /** Decoded from all N results. */
    nothingMissing: number
    /** The survivor set with the lowest accuracy; undefined where none was tried. */
    worstSet?: number
  }
  /** Of several outputs: how often each of recovered answers agrees with the model's own, and how far off it may be. */
  outputs?: { name: string; right: OutputCriterion['kind']; tolerance: number | undefined; agreement: number }[]
  /** Inferences on top of N / K, by the policy. */
  retriesPerQuery: number
  /** What recovered answers say of their own worth; with the systematic code, byzantine 0. Agreement is with the model. */
  confidence?: Sureness & { brierSkill: number; calibrationError: number; bins: Bin[] }
  /** Only with byzantine > 0. */
  locator?: {
    /** Share of groups in which exactly the liars were found. */
    exactSet: number
    /** Share of liars found. */
    found: number
    /** Share of groups without a liar in which somebody was accused. */
    falseAlarm: number
  }
  rivals: {
    replicationWorkers: number
    /** Accuracy of not coding at all and guessing what is lost. */
    guessLost: number
    /** Lost queries from memory alone, without any redundancy; only with a memory. */
    memoryAlone?: { accuracy: number; ci95: Interval; confidence?: Sureness }
    /** Lost queries from ParM's parity, the sum of the queries, through the model itself; only with S = 1, E = 0. */
    sumParity?: { accuracy: number; ci95: Interval }
  }
  /** One figure per query of each group, to compare runs in pairs: as it was answered; and with what is lost guessed instead. */
  drawn: { all: Figure[]; guess: Figure[] }
}

export class EvaluationScores {
  readonly #experiment: Experiment
  readonly #rules: Rules
  /** Whether the model alone is right, by input. */
  readonly #alone = new Map<number, number>()
  /** One per input of which the memory was asked before it was told. */
  readonly #remembered: Figure[] = []
  /** One per lost query of a group that was decoded before. */
  readonly #decoded: Figure[] = []
  readonly #groups: Omit<GroupScores, 'sets'>[] = []
  /** Accuracies summed over groups, per survivor set. */
  readonly #sets: number[] = []

  constructor(experiment: Experiment, rules: Rules) {
    this.#experiment = experiment
    this.#rules = rules
  }

  /** Inputs on which the model alone was measured. */
  get measured(): number {
    return this.#alone.size
  }

  /** Whether the model alone was measured on this one. */
  has(input: number): boolean {
    return this.#alone.has(input)
  }

  /** Takes the model's own answer to an input. */
  alone(queried: QueriedInput): void {
    this.#alone.set(queried.input, right(this.#experiment, queried.own, queried))
  }

  /** What the memory said of an input that it did not know. */
  remembered(answer: Float32Array, queried: QueriedInput): void {
    this.#remembered.push(once(queried.input, right(this.#experiment, answer, queried)))
  }

  /** A group that was decoded while the memory could say nothing yet. */
  decoded(outcomes: readonly QueryOutcome[]): void {
    const lost = outcomes.filter(({ exact }) => !exact)
    this.#decoded.push(...lost.map((each) => once(each.input, rightRecovered(this.#experiment, each))))
  }

  group({ sets, ...scores }: GroupScores): void {
    for (const [input, value] of scores.alone) this.#alone.set(input, value)
    for (const [i, accuracy] of sets.entries()) this.#sets[i] = (this.#sets[i] ?? 0) + accuracy
    this.#groups.push(scores)
  }

  figures(): Figures {
    const alone = this.#experiment.labels ? [...this.#alone].map(([input, value]) => once(input, value)) : []
    const known = {
      ...{ decoded: this.#decoded, remembered: this.#remembered, alone },
      ...{ all: this.#groups.flatMap(({ all }) => all), lost: this.#groups.flatMap(({ lost }) => lost) },
    }
    const shares = Object.entries(known).filter(([, figures]) => figures.length)
    return {
      groups: this.#groups.length,
      ...Object.fromEntries(shares.map(([name, figures]) => [name, shareOf(figures)])),
    }
  }

  summary(): Omit<Evaluation, 'tolerance' | 'memory' | 'memoryOptions' | 'policy'> {
    const { codec, criterion } = this.#experiment
    const { scheme } = codec
    const { minConfidence } = this.#rules
    const base = mean([...this.#alone.values()])
    const all = this.#groups.flatMap(({ all }) => all)
    const lost = this.#groups.flatMap(({ lost }) => lost)
    const stated = this.#groups.flatMap(({ stated }) => stated)
    const [given, recovered] = [shareOf(all), lost.length ? shareOf(lost) : undefined]
    return {
      accuracy: {
        base,
        all: given.accuracy,
        allCi95: given.ci95,
        recovered: recovered?.accuracy,
        recoveredCi95: recovered?.ci95,
        nothingMissing: mean(this.#groups.map(({ whole }) => whole)),
        worstSet: this.#sets.length ? Math.min(...this.#sets) / this.#groups.length : undefined,
      },
      ...(criterion.kind === 'outputs' && lost.length && { outputs: this.#outputs(criterion) }),
      retriesPerQuery: this.#groups.reduce((sum, { retries }) => sum + retries, 0) / all.length,
      ...(stated.length && { confidence: confidenceOf(stated, minConfidence) }),
      ...(scheme.byzantine && { locator: this.#locator() }),
      rivals: {
        replicationWorkers: replicationWorkers(scheme),
        guessLost: guessLost(base, scheme, chanceOf(criterion)),
        ...this.#rivals(),
      },
      drawn: { all, guess: this.#groups.flatMap(({ guess }) => guess) },
    }
  }

  #outputs({ outputs }: Outputs): Evaluation['outputs'] {
    const { tolerances } = this.#experiment.experience.confidence
    const all = this.#groups.flatMap(({ agreeing }) => agreeing)
    return outputs.map(({ name, right: { kind } }, i) => {
      return { name, right: kind, tolerance: tolerances[name], agreement: mean(all.map((each) => Number(each[i]))) }
    })
  }

  #locator(): Evaluation['locator'] {
    const all = this.#groups.flatMap(({ located }) => located ?? [])
    const [exactSet, found] = [mean(all.map(({ exact }) => exact)), mean(all.map(({ found }) => found))]
    return { exactSet, found, falseAlarm: mean(all.map(({ alarm }) => alarm)) }
  }

  #rivals(): Omit<Evaluation['rivals'], 'replicationWorkers' | 'guessLost'> {
    const names = Object.keys(this.#groups[0].rivals)
    return Object.fromEntries(
      names.map((name) => {
        const { accuracy, ci95 } = shareOf(this.#groups.map(({ rivals }) => rivals[name].figure))
        const stated = this.#groups.flatMap(({ rivals }) => rivals[name].stated)
        const confidence = stated.length ? surenessOf(stated, this.#rules.minConfidence) : undefined
        return [name, { accuracy, ci95, ...(confidence && { confidence }) }]
      }),
    )
  }
}

/** Of an input that is asked for once. */
const once = (input: number, value: number): Figure => ({ query: input, group: input, value })

function confidenceOf(stated: readonly StatedFigure[], minConfidence: number): Evaluation['confidence'] {
  const bins = reliability(stated)
  return {
    ...surenessOf(stated, minConfidence),
    brierSkill: brierSkill(stated),
    calibrationError: calibrationError(bins),
    bins,
  }
}
