/** Measures one group: its queries under the policy, the lost ones, and the results without coding or with other codes. */

import { isConfident, type Policy } from '../base/choices'
import { judgedOf } from '../base/criterion'
import type { Scheme } from '../base/scheme'
import { mean } from '../base/stats'
import type { Recollection } from '../memory/memory'
import type { Draws } from './draws'
import { chanceOf, type Experiment, type QueriedInput, right } from './experiment'
import { answersOf } from './model'
import type { Drawn, Figure, Stated } from './statistics'
import { type QueryOutcome, Trial } from './trial'

export interface Rules {
  policy: Policy
  minConfidence: number
  /** Groups whose late answers train the confidence; it is tested on the other groups. */
  learn: number
  /** Whether lost queries are also answered by rivals of the code. */
  rivals: boolean
}

/** An answer's stated confidence, and whether it agrees with the model. */
export type StatedFigure = Stated & Drawn

export interface GroupScores {
  /** Indices of its inputs. */
  chosen: readonly number[]
  /** Whether the model alone is right, by input. */
  alone: [input: number, right: number][]
  /** Number of rows that mix queries. */
  mixed: number
  /** One figure per query: `all` as it was answered, `guess` with lost answers guessed instead. */
  all: Figure[]
  guess: Figure[]
  /** One figure per lost answer. */
  lost: Figure[]
  retries: number
  /** For each recovered answer, whether each output agrees with the model's own. */
  agreeing: boolean[][]
  /** Confidences of recovered answers; empty for groups that train the confidence. */
  stated: StatedFigure[]
  /** A rival's answer in place of a lost one. */
  rivals: Record<string, { figure: Figure; stated: StatedFigure[] }>
  /** Accuracy if every recovered answer were given: with all results, and with each survivor set. */
  whole: number
  sets: number[]
  /** With byzantine > 0. */
  located?: Located
}

interface Located {
  /** Share of the liars that were found, and whether exactly these were accused. */
  found: number
  exact: number
  /** Whether a row was accused although no worker lied. */
  alarm: number
}

/** Whether an answer is right if the recovery is given. */
export function rightRecovered(experiment: Experiment, outcome: QueryOutcome): number {
  return right(experiment, outcome.exact ?? outcome.surest?.recovery.answer, outcome)
}

export class GroupScorer {
  readonly #experiment: Experiment
  readonly #draws: Draws
  readonly #rules: Rules
  /** Number of the group, from 1 on. */
  #group = 0

  constructor(experiment: Experiment, draws: Draws, rules: Rules) {
    this.#experiment = experiment
    this.#draws = draws
    this.#rules = rules
  }

  /** Draws a group, measures it, and learns from it. */
  async next(): Promise<GroupScores> {
    this.#group++
    const draws = this.#draws
    const chosen = draws.group()
    const trial = new Trial(this.#experiment, chosen, await this.#experiment.own.of(chosen))
    const honest = await trial.answers()
    const { gone, have, liars } = draws.losses(honest.length)
    const answers = draws.withLies(honest, liars)
    const suspects = trial.decode(have, answers)
    const outcomes = trial.outcomes()
    const scores = this.#queries(outcomes, gone)
    if (!this.#isTested) trial.grade(outcomes, honest)
    const rivals = this.#rules.rivals ? await this.#rivals(trial, outcomes) : {}
    const accuracy = (survivors: readonly number[]) => {
      trial.decode(survivors, answers)
      return mean(trial.outcomes().map((each) => rightRecovered(this.#experiment, each)))
    }
    return {
      ...{ chosen, ...scores, rivals, mixed: trial.mixed.length },
      whole: accuracy([...honest.keys()]),
      sets: draws.sets.map(accuracy),
      ...(liars.length && { located: located(suspects, liars, trial.decode(have, honest)) }),
    }
  }

  get #isTested(): boolean {
    return this.#group > this.#rules.learn
  }

  #figure({ input }: QueriedInput, value: number): Figure {
    return { query: input, group: this.#group, value }
  }

  #queries(outcomes: readonly QueryOutcome[], gone: readonly number[]) {
    const { codec, criterion } = this.#experiment
    const { policy, minConfidence } = this.#rules
    const own = outcomes.map((each) => right(this.#experiment, each.own, each))
    const recovered = outcomes.map((each) => rightRecovered(this.#experiment, each))
    const isGiven = outcomes.map(
      ({ exact, surest }) => exact !== undefined || isConfident(policy, minConfidence, surest?.confidence),
    )
    // In small groups a parity may equal a lost query.
    const answered = codec.code === 'systematic' ? gone.filter((row) => outcomes[row]?.exact) : []
    const lost = [...outcomes.keys()].filter((query) => !outcomes[query].exact).concat(answered)
    const guessed = (query: number) => (gone.includes(query) ? chanceOf(criterion) : own[query])
    return {
      alone: outcomes.map(({ input }, query): [number, number] => [input, own[query]]),
      all: outcomes.map((each, query) => this.#figure(each, isGiven[query] ? recovered[query] : own[query])),
      guess: outcomes.map((each, query) => this.#figure(each, guessed(query))),
      lost: lost.map((query) => this.#figure(outcomes[query], recovered[query])),
      retries: isGiven.filter((given) => !given).length,
      agreeing: outcomes.flatMap(({ own, surest }) => (surest ? [this.#agreeing(surest.recovery.answer, own)] : [])),
      stated: outcomes.flatMap((each) =>
        each.surest ? this.#stated(each, each.surest.recovery.answer, each.surest.confidence) : [],
      ),
    }
  }

  #agreeing(answer: Float32Array, own: Float32Array): boolean[] {
    const { criterion, experience } = this.#experiment
    return judgedOf(criterion).map((_, i) => experience.confidence.outputAgrees(i, answer, own) === true)
  }

  /** The answers of the memory alone and of ParM's parity to a query that is the only late one of its group. */
  async #rivals(trial: Trial, outcomes: readonly QueryOutcome[]): Promise<GroupScores['rivals']> {
    const { codec, model, experience } = this.#experiment
    const rival = (lost: number, answer: Float32Array, confidence?: number) => ({
      figure: this.#figure(outcomes[lost], right(this.#experiment, answer, outcomes[lost])),
      stated: this.#stated(outcomes[lost], answer, confidence),
    })
    const scores: GroupScores['rivals'] = {}
    if (experience.memory === 'warm') {
      const lost = this.#draws.lost()
      const recalled = trial.remembered[lost] as Recollection
      scores.memoryAlone = rival(lost, recalled.answer, experience.confidence.of({ ...recalled, missing: 1 }))
    }
    if (hasSumParity(codec)) {
      const { queries, own } = trial
      const lost = this.#draws.lost()
      const [sum] = await answersOf(model, codec.core.combine(new Float32Array(queries.length).fill(1), queries))
      const others = own.filter((_, query) => query !== lost)
      scores.sumParity = rival(lost, lessOthers(sum, others))
    }
    return scores
  }

  #stated({ input, own }: QueriedInput, answer: Float32Array, confidence: number | undefined): StatedFigure[] {
    if (confidence === undefined || !this.#isTested) return []
    const agrees = this.#experiment.experience.confidence.agrees(answer, own) === true
    return [{ query: input, group: this.#group, confidence, right: agrees }]
  }
}

function located(suspects: readonly number[], liars: readonly number[], accused: readonly number[]): Located {
  const caught = suspects.filter((row) => liars.includes(row)).length
  const isExact = caught === liars.length && suspects.length === caught
  return { found: caught / liars.length, exact: Number(isExact), alarm: Number(accused.length > 0) }
}

type Redundancy = Pick<Scheme, 'queries' | 'stragglers' | 'byzantine'>

/** Workers if every query is sent S + 1 times; with liars 2E + 1 times, and S more that may be late. */
export function replicationWorkers({ queries, stragglers, byzantine }: Redundancy): number {
  return queries * (2 * byzantine + stragglers + 1)
}

/** Workers of ParM (Kosaian, Rashmi, Venkataraman, SOSP 2019): one trained parity model per straggler; it finds no liars. */
export function parmWorkers({ queries, stragglers, byzantine }: Redundancy): number | undefined {
  return byzantine ? undefined : queries + stragglers
}

/**
 * Accuracy without coding: the same share S / N of answers is lost and guessed, and the share E / N is lies.
 *
 * @param base    the model's accuracy
 * @param chance  probability that a guess is right
 */
export function guessLost(
  base: number,
  { stragglers, byzantine, workers }: Redundancy & Pick<Scheme, 'workers'>,
  chance: number,
): number {
  const lost = stragglers / workers
  return (1 - lost - byzantine / workers) * base + lost * chance
}

/** ParM's decoder: the parity model's answer to the sum of K queries, less the K - 1 answers that came. A new array. */
export function lessOthers(parity: Float32Array, others: readonly Float32Array[]): Float32Array {
  return parity.map((value, c) => others.reduce((rest, answer) => rest - answer[c], value))
}

/** Whether ParM can be compared: its parity replaces one lost answer. */
export function hasSumParity({ code, scheme }: Experiment['codec']): boolean {
  return code === 'systematic' && scheme.stragglers === 1 && !scheme.byzantine
}
