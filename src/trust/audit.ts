/**
 * Sends one query to several workers, though one would do, to find liars. It asks further workers until enough agree to prove an answer, and tries
 * an ejected worker as well. No caller waits for it.
 */

import type { Payload } from '../base/payload'
import type { Apart, Attempt, Attempts, Identity, Owner, Priority } from '../pool/attempt'
import { answerOf } from '../service'
import type { ModelWorker } from '../workers/worker'
import { agreement } from './acceptance'
import { findingOf } from './equality'
import type { Reputation } from './reputation'

/**
 * An audit asks at least this many workers before it gives up. Answers that never agree mean that workers run different models, or that the model
 * is random.
 */
const MOST = 5

export class Audit implements Owner, Apart {
  readonly #pool: Attempts<Payload, Payload>
  readonly #reputation: Reputation
  readonly #payload: Payload
  /** Attempts that were answered before the audit, and in it; and all attempts of the audit. */
  readonly #answered: Attempt<Payload, Payload>[]
  readonly #asked: Attempt<Payload, Payload>[] = []
  /** An attempt at an ejected worker: its answer is only compared. */
  readonly #trial: Attempt<Payload, Payload> | undefined
  readonly #renewals: number
  /** The answers that agree, and so prove each other. */
  #proven: readonly Payload[] | undefined

  /** @param answered  the attempts for the query so far, at least one */
  constructor(
    pool: Attempts<Payload, Payload>,
    reputation: Reputation,
    payload: Payload,
    answered: readonly Attempt<Payload, Payload>[],
  ) {
    this.#pool = pool
    this.#reputation = reputation
    this.#renewals = reputation.evidence.renewals
    this.#payload = payload
    this.#answered = [...answered]
    const trial = this.#submission('low')
    this.#trial = pool.trial({ ...trial, apart: [...trial.apart, reputation.trials] })
  }

  /** Asks one more worker if a proof needs one and one is available. */
  proceed(): void {
    if (this.#proven) return
    const { liars, equality } = this.#reputation
    const answers = this.#answered.map((attempt) => answerOf(attempt) as Payload)
    const { agreeing, lies } = agreement(liars).judge(answers, equality)
    if (agreeing.length > Math.max(1, liars)) {
      this.#proven = agreeing.map((i) => answers[i])
      for (const i of agreeing) this.#reputation.proven(workerOf(this.#answered[i]))
      for (const i of lies) this.#reputation.lied(workerOf(this.#answered[i]))
      for (const i of answers.keys()) {
        const isOdd = !agreeing.includes(i) && !lies.includes(i)
        if (isOdd && findingOf(answers[i], this.#proven, equality) === 'deviant')
          this.#reputation.deviated(workerOf(this.#answered[i]))
      }
      return this.#compare()
    }
    if (!this.#mayAsk(agreeing.length === answers.length)) return
    this.#asked.push(this.#pool.submit(this.#submission('low')))
  }

  /** @param isAlike  all answers so far agree: then the audit only takes a free worker */
  #mayAsk(isAlike: boolean): boolean {
    const most = Math.max(MOST, 2 * this.#reputation.liars + 2)
    const asked = this.#answered.length + this.#asked.filter((each) => !answerOf(each)).length
    if (asked >= most || this.#available < 1) return false
    return !isAlike || this.#pool.hasSpare
  }

  get #available(): number {
    return this.#pool.available(this.#blocked()) - this.#asked.filter(({ phase }) => phase === 'queued').length
  }

  *#blocked(): Generator<Identity> {
    for (const { outcome, identity } of [...this.#answered, ...this.#asked, ...(this.#trial ? [this.#trial] : [])]) {
      const isToBlame = !(outcome?.kind === 'failed' && outcome.blame === 'nobody')
      if (identity !== undefined && isToBlame) yield identity
    }
  }

  blocks(identity: Identity): boolean {
    return [...this.#blocked()].includes(identity)
  }

  #submission(priority: Priority) {
    return { payload: this.#payload, owner: this, apart: [this], priority }
  }

  settled(attempt: Attempt<Payload, Payload>): void {
    if (attempt !== this.#trial && !this.#asked.includes(attempt)) return
    this.#pool.record({ attempt, onTime: false })
    if (this.#renewals !== this.#reputation.evidence.renewals) return // another model by now
    if (attempt === this.#trial) return this.#compare()
    if (answerOf(attempt)) this.#answered.push(attempt)
    this.proceed()
  }

  #compare(): void {
    const answer = this.#trial && answerOf(this.#trial)
    if (!this.#trial || !answer || !this.#proven) return
    const finding = findingOf(answer, this.#proven, this.#reputation.equality)
    if (finding === 'right') this.#reputation.proven(workerOf(this.#trial))
    if (finding === 'lie') this.#reputation.lied(workerOf(this.#trial))
    if (finding === 'deviant') this.#reputation.deviated(workerOf(this.#trial))
  }
}

function workerOf({ worker }: Attempt): ModelWorker {
  return worker as ModelWorker
}
