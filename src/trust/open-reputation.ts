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

import type { Payload } from '../payload'
import type { Attempt, Identity } from '../pool/attempt'
import type { Status } from '../prediction'
import { type Asked, answerOf, failureOf, newAsked, workerOf } from '../query/asked'
import type { Strangers } from '../query/context'
import { identityOf, type ModelWorker } from '../workers/worker'
import { Candidates, type Stranger } from './candidates'
import { answersFor, checkShare, credibility, originOf } from './credibility'
import { agree, isLie, isNear } from './equality'
import { Quizzes } from './quizzes'
import { Reputation, type ReputationOptions } from './reputation'

/** Checks that are expected, for each trusted worker, beyond which strangers get no queries; and what one counts as: as 1 their line would have no bound. */
const MOST_EXPECTED = 4
const CHECK = 1.1
/** What a stranger loses of what it has earned where it gives no answer to what a trusted worker answers. */
const FAILURE = 0.02

export class OpenReputation extends Reputation implements Strangers {
  readonly #pool: ReputationOptions['pool']
  readonly #options: ReputationOptions
  readonly #own = new Set<Identity>()
  /** Its own, also those that have left with a query. */
  readonly #accepted = new WeakSet<ModelWorker>()
  readonly #all: Candidates
  /** Of the strangers those that are believed, and wait for trusted workers to get round to checks. */
  readonly #waiting = new Set<Identity>()
  /** Whose check came to nothing, since no trusted worker answered: the next answer is checked, also where it has left meanwhile. */
  readonly #owed = new Set<Identity>()
  /** Of its own those that hang, or cannot be reached, and have answered nothing since. */
  readonly #away = new Set<Identity>()
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

  override get strangers(): Strangers {
    return this
  }

  /** Also of one that has left: a friend that got its query would know that it is one. */
  has(identity: Identity): boolean {
    return !this.#own.has(identity)
  }

  doubts(worker: ModelWorker): boolean {
    return !this.#accepted.has(worker) && !this.isTrusted(worker)
  }

  worth(worker: ModelWorker): Status {
    return this.#accepted.has(worker) ? 'exact' : 'audited'
  }

  credibility(worker: ModelWorker): number {
    const { proven, ejections } = this.evidence.of(identityOf(worker))
    return credibility(proven, ejections)
  }

  among(strangers: readonly Identity[], blocked: readonly Identity[]): number {
    const all = [...new Set([...this.#own, ...strangers])]
    return all.filter((each) => !blocked.includes(each) && this.#pool.identities.isUsable(each)).length
  }

  override audits(): boolean {
    return false
  }

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
      this.#own.add(identity)
      this.#accepted.add(worker)
      this.#away.delete(identity)
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
    for (const each of [this.#all, this.#waiting, this.#away]) each.delete(identity)
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

  /** Where none of its own answers any more this is said, once. */
  missed({ worker, outcome }: Attempt): void {
    if (!worker || outcome?.kind !== 'failed') return
    const identity = identityOf(worker)
    const isAway = outcome.lost === 'silent' || !this.#pool.identities.isUsable(identity)
    if (!isAway || !this.#own.has(identity) || this.#away.has(identity)) return
    if (this.#away.add(identity).size < this.#own.size) return
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

  compared(payload: Payload, answered: readonly Asked[], all: readonly Asked[]): void {
    const right = answered.find((asked) => this.#accepted.has(workerOf(asked)))
    const own = right && answerOf(right)
    if (right && own) {
      if (right.verdict === 'none') this.#catchUp()
      this.#away.delete(identityOf(workerOf(right)))
      right.verdict = 'compared'
      this.proven(workerOf(right))
      for (const asked of all) this.#measure(asked, own)
      const isSeen = all.some(({ attempt }) => attempt.seenBy.length > 0)
      if (answered.length === 1 && !isSeen) this.#quizzes.keep({ payload: payload.kept(), answer: own.copy() }) // who has the answer may write to it
    } else for (const asked of answered) if (asked.onTime) this.evidence.proven(identityOf(workerOf(asked)))
  }

  /** What a stranger made of a query that a trusted worker has answered. */
  #measure(asked: Asked, own: Payload): void {
    const answer = answerOf(asked)
    const identity = answer ? identityOf(workerOf(asked)) : failureOf(asked)
    if (identity === undefined || this.#own.has(identity) || asked.verdict !== 'none') return // also who has left since
    asked.verdict = 'compared'
    if (!answer) return this.#lose(identity, FAILURE)
    if (asked.isChecked && agree(answer, own, this.equality)) this.evidence.proven(identity)
    else this.#judge(workerOf(asked), answer, own, asked)
  }

  #judge(worker: ModelWorker, answer: Payload, right: Payload, asked?: Asked): void {
    if (isLie(answer, right, this.equality)) {
      if (asked) asked.verdict = 'lie'
      this.lied(worker)
    } else if (!isNear(answer, right, this.equality)) this.deviated(worker)
  }

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

  checks(worker: ModelWorker): boolean {
    const identity = identityOf(worker)
    if (!this.#all.get(identity)) return false
    const isOwed = this.#owed.delete(identity)
    return this.#options.coin() < this.#share(identity) || isOwed
  }

  ended(asked: readonly Asked[]): void {
    const own = asked.find((each) => answerOf(each) && this.#accepted.has(workerOf(each)))
    for (const each of asked) {
      const { worker } = each.attempt
      if (!worker) continue
      // Who fails behind a trusted worker's answer could else choose to, but not who was told to stop.
      if (own && !worker.interruptible) this.#measure(each, answerOf(own) as Payload)
      else if (!own && each.isChecked) this.#owed.add(identityOf(worker))
    }
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
    const asked = newAsked(attempt as Asked['attempt'], 'trial', 0)
    this.#pool.tell(asked)
    stranger.isExamined = false
    const [answer, identity] = [answerOf(asked), identityOf(stranger.worker)]
    if (this.#all.get(identity) !== stranger || renewals !== this.evidence.renewals) return
    if (!answer) return this.#lose(identity, FAILURE) // else who is silent would be asked for ever, before all others
    if (!agree(answer, right, this.equality)) return this.#judge(stranger.worker, answer, right)
    this.evidence.proven(identity)
    this.#all.place(identity)
    this.#place(identity)
  }
}
