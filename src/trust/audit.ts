/**
 * One query that several workers answer though one would do, to find liars. It goes on asking until enough agree to prove an
 * answer, an ejected worker as well. Nobody waits for it.
 */

import type { Payload } from '../payload'
import type { Apart, Attempt, Attempts, Identity, Owner, Priority } from '../pool/attempt'
import { agreement } from '../query/acceptance'
import { type Asked, answerOf, blockedBy, isQueued, newAsked, workerOf } from '../query/asked'
import { findingOf } from '../query/equality'
import type { Reputation } from './reputation'

/** Workers that an audit asks at least before it gives up: where answers never agree, the model is not the same everywhere, or draws lots. */
const MOST = 5

export class Audit implements Owner, Apart {
  readonly #pool: Attempts<Payload, Payload>
  readonly #reputation: Reputation
  readonly #payload: Payload
  /** Those that answered, before it and since; and all that it asked. */
  readonly #heard: Asked[]
  readonly #asked: Asked[] = []
  /** To an ejected worker: what it answers is only compared. */
  readonly #trial: Asked | undefined
  readonly #renewals: number
  /** The answers that agree, and prove each other. */
  #proven: readonly Payload[] | undefined

  /** @param answered  attempts for the query, at least one */
  constructor(pool: Attempts<Payload, Payload>, reputation: Reputation, payload: Payload, answered: readonly Asked[]) {
    this.#pool = pool
    this.#reputation = reputation
    this.#renewals = reputation.evidence.renewals
    this.#payload = payload
    this.#heard = [...answered]
    const trial = this.#submission('low')
    const attempt = pool.trial({ ...trial, apart: [...trial.apart, reputation.trials] })
    this.#trial = attempt && newAsked(attempt, 'trial', 0)
  }

  /** Asks one more worker, where it takes one and there is one. */
  proceed(): void {
    if (this.#proven) return
    const { liars, equality } = this.#reputation
    const answers = this.#heard.flatMap((asked) => answerOf(asked) ?? [])
    if (answers.length < this.#heard.length) return // its query was ended
    const { agreeing, lies } = agreement(liars).judge(answers, equality)
    if (agreeing.length > Math.max(1, liars)) {
      this.#proven = agreeing.map((i) => answers[i])
      for (const i of agreeing) this.#reputation.proven(workerOf(this.#heard[i]))
      for (const i of lies) this.#reputation.lied(workerOf(this.#heard[i]))
      for (const i of answers.keys()) {
        const isOdd = !agreeing.includes(i) && !lies.includes(i)
        if (isOdd && findingOf(answers[i], this.#proven, equality) === 'deviant')
          this.#reputation.deviated(workerOf(this.#heard[i]))
      }
      return this.#compare()
    }
    if (!this.#mayAsk(agreeing.length === answers.length)) return
    const attempt = this.#pool.submit(this.#submission('low'))
    this.#asked.push(newAsked(attempt, 'proof', this.#asked.length))
  }

  /** @param isAlike  nobody disagrees: that is not worth an attempt that must wait for a worker */
  #mayAsk(isAlike: boolean): boolean {
    const most = Math.max(MOST, 2 * this.#reputation.liars + 2)
    const asked = this.#heard.length + this.#asked.filter((each) => !answerOf(each)).length
    if (asked >= most || this.#available < 1) return false
    return !isAlike || this.#pool.hasSpare
  }

  get #available(): number {
    return this.#pool.available(this.#blocked()) - this.#asked.filter(isQueued).length
  }

  *#blocked(): Generator<Identity> {
    for (const asked of [...this.#heard, ...this.#asked, ...(this.#trial ? [this.#trial] : [])]) {
      const identity = blockedBy(asked)
      if (identity !== undefined) yield identity
    }
  }

  blocks(identity: Identity): boolean {
    return [...this.#blocked()].includes(identity)
  }

  #submission(priority: Priority) {
    return { payload: this.#payload, owner: this, apart: [this], priority }
  }

  settled(attempt: Attempt): void {
    const asked = [...this.#asked, this.#trial].find((each) => each?.attempt === attempt)
    if (!asked) return
    this.#pool.tell(asked)
    if (this.#renewals !== this.#reputation.evidence.renewals) return // of another model than those before
    if (asked === this.#trial) return this.#compare()
    if (answerOf(asked)) this.#heard.push(asked)
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
