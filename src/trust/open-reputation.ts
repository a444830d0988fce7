/**
 * Trust in a fleet that anybody may join, where nobody can say how many lie. What the user's own workers answer is the model's. A
 * stranger has to earn that his word is taken, in quizzes: queries of callers that a trusted worker has answered, asked once more of
 * him alone. Once believed he has queries instead, and each is checked by a coin of its own: a trusted worker is asked at the same time,
 * whose answer is given. That goes on for ever, ever less often: see credibility.ts.
 *
 * Nothing tells a query that is checked from another, neither its content nor its time: the coin is thrown after it was sent. A stranger has
 * one row at a time, alone, and no other stranger has it, so that no friend can tell what became of it.
 */

import type { Payload } from '../payload'
import type { Apart, Attempt, Identity, Owner } from '../pool/attempt'
import { type Asked, answerOf, failureOf, newAsked, workerOf } from '../query/asked'
import type { Strangers } from '../query/context'
import { agree, isLie, isNear } from '../query/equality'
import { identityOf, type ModelWorker } from '../workers/worker'
import { answersFor, checkShare, credibility, originOf } from './credibility'
import { Reputation, type ReputationOptions } from './reputation'

/** Quizzes that are kept at most, and values in them. */
const MOST_KEPT = 256
const MOST_VALUES = 2 ** 23
/**
 * Checks that are expected, for each trusted worker, beyond which strangers get no queries; and what one counts as. Whether the coin has come
 * up does not count: a stranger that withholds an answer could tell from what its friends get. As 1 the line of checks would have no bound.
 */
const MOST_EXPECTED = 4
const CHECK = 1.1
/** What a stranger loses of what it has earned where it gives no answer to what a trusted worker answers. */
const FAILURE = 0.02
/** More right answers than anybody has. */
const MOST_COUNT = 2 ** 40

/** A query of a caller that no stranger has seen, and its answer. */
interface Quiz {
  readonly payload: Payload
  readonly answer: Payload
}

interface Stranger {
  readonly worker: ModelWorker
  readonly origin: string
  /** It is at work on a quiz. */
  isExamined: boolean
}

export class OpenReputation extends Reputation implements Strangers {
  readonly #pool: ReputationOptions['pool']
  readonly #options: ReputationOptions
  readonly #own = new Set<Identity>()
  readonly #all = new Map<Identity, Stranger>()
  /** Of these, those that are not believed, and those that are, and wait for trusted workers to get round to checks. */
  readonly #newcomers = new Set<Identity>()
  readonly #waiting = new Set<Identity>()
  /** Checks that trusted workers are expected to have yet to begin with. */
  #expected = 0
  #kept: Quiz[] = []
  #renewals: number

  constructor(options: ReputationOptions) {
    super(options)
    this.#options = options
    this.#pool = options.pool
    this.#renewals = this.evidence.renewals
  }

  override get strangers(): Strangers {
    return this
  }

  /** Also of one that has left: a friend that got its query would know that it is one. */
  has(identity: Identity): boolean {
    return !this.#own.has(identity)
  }

  doubts(worker: ModelWorker): boolean {
    return !this.isTrusted(worker)
  }

  credibility(worker: ModelWorker): number {
    const identity = identityOf(worker)
    const { proven, ejections } = this.evidence.of(identity)
    return this.#own.has(identity) ? 1 : credibility(proven, ejections)
  }

  others(blocked: readonly Identity[]): number {
    return [...this.#own].filter((identity) => !blocked.includes(identity) && this.#isThere(identity)).length
  }

  #isThere(identity: Identity): boolean {
    return this.#pool.identities.workersOf(identity).some(({ gone }) => !gone)
  }

  override audits(): boolean {
    return false
  }

  override isTrusted(worker: ModelWorker): boolean {
    const identity = identityOf(worker)
    return this.#own.has(identity) || (this.#all.has(identity) && this.evidence.isTrusted(identity))
  }

  override resume(): void {
    for (const identity of this.evidence.workers) this.tidy(identity)
    const workers = this.#pool.identities.all().flatMap((identity) => this.#pool.identities.workersOf(identity))
    // Its own first, so that nobody takes their place.
    for (const worker of workers.sort((a, b) => Number(b.trusted ?? false) - Number(a.trusted ?? false))) {
      if (!this.joined(worker)) this.#pool.eject(identityOf(worker))
    }
    this.#warnAlone()
  }

  override joined(worker: ModelWorker): boolean {
    super.joined(worker)
    const identity = identityOf(worker)
    if (worker.trusted && !this.#all.has(identity)) this.#own.add(identity)
    if (this.#own.has(identity)) return worker.trusted === true
    this.evidence.meet(identity, this.#needed(identity))
    const origin = originOf(worker.origin, identity)
    const isAlone = !this.#all.has(identity)
    this.#all.set(identity, { worker, origin, isExamined: false })
    if (this.#place(identity) && isAlone) return true
    this.#pool.eject(identity)
    return false
  }

  override left(worker: ModelWorker): void {
    super.left(worker)
    const identity = identityOf(worker)
    const [other] = this.#pool.identities.workersOf(identity)
    const stranger = this.#all.get(identity)
    if (other && stranger) {
      this.#all.set(identity, { ...stranger, worker: other, isExamined: false })
      this.#place(identity)
    }
    if (other) return
    for (const each of [this.#all, this.#newcomers, this.#waiting]) each.delete(identity)
    if (this.#own.delete(identity)) this.#warnAlone()
  }

  /** It has queries where it is believed, unless checks are behind; of several workers of one identity nobody knows which one has what. */
  #place(identity: Identity): boolean {
    const isBelieved = this.evidence.isTrusted(identity)
    this.#newcomers.delete(identity)
    this.#waiting.delete(identity)
    if (!isBelieved) this.#newcomers.add(identity)
    else if (this.#isBehind) this.#waiting.add(identity)
    const isAdmitted = isBelieved && !this.#isBehind && this.#isAlone(identity)
    this.#pool[isAdmitted ? 'readmit' : 'eject'](identity)
    return isAdmitted
  }

  #isAlone(identity: Identity): boolean {
    return this.#pool.identities.workersOf(identity).length < 2
  }

  get #isBehind(): boolean {
    return this.#expected > MOST_EXPECTED * this.#own.size
  }

  #warnAlone(): void {
    if (!this.#own.size) this.#options.warn('verify.trust: no worker is `trusted`: nothing can be proven, and no query is answered, until one joins') // biome-ignore format: one line
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
  }

  #lose(identity: Identity, share: number): void {
    this.evidence.lose(identity, share)
    this.evidence.meet(identity, this.#needed(identity))
    const stranger = this.#all.get(identity)
    if (stranger && this.#all.delete(identity)) this.#all.set(identity, stranger) // of equal ones of its origin it is the last now
    if (stranger) this.#place(identity)
    this.tidy(identity)
  }

  override compare(payload: Payload, answered: readonly Asked[], all: readonly Asked[]): void {
    const right = answered.find((asked) => this.#own.has(identityOf(workerOf(asked))))
    const own = right && answerOf(right)
    if (right && own) {
      this.proven(workerOf(right))
      for (const asked of all) this.#measure(asked, own)
      const isSeen = all.some(({ attempt: { worker } }) => worker && this.has(identityOf(worker)))
      if (answered.length === 1 && !isSeen) this.#keep({ payload: payload.kept(), answer: own.copy() }) // who has the answer may write to it
    } else for (const asked of answered) if (asked.onTime) this.evidence.proven(identityOf(workerOf(asked)))
  }

  /** What a stranger made of a query that a trusted worker has answered. */
  #measure(asked: Asked, own: Payload): void {
    const answer = answerOf(asked)
    const identity = answer ? identityOf(workerOf(asked)) : failureOf(asked)
    if (identity === undefined || !this.#all.has(identity) || asked.verdict !== 'none') return
    asked.verdict = 'compared'
    if (!answer) return this.#lose(identity, FAILURE)
    if (asked.isChecked && agree(answer, own, this.equality)) this.evidence.proven(identity)
    else this.#judge(workerOf(asked), answer, own, asked)
  }

  /** An answer beyond rounding would have been given, so that all is lost as by a lie; but below what is proof nobody is convicted. */
  #judge(worker: ModelWorker, answer: Payload, right: Payload, asked?: Asked): void {
    if (!isLie(answer, right, this.equality)) return isNear(answer, right, this.equality) ? undefined : this.#lose(identityOf(worker), 1) // biome-ignore format: one line
    if (asked) asked.verdict = 'lie'
    this.lied(worker)
  }

  #keep(quiz: Quiz): void {
    if (this.#renewals !== this.evidence.renewals) this.#kept = []
    this.#renewals = this.evidence.renewals
    this.#kept.push(quiz)
    const most = Math.max(2, Math.min(MOST_KEPT, Math.floor(MOST_VALUES / (quiz.payload.size + quiz.answer.size))))
    this.#kept.splice(0, this.#kept.length - most)
  }

  began(worker: ModelWorker): boolean {
    const identity = identityOf(worker)
    if (this.#own.has(identity)) this.#catchUp()
    if (this.#newcomers.size && this.#kept.length && this.#renewals === this.evidence.renewals) this.#examine()
    if (!this.#all.has(identity) || !this.evidence.isTrusted(identity)) return false
    const share = checkShare(this.evidence.of(identity).proven, this.#needed(identity))
    this.#expected += CHECK * share
    if (this.#isBehind) this.#place(identity)
    return this.#options.coin() < share
  }

  /** A trusted worker has begun with what may have been a check. */
  #catchUp(): void {
    this.#expected = Math.max(0, this.#expected - 1)
    for (const identity of this.#waiting) {
      if (this.#isBehind) return
      this.#place(identity)
    }
  }

  /** A newcomer gets a quiz. */
  #examine(): void {
    const next = this.#next
    if (!next) return
    const [identity, stranger] = next
    const at = Math.floor(this.#options.coin() * this.#kept.length)
    const apart: Apart = { blocks: (other) => other !== identity }
    const { payload, answer } = this.#kept[at]
    const owner: Owner = { settled: (attempt) => this.#examined(attempt, stranger, answer) }
    stranger.isExamined = true // by the attempt that begins now, if it does
    stranger.isExamined = this.#pool.trial({ payload, owner, apart: [apart], priority: 'low' }) !== undefined
    if (stranger.isExamined) this.#kept.splice(at, 1)
  }

  /** Of each origin the best that can be reached, of equal ones the first: others do not count, for they may be the same person. */
  #foremost(): ReadonlyMap<string, Identity> {
    const foremost = new Map<string, Identity>()
    for (const [identity, { origin, worker }] of this.#all) {
      const other = foremost.get(origin)
      if (worker.gone || (other !== undefined && this.#rank(identity) <= this.#rank(other))) continue
      foremost.set(origin, identity)
    }
    return foremost
  }

  /** Of the newcomers that could take a row now the one with most right answers, since a quiz is worth most there; of equal ones any. */
  get #next(): [Identity, Stranger] | undefined {
    const foremost = this.#foremost()
    const free = [...this.#all].filter(([identity, { isExamined, origin, worker }]) => {
      const isNext = this.#newcomers.has(identity) && foremost.get(origin) === identity
      return isNext && !isExamined && worker.free && this.#isAlone(identity)
    })
    const most = Math.max(...free.map(([identity]) => this.#rank(identity)))
    const equal = free.filter(([identity]) => this.#rank(identity) === most)
    return equal[Math.floor(this.#options.coin() * equal.length)]
  }

  /** Who lied comes last. */
  #rank(identity: Identity): number {
    const { lies, proven } = this.evidence.of(identity)
    return proven - MOST_COUNT * Math.sign(lies)
  }

  #examined(attempt: Attempt, stranger: Stranger, right: Payload): void {
    const asked = newAsked(attempt as Asked['attempt'], 'trial', 0)
    this.#pool.tell(asked)
    stranger.isExamined = false
    const [answer, identity] = [answerOf(asked), identityOf(stranger.worker)]
    if (this.#all.get(identity) !== stranger || this.#renewals !== this.evidence.renewals) return
    if (!answer) return this.#lose(identity, FAILURE) // else who is silent would be asked for ever, before all others
    if (!agree(answer, right, this.equality)) return this.#judge(stranger.worker, answer, right)
    this.evidence.proven(identity)
    this.#place(identity)
  }
}
