/**
 * Gives an unproven answer an id by which it can be recalled later. The layer stands beneath those that give one answer to several callers,
 * so that these get the same id.
 */

import { type Caller, type Layer, type Outcome, type Query, Relay } from '../service'
import type { GivenAnswers } from '../trust/given-answers'
import type { ModelWorker } from '../workers/worker'

interface RecallableOptions {
  readonly given: Pick<GivenAnswers, 'give'>
}

export function recallable({ given }: RecallableOptions): Layer {
  return (next) => (query, caller) => next(query, new RecallingCaller(given, query, caller))
}

class RecallingCaller extends Relay {
  readonly #given: RecallableOptions['given']
  readonly #query: Query

  constructor(given: RecallableOptions['given'], query: Query, caller: Caller) {
    super(caller)
    this.#given = given
    this.#query = query
  }

  override settled(outcome: Outcome): void {
    this.caller.settled(this.#withId(outcome))
  }

  #withId(outcome: Outcome): Outcome {
    if (outcome.kind === 'failure' || outcome.status === 'exact') return outcome
    const { answer, status, confidence, by } = outcome
    const workers = by.map(({ worker }) => worker as ModelWorker)
    const { turn, tried } = this.#query
    const entry = this.#given.give(workers, turn.tenant)
    tried.place = entry?.place
    return { kind: 'answer', answer, status, confidence, by, id: entry?.id }
  }
}
