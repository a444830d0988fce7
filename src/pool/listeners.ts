/**
 * Who hears what becomes of rows: each hears of one, and then of another. Functions made for every row were a tenth of what a query in
 * flight holds; where thousands are in flight, what is new is copied from one collection of garbage to the next.
 */

import type { Call } from './call'
import type { Job } from './job'
import type { Member } from './member'

type Told = (member: Member, job: Job, call: Call, outcome: unknown) => void

interface Listener {
  member: Member | undefined
  job: Job | undefined
  call: Call | undefined
  answered(answer: unknown): void
  failed(error: unknown): void
}

export class Listeners {
  readonly #answered: Told
  readonly #failed: Told
  /** Those that hear of nothing now: as many as there once were rows at work, at most. */
  readonly #idle: Listener[] = []

  constructor(answered: Told, failed: Told) {
    this.#answered = answered
    this.#failed = failed
  }

  listen(member: Member, job: Job, call: Call, outcome: Promise<unknown>): void {
    const listener = this.#idle.pop() ?? this.#make()
    listener.member = member
    listener.job = job
    listener.call = call
    outcome.then(listener.answered, listener.failed)
  }

  #make(): Listener {
    const listener: Listener = {
      member: undefined,
      job: undefined,
      call: undefined,
      answered: (answer) => this.#tell(listener, this.#answered, answer),
      failed: (error) => this.#tell(listener, this.#failed, error),
    }
    return listener
  }

  /** It has heard, and may hear of another. */
  #tell(listener: Listener, told: Told, outcome: unknown): void {
    const { member, job, call } = listener
    listener.member = listener.job = listener.call = undefined
    this.#idle.push(listener)
    told(member as Member, job as Job, call as Call, outcome)
  }
}
