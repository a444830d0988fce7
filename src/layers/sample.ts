/**
 * Answers are given as they come, each with the status that its worker's word is worth, and a secret draw has an anchor asked about some: an audit,
 * which outlives the query. Around `hedge`; for parities around the pool itself, since a worker that lies to parities alone would else never be
 * found.
 */

import type { Payload } from '../base/payload'
import type { MemoryService } from '../memory/service'
import type { Attempt } from '../pool/attempt'
import type { Answer, Call, Caller, Drop, Layer, Outcome, Query, Service } from '../service'
import { answerOf, Relay } from '../service'
import type { Sampling } from '../trust/sampling'
import type { ModelWorker } from '../workers/worker'

export interface SampleOptions {
  readonly sampling: Pick<Sampling, 'isExact' | 'worth' | 'came'>
  /** Learns what an anchor answers in an audit. Default: nothing does, as of a parity, which is no query. */
  memoryOf?(query: Query): Pick<MemoryService, 'learn'> | undefined
}

export function sample(options: SampleOptions): Layer {
  return (next) => (query, caller) => new SampledCall(options, next, query, caller)
}

class SampledCall extends Relay implements Call {
  readonly #options: SampleOptions
  readonly #query: Query
  /** As it was when the query came: late answers teach no tenant that was forgotten since. */
  readonly #memory: Pick<MemoryService, 'learn'> | undefined
  readonly #call: Call
  #isOpen = true
  /** The draw was made, or the query's answers tell nothing: the first answer alone may be audited. */
  #isDrawn = false

  constructor(options: SampleOptions, next: Service, query: Query, caller: Caller) {
    super(caller)
    this.#options = options
    this.#query = query
    this.#memory = options.memoryOf?.(query)
    this.#call = next(query, this)
  }

  drop(why: Drop): void {
    this.#isOpen = false
    if (why === 'void') this.#isDrawn = true
    this.#call.drop(why)
  }

  expire(): void {
    this.#call.expire()
  }

  /** Layers above learn from answers and grade by them, so they are told of exact ones alone: until its worker is convicted a lie would have a part in every recovery. */
  override ended(attempt: Attempt): void {
    const isAnswer = answerOf(attempt) !== undefined
    const isKept = isAnswer && !this.#options.sampling.isExact(attempt.worker as ModelWorker)
    if (!isKept) this.caller.ended?.(attempt)
    if (isAnswer && !this.#isOpen) this.#draw(attempt) // else once it is given, in a moment
  }

  override settled(outcome: Outcome): void {
    if (!this.#isOpen) return
    this.#isOpen = false
    if (outcome.kind === 'failure') return this.caller.settled(outcome)
    const [attempt] = outcome.by as readonly Attempt[]
    const status = this.#worthOf(attempt)
    this.caller.settled(status === 'exact' ? outcome : unproven(outcome, status))
    this.#draw(attempt, status, this.#query.tried.place)
  }

  #worthOf({ worker }: Attempt): Answer['status'] {
    return this.#options.sampling.worth(worker as ModelWorker)
  }

  /** @param status  that it was given with @param place  where it is kept, if it was given */
  #draw(attempt: Attempt, status = this.#worthOf(attempt), place?: number): void {
    if (this.#isDrawn) return
    this.#isDrawn = true
    if (status !== 'audited') return
    const { sampling } = this.#options
    const { worker } = attempt
    const answer = answerOf(attempt) as Payload
    sampling.came(worker as ModelWorker, this.#query.payload, answer, place, this.#memory)
  }
}

function unproven({ answer, by }: Answer, status: Answer['status']): Answer {
  return { kind: 'answer', answer, status, confidence: undefined, by }
}
