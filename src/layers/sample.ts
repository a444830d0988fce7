/**
 * Gives each answer at once, with the status that its worker deserves. A random part of the answers is audited: a trusted worker is asked
 * too, also after the query has ended.
 *
 * The layer stands around `hedge`. For parities it stands around the pool itself, since a worker that lies only to parities would never be
 * found otherwise.
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
  /** Learns a trusted worker's answers in audits. Default: nothing learns them, as for parities, which are no queries. */
  memoryOf?(query: Query): Pick<MemoryService, 'learn'> | undefined
}

export function sample(options: SampleOptions): Layer {
  return (next) => (query, caller) => new SampledCall(options, next, query, caller)
}

class SampledCall extends Relay implements Call {
  readonly #options: SampleOptions
  readonly #query: Query
  /** Fixed when the query comes, so that late answers teach no tenant that was removed since. */
  readonly #memory: Pick<MemoryService, 'learn'> | undefined
  readonly #call: Call
  #isOpen = true
  /** Whether the draw was made, or must not be made: only the first answer may be audited. */
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

  /** Layers above learn and grade only from exact answers. Otherwise a liar that is not ejected yet would influence every recovery. */
  override ended(attempt: Attempt): void {
    const isAnswer = answerOf(attempt) !== undefined
    const isKept = isAnswer && !this.#options.sampling.isExact(attempt.worker as ModelWorker)
    if (!isKept) this.caller.ended?.(attempt)
    if (isAnswer && !this.#isOpen) this.#draw(attempt) // otherwise `settled` follows, and draws
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

  /** @param status  with which it was given @param place  among the answers that can be recalled, if it was given */
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
