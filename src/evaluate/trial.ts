/** A trial of one group: coded, answered by the model itself, and decoded from any subset of the answers. Without workers or time. */

import type { CodedRow } from '../codec/decode'
import { Group } from '../codec/group'
import { sendsParities } from '../layers/parity'
import { type BestRecovery, bestRecovery } from '../memory/best-recovery'
import type { Recollection } from '../memory/memory'
import type { CodedGroup, SentRow } from './coding'
import type { Experiment, QueriedInput } from './experiment'
import { answersOf } from './model'

export interface QueryOutcome extends QueriedInput {
  /** The answer to a row that equals the query. */
  exact?: Float32Array | undefined
  /** The most confident recovery, if there is no exact answer. */
  surest?: BestRecovery | undefined
}

export class Trial {
  /** The values of its queries, the model's own answers, and the memory's answers. */
  readonly queries: readonly Float32Array[]
  readonly own: readonly Float32Array[]
  readonly remembered: readonly (Recollection | undefined)[]
  readonly #experiment: Experiment
  /** Indices of its queries among the inputs. */
  readonly #chosen: readonly number[]
  readonly #group: CodedGroup
  readonly #isCoded: boolean
  readonly #rows: readonly SentRow[]
  /** Rows that mix queries. */
  readonly mixed: readonly SentRow[]

  /**
   * Codes these inputs as a predictor would if none of them was answered yet.
   *
   * @param own  the model's own answers to them
   */
  constructor(experiment: Experiment, chosen: readonly number[], own: readonly Float32Array[]) {
    const { codec, inputs, policy, experience, recall } = experiment
    const { queries, workers, byzantine } = codec.scheme
    const group = codec.open()
    this.#experiment = experiment
    this.#chosen = chosen
    this.#group = group
    this.own = own
    this.queries = chosen.map((input) => inputs.at(input) as Float32Array)
    for (const query of this.queries) group.join(query)
    this.remembered = chosen.map((input, i) => recall(input, this.queries[i]))
    const isWarm = experience.memory === 'warm'
    const mayChoose = codec.code === 'systematic' && !byzantine
    this.#isCoded = !mayChoose || sendsParities(policy === 'recover', queries, workers - queries, isWarm)
    this.#rows = [...group.ready, ...group.close(this.#isCoded ? undefined : [])]
    this.mixed = this.#rows.filter(({ query }) => query === undefined)
  }

  async answers(): Promise<Float32Array[]> {
    const mixed = await answersOf(
      this.#experiment.model,
      this.mixed.map(({ data }) => data),
    )
    return this.#rows.map((row) => (row.query === undefined ? mixed[this.mixed.indexOf(row)] : this.own[row.query]))
  }

  /**
   * Decodes from the answers to the rows `have` only.
   *
   * @param answers  to all rows
   * @returns suspected rows, whose answers were dropped
   */
  decode(have: readonly number[], answers: readonly Float32Array[]): number[] {
    this.#group.forget()
    for (const row of have) if (row < this.#rows.length) this.#group.add(this.#rows[row], answers[row])
    return this.#group.locate().map(({ row }) => row.index)
  }

  /** The outcome of each query after `decode`. */
  outcomes(): QueryOutcome[] {
    const group = this.#group
    const missing = group.missing().length
    const decoded = this.#isCoded ? group.recover() : []
    return this.#chosen.map((input, query) => {
      const own = this.own[query]
      const exact = group.exact(query)
      if (exact) return { input, own, exact }
      const about = { mixed: group.mixes(query), missing }
      const recovered = decoded.filter((each) => each.query === query)
      return {
        input,
        own,
        surest: bestRecovery(recovered, this.remembered[query], about, this.#experiment.experience.confidence),
      }
    })
  }

  /**
   * The lost answers arrive late and grade what was recovered in their place; only with the systematic code, where queries have answers of
   * their own, and without liars.
   *
   * @param honest  answers to all rows
   */
  grade(outcomes: readonly QueryOutcome[], honest: readonly Float32Array[]): void {
    const { codec, experience } = this.#experiment
    const group = this.#group
    if (codec.code !== 'systematic' || codec.scheme.byzantine || !(group instanceof Group)) return
    const { survivors } = group
    const lost = [...outcomes.keys()].filter((query) => !outcomes[query].exact)
    for (const query of lost) {
      group.add(this.#rows[query] as CodedRow, honest[query])
      for (const each of outcomes[query].surest?.all ?? []) experience.confidence.grade(each, honest[query])
    }
    for (const others of group.rehearse(lost, survivors)) {
      for (const other of others) experience.confidence.rehearse(other, honest[other.query])
    }
  }
}
