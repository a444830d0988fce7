/** What one group comes to: its queries under the policy, those that were lost, and what rivals make of them. */

import type { Policy } from '../query/policy'
import { isConfident } from '../query/policy'
import { mean } from '../stats'
import type { Draws } from './draws'
import { type AskedInput, chanceOf, type Experiment, right } from './experiment'
import { rivalsOf } from './rivals'
import type { Drawn, Figure, Stated } from './statistics'
import { type QueryOutcome, Trial } from './trial'

export interface Rules {
  policy: Policy
  minConfidence: number
  /** Groups whose late answers train the confidence; it is tested on the others. */
  learn: number
}

/** What an answer says of its own confidence, and whether it agrees with the model. */
export type StatedFigure = Stated & Drawn

export interface GroupScores {
  /** Inputs. */
  chosen: readonly number[]
  /** Whether the model alone is right, by input. */
  alone: [input: number, right: number][]
  /** Rows that are no queries. */
  mixed: number
  /** One per query: as it was answered; and with what is lost guessed instead. */
  all: Figure[]
  guess: Figure[]
  /** One per answer that was lost. The last ones, `copied` of them, were answered by a copy. */
  lost: Figure[]
  copied: number
  retries: number
  /** Of recovered answers, unless the group is one to learn from. */
  stated: StatedFigure[]
  /** A rival's answer in the place of a lost one. */
  rivals: Record<string, { figure: Figure; stated: StatedFigure[] }>
  /** Accuracy as if every recovered answer were given: with all results, and with those of each survivor set. */
  whole: number
  sets: number[]
  /** With byzantine > 0. */
  located?: Located
}

interface Located {
  /** Share of the liars that were found, and whether exactly these were. */
  found: number
  exact: number
  /** Whether somebody was suspected when nobody lied. */
  alarm: number
}

/** Whether an answer is right if what is recovered is given. */
export function rightRecovered(experiment: Experiment, outcome: QueryOutcome): number {
  return right(experiment, outcome.exact ?? outcome.surest?.recovery.answer, outcome)
}

export class GroupScorer {
  readonly #experiment: Experiment
  readonly #draws: Draws
  readonly #rules: Rules
  /** The number of the group, from 1 on. */
  #group = 0

  constructor(experiment: Experiment, draws: Draws, rules: Rules) {
    this.#experiment = experiment
    this.#draws = draws
    this.#rules = rules
  }

  /** Draws another group, measures it, and learns from it. */
  async next(): Promise<GroupScores> {
    this.#group++
    const draws = this.#draws
    const chosen = draws.group()
    const trial = new Trial(this.#experiment, chosen, await this.#experiment.own.of(chosen))
    const honest = await trial.answers()
    const { gone, have, liars } = draws.losses()
    const answers = draws.withLies(honest, liars)
    const suspects = trial.decode(have, answers)
    const outcomes = trial.outcomes()
    const scores = this.#queries(outcomes, gone)
    trial.learn()
    if (!this.#isTested) trial.grade(outcomes, honest)
    const rivals = await this.#rivals(trial, outcomes)
    const accuracy = (survivors: readonly number[]) => {
      trial.decode(survivors, answers)
      return mean(trial.outcomes().map((each) => rightRecovered(this.#experiment, each)))
    }
    return {
      ...{ chosen, ...scores, rivals, mixed: trial.mixed },
      whole: accuracy([...honest.keys()]),
      sets: draws.sets.map(accuracy),
      ...(liars.length && { located: located(suspects, liars, trial.decode(have, honest)) }),
    }
  }

  get #isTested(): boolean {
    return this.#group > this.#rules.learn
  }

  #figure({ input }: AskedInput, value: number): Figure {
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
    const copied = codec.code === 'systematic' ? gone.filter((row) => outcomes[row]?.exact) : []
    const lost = [...outcomes.keys()].filter((query) => !outcomes[query].exact).concat(copied)
    const guessed = (query: number) => (gone.includes(query) ? chanceOf(criterion) : own[query])
    return {
      alone: outcomes.map(({ input }, query): [number, number] => [input, own[query]]),
      all: outcomes.map((each, query) => this.#figure(each, isGiven[query] ? recovered[query] : own[query])),
      guess: outcomes.map((each, query) => this.#figure(each, guessed(query))),
      lost: lost.map((query) => this.#figure(outcomes[query], recovered[query])),
      copied: copied.length,
      retries: isGiven.filter((given) => !given).length,
      stated: outcomes.flatMap((each) =>
        each.surest ? this.#stated(each, each.surest.recovery.answer, each.surest.confidence) : [],
      ),
    }
  }

  async #rivals(trial: Trial, outcomes: readonly QueryOutcome[]): Promise<GroupScores['rivals']> {
    const scores: GroupScores['rivals'] = {}
    for (const [name, rival] of Object.entries(rivalsOf(this.#experiment))) {
      const lost = this.#draws.lost()
      const said = await rival(trial, lost)
      const asked = outcomes[lost]
      const { confidence } = said.source ? this.#experiment.experience.confidence.best([{ ...said, missing: 1 }]) : {}
      scores[name] = {
        figure: this.#figure(asked, right(this.#experiment, said.answer, asked)),
        stated: this.#stated(asked, said.answer, confidence),
      }
    }
    return scores
  }

  #stated({ input, own }: AskedInput, answer: Float32Array, confidence: number | undefined): StatedFigure[] {
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
