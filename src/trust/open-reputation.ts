/**
 * Trust in a fleet that anybody may join, where nobody can say how many lie. What the user's own workers answer is the model's. A
 * stranger has to earn that his word is taken, in quizzes: queries of callers that a trusted worker has answered, asked once more of
 * him alone. Who is believed is quizzed for ever, ever less often: see credibility.ts. Trusted workers are asked nothing for that.
 *
 * Nothing tells a quiz from a query. A stranger has one row at a time, alone, and no other stranger has it: no batch, no row behind
 * another, and no friend's hedge shows that it is a query. Each row is a quiz by a coin of its own, and the quiz is sent when a query might have been.
 */

import type { Payload } from '../payload'
import type { Apart, Attempt, Identity, Owner } from '../pool/attempt'
import { type Asked, answerOf, failureOf, newAsked, workerOf } from '../query/asked'
import type { Strangers } from '../query/context'
import { agree, isLie, isNear } from '../query/equality'
import { identityOf, type ModelWorker } from '../workers/worker'
import { answersFor, credibility, originOf, quizShare } from './credibility'
import { Reputation, type ReputationOptions } from './reputation'

/** Quizzes that are kept at most, and values in them; and those reserved for believed workers, which answer no query until they have had theirs. */
const MOST_KEPT = 256
const MOST_VALUES = 2 ** 23
const RESERVE = 16
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
  /** Of these, those that are not believed, and those that are, and whose next row is a quiz. */
  readonly #newcomers = new Set<Identity>()
  readonly #due = new Set<Identity>()
  #kept: Quiz[] = []
  #most = MOST_KEPT
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
    if (this.#all.has(identity)) this.#pool.eject(identity)
    this.#all.set(identity, { worker, origin, isExamined: false })
    this.#wait(identity)
    return false
  }

  override left(worker: ModelWorker): void {
    super.left(worker)
    const identity = identityOf(worker)
    const [other] = this.#pool.identities.workersOf(identity)
    const stranger = this.#all.get(identity)
    if (other && stranger) this.#all.set(identity, { ...stranger, worker: other, isExamined: false })
    if (other) return
    for (const each of [this.#all, this.#newcomers, this.#due]) each.delete(identity)
    if (this.#own.delete(identity)) this.#warnAlone()
  }

  /** Its next row is a quiz. */
  #wait(identity: Identity): void {
    const isBelieved = this.evidence.isTrusted(identity)
    this.#due.delete(identity)
    this.#newcomers.delete(identity)
    ;(isBelieved ? this.#due : this.#newcomers).add(identity)
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
    if (stranger && !this.evidence.isTrusted(identity)) {
      this.#wait(identity)
      this.#pool.eject(identity)
    }
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
    } else for (const asked of answered) if (asked.onTime) this.#credit(identityOf(workerOf(asked)))
  }

  /** What a stranger made of a query that a trusted worker has answered. */
  #measure(asked: Asked, own: Payload): void {
    const answer = answerOf(asked)
    const identity = answer ? identityOf(workerOf(asked)) : failureOf(asked)
    if (identity === undefined || !this.#all.has(identity) || asked.verdict !== 'none') return
    asked.verdict = 'compared'
    if (!answer) return this.#lose(identity, FAILURE)
    this.#judge(workerOf(asked), answer, own, asked)
  }

  /** An answer beyond rounding would have been given, so that all is lost as by a lie; but below what is proof nobody is convicted. */
  #judge(worker: ModelWorker, answer: Payload, right: Payload, asked?: Asked): void {
    if (!isLie(answer, right, this.equality)) return isNear(answer, right, this.equality) ? undefined : this.#lose(identityOf(worker), 1) // biome-ignore format: one line
    if (asked) asked.verdict = 'lie'
    this.lied(worker)
  }

  /** One answer more that is its own. */
  #credit(identity: Identity): void {
    this.evidence.proven(identity)
  }

  #keep(quiz: Quiz): void {
    if (this.#renewals !== this.evidence.renewals) this.#kept = []
    this.#renewals = this.evidence.renewals
    this.#kept.push(quiz)
    this.#most = Math.max(2, Math.min(MOST_KEPT, Math.floor(MOST_VALUES / (quiz.payload.size + quiz.answer.size))))
    this.#kept.splice(0, this.#kept.length - this.#most)
  }

  began(worker: ModelWorker): void {
    this.#draw(identityOf(worker))
    if (this.#kept.length && this.#renewals === this.evidence.renewals) this.#examine()
  }

  /** Whether the next row of a stranger that is believed is a quiz. */
  #draw(identity: Identity): void {
    if (!this.#all.has(identity) || !this.evidence.isTrusted(identity)) return
    this.#wait(identity)
    const share = quizShare(this.evidence.of(identity).proven, this.#needed(identity))
    if (this.#options.coin() < share) return this.#pool.eject(identity)
    this.#due.delete(identity)
    this.#pool.readmit(identity)
  }

  /** A query was sent: another one might have been sent to a stranger that waits for its quiz, or a newcomer. */
  #examine(): void {
    const { coin } = this.#options
    const chosen = this.#chosen()
    if (!chosen) return
    const [identity, stranger] = chosen
    const at = Math.floor(coin() * this.#kept.length)
    const apart: Apart = { blocks: (other) => other !== identity }
    const { payload, answer } = this.#kept[at]
    const owner: Owner = { settled: (attempt) => this.#examined(attempt, stranger, answer) }
    stranger.isExamined = true // by the attempt that begins now, if it does
    stranger.isExamined = this.#pool.trial({ payload, owner, apart: [apart], priority: 'low' }) !== undefined
    if (stranger.isExamined) this.#kept.splice(at, 1)
  }

  /** Of those that are believed, which go first, or of newcomers, the one with most right answers: a quiz is worth most there. */
  #chosen(): [Identity, Stranger] | undefined {
    const { usable, utilisation } = this.#pool
    const foremost = this.#foremost()
    const believed = this.#best(this.#free(this.#due, foremost))
    if (believed) return this.#options.coin() < 1 / (1 + usable * (1 - utilisation)) ? believed : undefined
    if (this.#kept.length <= Math.min(RESERVE, this.#most / 2)) return undefined
    return this.#best(this.#free(this.#newcomers, foremost))
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

  /** Those that could take a row now. Of several workers of one identity nobody knows which one has what. */
  #free(identities: ReadonlySet<Identity>, foremost: ReadonlyMap<string, Identity>): [Identity, Stranger][] {
    const all = Array.from(identities, (identity): [Identity, Stranger] => [identity, this.#all.get(identity) as Stranger]) // biome-ignore format: one line
    return all.filter(([identity, { isExamined, origin, worker }]) => {
      const isNext = !isExamined && worker.free && foremost.get(origin) === identity
      return isNext && this.#pool.identities.workersOf(identity).length === 1
    })
  }

  /** Who lied comes last. */
  #rank(identity: Identity): number {
    const { lies, proven } = this.evidence.of(identity)
    return proven - MOST_COUNT * Math.sign(lies)
  }

  /** Of equal ones any. */
  #best(all: readonly [Identity, Stranger][]): [Identity, Stranger] | undefined {
    const most = Math.max(...all.map(([identity]) => this.#rank(identity)))
    const equal = all.filter(([identity]) => this.#rank(identity) === most)
    return equal[Math.floor(this.#options.coin() * equal.length)]
  }

  #examined(attempt: Attempt, stranger: Stranger, right: Payload): void {
    const asked = newAsked(attempt as Asked['attempt'], 'trial', 0)
    this.#pool.tell(asked)
    stranger.isExamined = false
    const [answer, identity] = [answerOf(asked), identityOf(stranger.worker)]
    if (this.#all.get(identity) !== stranger || this.#renewals !== this.evidence.renewals) return
    if (!answer) return this.#lose(identity, FAILURE) // else who is silent would be asked for ever, before all others
    if (!agree(answer, right, this.equality)) return this.#judge(stranger.worker, answer, right)
    this.#credit(identity)
    this.#draw(identity)
  }
}
