/** The result of an evaluation. */

import type { Policy } from '../base/choices'
import type { OutputCriterion, Outputs } from '../base/criterion'
import { mean } from '../base/stats'
import type { MemoryOptions } from '../memory/memory'
import { chanceOf, type Experiment, type QueriedInput, right } from './experiment'
import type { GroupScores, Rules, StatedFigure } from './group-scores'
import { guessLost, replicationWorkers } from './group-scores'
import type { Bin, Figure, Figures, Interval, Sureness } from './statistics'
import { brierSkill, calibrationError, reliability, shareOf, surenessOf } from './statistics'

/** Accuracies in 0..1: shares of answers with the right label; without labels, of answers that agree with the model's own. */
export interface Evaluation {
  /** How far an answer may be off to agree, if there are no labels. */
  tolerance?: number
  /** Number of inputs that the memory learned. */
  memory: number
  /** The memory's options, if they differ from a predictor's defaults. */
  memoryOptions?: Pick<MemoryOptions, 'bytes' | 'features'> | undefined
  policy: Policy
  accuracy: {
    /** The model alone, on all inputs. */
    base: number
    /** All K queries under the policy, with S random results missing and E wrong. */
    all: number
    /** 95 % confidence interval, as all intervals here: over distinct queries and groups, not over repeated draws of them. */
    allCi95: Interval
    /** Queries whose own answer was lost, if all recoveries were given; undefined if nothing was lost. */
    recovered?: number
    recoveredCi95?: Interval
    /** Decoded from all N results. */
    nothingMissing: number
    /** The survivor set with the lowest accuracy; undefined if none was tried. */
    worstSet?: number
  }
  /** For several outputs: how often each output of recovered answers agrees with the model's own, and its tolerance. */
  outputs?: { name: string; right: OutputCriterion['kind']; tolerance: number | undefined; agreement: number }[]
  /** Inferences besides N / K, by the policy. */
  retriesPerQuery: number
  /** How well recovered answers state their own confidence; with the systematic code and byzantine 0. Agreement is with the model. */
  confidence?: Sureness & { brierSkill: number; calibrationError: number; bins: Bin[] }
  /** Only with byzantine > 0. */
  locator?: {
    /** Share of groups in which exactly the liars were found. */
    exactSet: number
    /** Share of liars found. */
    found: number
    /** Share of groups without a liar in which a row was accused. */
    falseAlarm: number
  }
  rivals: {
    replicationWorkers: number
    /** Accuracy without coding, with lost answers guessed. */
    guessLost: number
    /** Lost queries answered from the memory alone, without redundancy; only with a memory. */
    memoryAlone?: { accuracy: number; ci95: Interval; confidence?: Sureness }
    /** Lost queries answered with ParM's parity, the sum of the queries, through the model itself; only with S = 1, E = 0. */
    sumParity?: { accuracy: number; ci95: Interval }
  }
  /** One figure per query of each group, to compare runs in pairs: as it was answered, and with lost answers guessed. */
  drawn: { all: Figure[]; guess: Figure[] }
}

export class EvaluationScores {
  readonly #experiment: Experiment
  readonly #rules: Rules
  /** Whether the model alone is right, by input. */
  readonly #alone = new Map<number, number>()
  /** One figure per input that was looked up before the memory learned it. */
  readonly #remembered: Figure[] = []
  readonly #groups: Omit<GroupScores, 'sets'>[] = []
  /** Accuracy of each survivor set, summed over groups. */
  readonly #sets: number[] = []

  constructor(experiment: Experiment, rules: Rules) {
    this.#experiment = experiment
    this.#rules = rules
  }

  /** Number of inputs on which the model alone was measured. */
  get measured(): number {
    return this.#alone.size
  }

  /** Whether the model alone was measured on this input. */
  has(input: number): boolean {
    return this.#alone.has(input)
  }

  /** Adds the model's own answer to an input. */
  alone(queried: QueriedInput): void {
    this.#alone.set(queried.input, right(this.#experiment, queried.own, queried))
  }

  /** Adds the memory's answer to an input that it had not learned. */
  remembered(answer: Float32Array, queried: QueriedInput): void {
    this.#remembered.push(once(queried.input, right(this.#experiment, answer, queried)))
  }

  group({ sets, ...scores }: GroupScores): void {
    for (const [input, value] of scores.alone) this.#alone.set(input, value)
    for (const [i, accuracy] of sets.entries()) this.#sets[i] = (this.#sets[i] ?? 0) + accuracy
    this.#groups.push(scores)
  }

  figures(): Figures {
    const alone = this.#experiment.labels ? [...this.#alone].map(([input, value]) => once(input, value)) : []
    const known = {
      ...{ remembered: this.#remembered, alone },
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

/** The figure of an input that occurs once. */
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
