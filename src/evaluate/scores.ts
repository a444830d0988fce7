/** What is counted group by group, and what it comes to. */

import { labelAt } from '../criterion'
import type { MemoryOptions } from '../memory/memory'
import type { Policy } from '../query/decision'
import { isSure } from '../query/decision'
import { mean } from '../stats'
import { guessLost, replicationWorkers, type Said } from './rivals'
import {
  type Bin,
  brierSkill,
  calibrationError,
  type Drawn,
  type Figure,
  type Interval,
  reliability,
  type Share,
  type Stated,
  shareOf,
} from './statistics'
import { type Sureness, surenessOf } from './sureness'
import type { Outcome, Subject } from './trial'

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
    /** Share of those that were answered by a copy, exactly. */
    copied: number
    /** Decoded from all N results. */
    nothingMissing: number
    /** The survivor set with the lowest accuracy; undefined where none was tried. */
    worstSet?: number
  }
  /** Inferences on top of N / K, by the policy. */
  retriesPerQuery: number
  /** What recovered answers say of their own worth; with the systematic code, byzantine 0. Agreement is with the model. */
  confidence?: Sureness & {
    brierSkill: number
    calibrationError: number
    bins: Bin[]
  }
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

/** What can be told before all is measured. */
export interface Figures {
  /** The model alone, on the inputs so far; only with labels. */
  alone?: Share
  /** What the code recovered of lost queries before the memory could say anything. */
  decoded?: Share
  /** What the memory, as far as it was filled, said of inputs before it was told. */
  foretold?: Share
  /** Groups so far: all their queries under the policy, and only the lost ones. */
  groups: number
  all?: Share
  lost?: Share
}

export interface Rules {
  policy: Policy
  minConfidence: number
  /** The right label of each input; without them, or where the model has none, the model's own answer is right. */
  labels: ArrayLike<number> | undefined
}

/** An input and the model's own answer to it. */
export type Asked = Pick<Outcome, 'input' | 'own'>

export class Scores {
  readonly #subject: Subject
  readonly #rules: Rules
  /** Whether the model alone is right, by input. */
  readonly #alone = new Map<number, number>()
  /** One per input of which the memory was asked before it was told. */
  readonly #foretold: Figure[] = []
  /** One per lost query of a group that was decoded before. */
  readonly #decoded: Figure[] = []
  /** That a guess is right. */
  readonly #chance: number
  #groups = 0
  /** One per query of each group. */
  readonly #all: Figure[] = []
  readonly #guess: Figure[] = []
  /** One per group. */
  readonly #whole: number[] = []
  readonly #located = { exact: [] as number[], found: [] as number[], alarm: [] as number[] }
  /** One per answer that was lost. */
  readonly #lost: Figure[] = []
  readonly #stated: (Stated & Drawn)[] = []
  readonly #rivals: Record<string, Figure[]> = {}
  /** Of what the memory alone said. */
  readonly #remembered: (Stated & Drawn)[] = []
  #copied = 0
  #retries = 0
  /** Accuracies summed over groups, per survivor set. */
  readonly #sets: number[] = []

  constructor(subject: Subject, rules: Rules) {
    const { criterion } = subject
    this.#subject = subject
    this.#rules = rules
    this.#chance = criterion.kind === 'label' && criterion.positions === 1 ? 1 / criterion.classes : 0
  }

  /** Takes the model's own answer to an input. */
  alone(input: number, own: Float32Array): void {
    this.#alone.set(input, this.#right(own, { input, own }))
  }

  /** Inputs on which the model alone was measured. */
  get measured(): number {
    return this.#alone.size
  }

  /** Whether it was measured on this one. */
  has(input: number): boolean {
    return this.#alone.has(input)
  }

  /** What the memory said of an input that it did not know. */
  foretold(answer: Float32Array, query: Asked): void {
    this.#foretold.push(once(query.input, this.#right(answer, query)))
  }

  /** A group that was decoded while the memory could say nothing yet. */
  decoded(outcomes: readonly Outcome[]): void {
    const lost = outcomes.filter(({ exact }) => !exact)
    for (const each of lost) this.#decoded.push(once(each.input, this.#hit(each)))
  }

  /** What is known so far. */
  figures(): Figures {
    const known = { decoded: this.#decoded, foretold: this.#foretold, all: this.#all, lost: this.#lost }
    const alone = this.#rules.labels && { alone: [...this.#alone].map(([input, hit]) => once(input, hit)) }
    const shares = Object.entries({ ...known, ...alone }).filter(([, hits]) => hits.length)
    return { groups: this.#groups, ...Object.fromEntries(shares.map(([name, hits]) => [name, shareOf(hits)])) }
  }

  /** Of all queries, as if every recovered answer were given. */
  accuracy(outcomes: readonly Outcome[]): number {
    return mean(outcomes.map((each) => this.#hit(each)))
  }

  /**
   * A group without the answers to the rows `gone`, under the policy.
   *
   * @param tested  whether its confidences are tested; those of groups to learn from are not
   */
  group(outcomes: readonly Outcome[], gone: readonly number[], tested: boolean): void {
    const { policy, minConfidence } = this.#rules
    const given = outcomes.map(
      ({ exact, surest }) => exact !== undefined || isSure(policy, minConfidence, surest?.confidence),
    )
    this.#groups++
    for (const [query, each] of outcomes.entries()) {
      const own = this.#right(each.own, each)
      this.#all.push({ ...this.#drawn(each), value: given[query] ? this.#hit(each) : own })
      this.#guess.push({ ...this.#drawn(each), value: gone.includes(query) ? this.#chance : own })
    }
    this.#retries += given.filter((each) => !each).length
    this.#losses(outcomes, gone)
    if (tested) this.#confidences(outcomes)
  }

  #losses(outcomes: readonly Outcome[], gone: readonly number[]): void {
    const systematic = this.#subject.codec.code === 'systematic'
    const copied = systematic ? gone.filter((row) => outcomes[row]?.exact).map((row) => outcomes[row]) : []
    this.#copied += copied.length
    for (const each of [...outcomes.filter(({ exact }) => !exact), ...copied]) {
      this.#lost.push({ ...this.#drawn(each), value: this.#hit(each) })
    }
  }

  /** Where a figure of the last group comes from. */
  #drawn({ input }: Asked): Drawn {
    return { query: input, group: this.#groups }
  }

  #confidences(outcomes: readonly Outcome[]): void {
    for (const each of outcomes) {
      const { confidence, recovery } = each.surest ?? {}
      if (confidence === undefined || !recovery) continue
      this.#stated.push({ ...this.#drawn(each), confidence, right: this.#agrees(recovery.answer, each.own) })
    }
  }

  /** Whom the locator suspected, and whether it suspected anybody when nobody lied. */
  located(suspects: readonly number[], liars: readonly number[], alarm: boolean): void {
    const caught = suspects.filter((row) => liars.includes(row)).length
    this.#located.found.push(caught / liars.length)
    this.#located.exact.push(Number(caught === liars.length && suspects.length === caught))
    this.#located.alarm.push(Number(alarm))
  }

  /**
   * A rival's answer in the place of a lost one.
   *
   * @param tested  as of `group`
   */
  rival(name: string, said: Said, query: Asked, tested: boolean): void {
    this.#rivals[name] ??= []
    this.#rivals[name].push({ ...this.#drawn(query), value: this.#right(said.answer, query) })
    if (!tested || !said.source) return
    const confidence = this.#subject.experience.confidence.of({ ...said, missing: 1 })
    if (confidence === undefined) return
    this.#remembered.push({ ...this.#drawn(query), confidence, right: this.#agrees(said.answer, query.own) })
  }

  /** Accuracies of a group, with all results and with those of each survivor set. */
  tried(whole: number, sets: readonly number[]): void {
    this.#whole.push(whole)
    sets.forEach((accuracy, i) => {
      this.#sets[i] = (this.#sets[i] ?? 0) + accuracy
    })
  }

  summary(): Omit<Evaluation, 'tolerance' | 'memory' | 'memoryOptions' | 'policy'> {
    const { scheme } = this.#subject.codec
    const { exact, found, alarm } = this.#located
    const { minConfidence } = this.#rules
    const base = mean([...this.#alone.values()])
    const [all, lost] = [shareOf(this.#all), this.#lost.length ? shareOf(this.#lost) : undefined]
    const rivals = Object.fromEntries(Object.entries(this.#rivals).map(([name, hits]) => [name, share(hits)]))
    const remembered = this.#remembered.length ? surenessOf(this.#remembered, minConfidence) : undefined
    return {
      accuracy: {
        base,
        all: all.accuracy,
        allCi95: all.ci95,
        recovered: lost?.accuracy,
        recoveredCi95: lost?.ci95,
        copied: this.#copied / Math.max(1, this.#lost.length),
        nothingMissing: mean(this.#whole),
        worstSet: this.#sets.length ? Math.min(...this.#sets) / this.#groups : undefined,
      },
      retriesPerQuery: this.#retries / this.#all.length,
      ...(this.#stated.length && { confidence: confidenceOf(this.#stated, minConfidence) }),
      ...(scheme.byzantine && {
        locator: { exactSet: mean(exact), found: mean(found), falseAlarm: mean(alarm) },
      }),
      rivals: {
        replicationWorkers: replicationWorkers(scheme),
        guessLost: guessLost(base, scheme, this.#chance),
        ...rivals,
        ...(remembered && { memoryAlone: { ...rivals.memoryAlone, confidence: remembered } }),
      },
      drawn: { all: this.#all, guess: this.#guess },
    }
  }

  #hit(outcome: Outcome): number {
    return this.#right(outcome.exact ?? outcome.surest?.recovery.answer, outcome)
  }

  #right(answer: Float32Array | undefined, { input, own }: Asked): number {
    const { criterion } = this.#subject
    const { labels } = this.#rules
    if (!answer) return 0
    return Number(
      labels && criterion.kind === 'label' ? labelAt(answer, criterion) === labels[input] : this.#agrees(answer, own),
    )
  }

  #agrees(answer: Float32Array, own: Float32Array): boolean {
    return this.#subject.experience.confidence.agrees(answer, own) === true
  }
}

/** Of an input that is asked for once. */
const once = (input: number, value: number): Figure => ({ query: input, group: input, value })

function share(hits: readonly Figure[]): { accuracy: number; ci95: Interval } {
  const { accuracy, ci95 } = shareOf(hits)
  return { accuracy, ci95 }
}

function confidenceOf(stated: readonly (Stated & Drawn)[], minConfidence: number): Evaluation['confidence'] {
  const bins = reliability(stated)
  return {
    ...surenessOf(stated, minConfidence),
    brierSkill: brierSkill(stated),
    calibrationError: calibrationError(bins),
    bins,
  }
}
