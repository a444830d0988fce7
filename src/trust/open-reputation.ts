/**
 * Trust in a fleet that anybody may join, where nobody can say how many lie. What the user's own workers answer is the model's. A
 * stranger has to earn that his word is taken, in quizzes: queries of callers that a trusted worker has answered, asked once more of
 * him alone. Once believed he has queries instead, and each answer is checked by a coin of its own: a trusted worker is asked as well, whose
 * answer is given. That goes on for ever, ever less often: see credibility.ts.
 *
 * Nothing tells a query that is checked from another before its answer has come, since the coin is thrown then. While it was thrown as the
 * query was sent, friends could tell from what they got meanwhile, as the trusted worker was busy or not. A stranger has one row at a time, alone,
 * and no other stranger has it.
 */

import type { Payload } from '../base/payload'
import type { Status } from '../base/prediction'
import type { Attempt, Identity } from '../pool/attempt'
import { answerOf } from '../service'
import { identityOf, type ModelWorker } from '../workers/worker'
import { Candidates, type Stranger } from './candidates'
import { answersFor, checkShare, credibility, originOf } from './credibility'
import { agree, isLie, isNear } from './equality'
import { type Quiz, Quizzes } from './quizzes'
import { Reputation, type ReputationOptions } from './reputation'

/** Checks that are expected, for each trusted worker, beyond which strangers get no queries; and what one counts as: as 1 their line would have no bound. */
const MOST_EXPECTED = 4
const CHECK = 1.1
/** What a stranger loses of what it has earned where it gives no answer to what a trusted worker answers. */
const FAILURE = 0.02

export class OpenReputation extends Reputation {
  readonly #pool: ReputationOptions['pool']
  readonly #options: ReputationOptions
  /** Its own. `away`: it hangs, or cannot be reached, and has answered nothing since. */
  readonly #own = new Map<Identity, 'here' | 'away'>()
  /** Workers of its own, also those that have left with a query. */
  readonly #accepted = new WeakSet<ModelWorker>()
  readonly #all: Candidates
  /** Of the strangers those that are believed, and wait for trusted workers to get round to checks. */
  readonly #waiting = new Set<Identity>()
  /** Whose check came to nothing, since no trusted worker answered: the next answer is checked, also where it has left meanwhile. */
  readonly #owed = new Set<Identity>()
  /** Checks that trusted workers are expected to have yet to answer. */
  #expected = 0
  readonly #quizzes: Quizzes

  constructor(options: ReputationOptions) {
    super(options)
    this.#options = options
    this.#pool = options.pool
    this.#all = new Candidates(this.evidence)
    this.#quizzes = new Quizzes(this.evidence)
  }

  override get strangers(): OpenReputation {
    return this
  }

  /** Whether it is a stranger's. Also of one that has left: a friend that got its query would know that it is one. */
  has(identity: Identity): boolean {
    return !this.#own.has(identity)
  }

  /** Whether what a worker says counts for nothing. */
  doubts(worker: ModelWorker): boolean {
    return !this.#accepted.has(worker) && !this.isTrusted(worker)
  }

  /** What an answer of a worker is by itself. */
  worth(worker: ModelWorker): Status {
    return this.#accepted.has(worker) ? 'exact' : 'audited'
  }

  /** What a stranger's answer is worth, from 0 to 1. */
  credibility(worker: ModelWorker): number {
    const { proven, ejections } = this.evidence.of(identityOf(worker))
    return credibility(proven, ejections)
  }

  /** How many trusted identities, and of these strangers, can be reached, but for those blocked. */
  among(strangers: readonly Identity[], blocked: readonly Identity[]): number {
    const all = [...new Set([...this.#own.keys(), ...strangers])]
    return all.filter((each) => !blocked.includes(each) && this.#pool.identities.isUsable(each)).length
  }

  /** Nobody proves an answer but a worker of its own. */
  override compare(): void {}

  override isTrusted(worker: ModelWorker): boolean {
    const identity = identityOf(worker)
    return this.#own.has(identity) || (this.#all.get(identity) !== undefined && this.evidence.isTrusted(identity))
  }

  override resume(): void {
    for (const identity of this.evidence.workers) this.tidy(identity)
    const workers = this.#pool.identities.all().flatMap((identity) => [...this.#pool.identities.workersOf(identity)])
    // Its own first, so that nobody takes their place.
    for (const worker of workers.sort((a, b) => Number(b.trusted ?? false) - Number(a.trusted ?? false))) {
      if (!this.joined(worker)) this.#pool.suspend(identityOf(worker))
    }
    this.#warnAlone()
  }

  override joined(worker: ModelWorker): boolean {
    super.joined(worker)
    const identity = identityOf(worker)
    const isAlone = !this.#all.get(identity)
    if (worker.trusted && isAlone) {
      this.#own.set(identity, 'here')
      this.#accepted.add(worker)
    }
    if (this.#own.has(identity)) return worker.trusted === true
    this.evidence.meet(identity, this.#needed(identity))
    this.#all.add(worker, originOf(worker.origin, identity))
    if (this.#place(identity) && isAlone) return true
    this.#pool.suspend(identity)
    return false
  }

  override left(worker: ModelWorker): void {
    super.left(worker)
    const identity = identityOf(worker)
    const [other] = this.#pool.identities.workersOf(identity)
    const stranger = this.#all.get(identity)
    if (other && stranger) {
      this.#all.add(other, stranger.origin)
      this.#place(identity)
    }
    if (other) return
    for (const each of [this.#all, this.#waiting]) each.delete(identity)
    if (this.#own.delete(identity)) this.#warnAlone()
  }

  /** It has queries where it is believed, unless checks are behind; of several workers of one identity nobody knows which one has what. */
  #place(identity: Identity): boolean {
    const isBelieved = this.evidence.isTrusted(identity)
    this.#waiting.delete(identity)
    if (isBelieved && this.#isBehind) this.#waiting.add(identity)
    const isAdmitted = isBelieved && !this.#isBehind && this.#pool.identities.workersOf(identity).size < 2
    this.#pool[isAdmitted ? 'readmit' : 'suspend'](identity)
    return isAdmitted
  }

  get #isBehind(): boolean {
    return this.#expected > MOST_EXPECTED * this.#own.size
  }

  #warnAlone(): void {
    if (!this.#own.size)
      this.#options.warn(
        'verify.trust: no worker is `trusted`: nothing can be proven, and no query is answered, until one joins',
      )
  }

  /** An attempt has an outcome: where none of its own answers any more this is said, once. */
  missed({ worker, outcome }: Attempt): void {
    if (!worker || outcome?.kind !== 'failed') return
    const identity = identityOf(worker)
    const isAway = outcome.lost === 'silent' || !this.#pool.identities.isUsable(identity)
    if (!isAway || this.#own.get(identity) !== 'here') return
    this.#own.set(identity, 'away')
    for (const where of this.#own.values()) if (where === 'here') return
    this.#options.warn(
      `verify.trust: no trusted worker answers (${outcome.error.message}): nothing is checked, and soon no query is answered, until one does, or another one joins`,
    )
  }

  #needed(identity: Identity): number {
    return answersFor(this.integrity, this.evidence.of(identity).ejections)
  }

  /** The word against it is a trusted worker's. */
  protected override canSpare(): boolean {
    return true
  }

  override lied(worker: ModelWorker): void {
    const identity = identityOf(worker)
    super.lied(worker)
    this.#lose(identity, 1)
    this.recall(worker) // also where it was believed once, and not any more
  }

  /** Its answer would have been given, so that all is lost as by a lie; but below what is proof nobody is convicted. */
  override deviated(worker: ModelWorker): void {
    const identity = identityOf(worker)
    const wasBelieved = this.evidence.isTrusted(identity)
    this.evidence.deviated(identity)
    this.#lose(identity, 1)
    if (wasBelieved) this.tell(worker, 'deviant')
    this.recall(worker)
  }

  #lose(identity: Identity, share: number): void {
    this.evidence.lose(identity, share)
    this.evidence.meet(identity, this.#needed(identity))
    this.#all.place(identity, true)
    if (this.#all.get(identity)) this.#place(identity)
    this.tidy(identity)
  }

  /** A worker of its own has answered what may have been a check. */
  answered(worker: ModelWorker): void {
    this.#catchUp()
    const identity = identityOf(worker)
    if (this.#own.has(identity)) this.#own.set(identity, 'here')
    this.proven(worker)
  }

  /** A stranger's answer was given, and nothing has shown that it is wrong: it counts for him. */
  given(worker: ModelWorker): void {
    this.evidence.proven(identityOf(worker))
  }

  /**
   * What a stranger made of a query that a trusted worker has answered.
   *
   * @param isChecked  its answer was drawn for a check: it counts for him where it is right
   * @returns whether it is a lie
   */
  measure(attempt: Attempt, right: Payload, isChecked: boolean): boolean {
    const { worker, identity, outcome } = attempt
    if (!worker || identity === undefined || this.#own.has(identity)) return false // also one that has left since
    const answer = answerOf(attempt)
    if (!answer) {
      if (outcome?.kind === 'failed' && outcome.blame !== 'nobody') this.#lose(identity, FAILURE)
      return false
    }
    if (!isChecked || !agree(answer, right, this.equality)) return this.#judge(worker, answer, right)
    this.evidence.proven(identity)
    return false
  }

  /** A trusted worker has answered what no stranger has seen. */
  keep(quiz: Quiz): void {
    this.#quizzes.keep(quiz)
  }

  /** @returns whether it is a lie */
  #judge(worker: ModelWorker, answer: Payload, right: Payload): boolean {
    const isWrong = isLie(answer, right, this.equality)
    if (isWrong) this.lied(worker)
    else if (!isNear(answer, right, this.equality)) this.deviated(worker)
    return isWrong
  }

  /** A worker has begun with a query, or with one more attempt for it. */
  began(worker: ModelWorker): void {
    const identity = identityOf(worker)
    if (this.#all.isAny && this.#quizzes.isAny) this.#examine()
    if (!this.#all.get(identity) || !this.evidence.isTrusted(identity)) return
    this.#expected += CHECK * this.#share(identity)
    if (this.#isBehind) this.#place(identity)
  }

  #share(identity: Identity): number {
    return checkShare(this.evidence.of(identity).proven, this.#needed(identity))
  }

  /** Whether an answer that came is checked; drawn anew each time. */
  checks(worker: ModelWorker): boolean {
    const identity = identityOf(worker)
    if (!this.#all.get(identity)) return false
    const isOwed = this.#owed.delete(identity)
    return this.#options.coin() < this.#share(identity) || isOwed
  }

  /** A check of this one's came to nothing: no trusted worker answered. */
  owe(identity: Identity): void {
    this.#owed.add(identity)
  }

  /** A trusted worker has answered what may have been a check. */
  #catchUp(): void {
    this.#expected = Math.max(0, this.#expected - 1)
    for (const identity of this.#waiting) {
      if (this.#isBehind) return
      this.#place(identity)
    }
  }

  /** A newcomer gets a quiz. */
  #examine(): void {
    const { identities } = this.#pool
    const isFree = ({ isExamined, worker }: Stranger) =>
      !isExamined && worker.free && identities.workersOf(identityOf(worker)).size < 2
    const stranger = this.#all.next(this.#options.coin(), isFree)
    if (!stranger) return
    const identity = identityOf(stranger.worker)
    const quiz = this.#quizzes.take(this.#options.coin())
    const { renewals } = this.evidence
    const apart = [{ blocks: (other: Identity) => other !== identity }]
    const settled = (attempt: Attempt) => this.#examined(attempt, stranger, renewals, quiz.answer)
    stranger.isExamined = true // by the attempt that begins now, if it does
    stranger.isExamined =
      this.#pool.trial({ payload: quiz.payload, owner: { settled }, apart, priority: 'low' }) !== undefined
    if (!stranger.isExamined) this.#quizzes.keep(quiz)
  }

  #examined(attempt: Attempt, stranger: Stranger, renewals: number, right: Payload): void {
    this.#pool.tell({ attempt, onTime: false })
    stranger.isExamined = false
    const [answer, identity] = [answerOf(attempt), identityOf(stranger.worker)]
    if (this.#all.get(identity) !== stranger || renewals !== this.evidence.renewals) return
    if (!answer) return this.#lose(identity, FAILURE) // else who is silent would be asked for ever, before all others
    if (!agree(answer, right, this.equality)) return void this.#judge(stranger.worker, answer, right)
    this.evidence.proven(identity)
    this.#all.place(identity)
    this.#place(identity)
  }
}
