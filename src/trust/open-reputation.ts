/**
 * Trust in an open fleet, which any number of liars may join. Answers of trusted workers, the user's own, are right by definition. Any other worker
 * has to earn that its answers are given. First it gets spot checks: queries that a trusted worker has answered already, sent once more to this
 * worker alone. Once it is believed it gets queries of callers, and a coin decides for each of its answers whether it is checked: then a trusted
 * worker answers the query as well, and its answer is given. Checks never end, but become rarer: see credibility.ts.
 *
 * The coin is tossed when the answer has come. When it was tossed before the query was sent, colluders could tell from the load of the trusted
 * worker whether a query was checked. For the same reason an untrusted worker has one query at a time, and no other untrusted worker gets the same
 * one.
 */

import type { Payload } from '../base/payload'
import type { Status } from '../base/prediction'
import type { Attempt, Identity } from '../pool/attempt'
import { answerOf } from '../service'
import { identityOf, type ModelWorker } from '../workers/worker'
import { Candidates, type UntrustedWorker } from './candidates'
import { answersFor, checkShare, credibility, originOf } from './credibility'
import { agree, isLie, isNear } from './equality'
import { Reputation, type ReputationOptions } from './reputation'
import { type SpotCheck, SpotChecks } from './spot-checks'

/**
 * Checks that may be due for each trusted worker: beyond, untrusted workers get no queries. CHECK is what an expected check counts as; with 1 the
 * backlog would have no bound.
 */
const MOST_EXPECTED = 4
const CHECK = 1.1
/** Share of its credited answers that a worker loses when it fails on a query that a trusted worker answers. */
const FAILURE = 0.02

export class OpenReputation extends Reputation {
  readonly #pool: ReputationOptions['pool']
  readonly #options: ReputationOptions
  /** The trusted identities. `away`: it hangs or cannot be reached, and has not answered since. */
  readonly #own = new Map<Identity, 'here' | 'away'>()
  /** Trusted workers, also those that have left while they answer a query. */
  readonly #accepted = new WeakSet<ModelWorker>()
  readonly #all: Candidates
  /** Believed workers that get no queries until trusted workers have caught up with checks. */
  readonly #waiting = new Set<Identity>()
  /** Workers whose last check failed, since no trusted worker answered: their next answer is checked, also if they have left meanwhile. */
  readonly #owed = new Set<Identity>()
  /** Expected number of checks that trusted workers still have to answer. */
  #expected = 0
  readonly #spotChecks: SpotChecks

  constructor(options: ReputationOptions) {
    super(options)
    this.#options = options
    this.#pool = options.pool
    this.#all = new Candidates(this.evidence)
    this.#spotChecks = new SpotChecks(this.evidence)
  }

  override get openTrust(): OpenReputation {
    return this
  }

  /**
   * Whether it is an untrusted identity, also one that has left: a colluder that got the same query would know that the first worker was untrusted.
   */
  has(identity: Identity): boolean {
    return !this.#own.has(identity)
  }

  /** Whether a worker's answers count for nothing. */
  doubts(worker: ModelWorker): boolean {
    return !this.#accepted.has(worker) && !this.isTrusted(worker)
  }

  /** The status of a worker's answer. */
  worth(worker: ModelWorker): Status {
    return this.#accepted.has(worker) ? 'exact' : 'audited'
  }

  /** The credibility of a worker's answer, from 0 to 1. */
  credibility(worker: ModelWorker): number {
    const { proven, ejections } = this.evidence.of(identityOf(worker))
    return credibility(proven, ejections)
  }

  /** How many of the trusted identities and these untrusted ones can be reached and are not blocked. */
  among(untrusted: readonly Identity[], blocked: readonly Identity[]): number {
    const all = [...new Set([...this.#own.keys(), ...untrusted])]
    return all.filter((each) => !blocked.includes(each) && this.#pool.identities.isUsable(each)).length
  }

  /** Only a trusted worker proves an answer. */
  override compare(): void {}

  override isTrusted(worker: ModelWorker): boolean {
    const identity = identityOf(worker)
    return this.#own.has(identity) || (this.#all.get(identity) !== undefined && this.evidence.isTrusted(identity))
  }

  override resume(): void {
    for (const identity of this.evidence.workers) this.tidy(identity)
    const workers = this.#pool.identities.all().flatMap((identity) => [...this.#pool.identities.workersOf(identity)])
    // Trusted workers first, so that nobody else takes their names.
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
    const candidate = this.#all.get(identity)
    if (other && candidate) {
      this.#all.add(other, candidate.origin)
      this.#place(identity)
    }
    if (other) return
    for (const each of [this.#all, this.#waiting]) each.delete(identity)
    if (this.#own.delete(identity)) this.#warnAlone()
  }

  /**
   * Gives a worker queries if it is believed and checks are not behind. An identity with several workers gets none: it would not be known which of
   * its workers has which query.
   */
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

  /** Warns once when the last trusted worker stops answering. */
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

  /** The proof is a trusted worker's answer, so no majority is needed. */
  protected override canSpare(): boolean {
    return true
  }

  override lied(worker: ModelWorker): void {
    const identity = identityOf(worker)
    super.lied(worker)
    this.#lose(identity, 1)
    this.recall(worker) // also if it is no longer believed
  }

  /** The answer would have been given: the worker loses all of its credit, as by a lie. But below the bound of a proof it is not ejected. */
  override deviated(worker: ModelWorker): void {
    const identity = identityOf(worker)
    const wasBelieved = this.evidence.isTrusted(identity)
    this.evidence.deviated(identity)
    this.#lose(identity, 1)
    if (wasBelieved) this.report(worker, 'deviant')
    this.recall(worker)
  }

  #lose(identity: Identity, share: number): void {
    this.evidence.lose(identity, share)
    this.evidence.meet(identity, this.#needed(identity))
    this.#all.place(identity, true)
    if (this.#all.get(identity)) this.#place(identity)
    this.tidy(identity)
  }

  /** A trusted worker has answered a query, perhaps for a check. */
  answered(worker: ModelWorker): void {
    this.#catchUp()
    const identity = identityOf(worker)
    if (this.#own.has(identity)) this.#own.set(identity, 'here')
    this.proven(worker)
  }

  /** An untrusted worker's answer was given and is not known to be wrong: it is credited. */
  given(worker: ModelWorker): void {
    this.evidence.proven(identityOf(worker))
  }

  /**
   * Judges an untrusted worker's attempt by a trusted worker's answer to the same query.
   *
   * @param isChecked  its answer was drawn for a check: it is credited if right
   * @returns whether it is a lie
   */
  measure(attempt: Attempt, right: Payload, isChecked: boolean): boolean {
    const { worker, identity, outcome } = attempt
    if (!worker || identity === undefined || this.#own.has(identity)) return false // also a worker that has left since
    const answer = answerOf(attempt)
    if (!answer) {
      if (outcome?.kind === 'failed' && outcome.blame !== 'nobody') this.#lose(identity, FAILURE)
      return false
    }
    if (!isChecked || !agree(answer, right, this.equality)) return this.#judge(worker, answer, right)
    this.evidence.proven(identity)
    return false
  }

  /** A trusted worker has answered a query that no untrusted worker has seen: it can be a spot check. */
  keep(check: SpotCheck): void {
    this.#spotChecks.keep(check)
  }

  /** @returns whether it is a lie */
  #judge(worker: ModelWorker, answer: Payload, right: Payload): boolean {
    const isWrong = isLie(answer, right, this.equality)
    if (isWrong) this.lied(worker)
    else if (!isNear(answer, right, this.equality)) this.deviated(worker)
    return isWrong
  }

  began(worker: ModelWorker): void {
    const identity = identityOf(worker)
    if (this.#all.isAny && this.#spotChecks.isAny) this.#examine()
    if (!this.#all.get(identity) || !this.evidence.isTrusted(identity)) return
    this.#expected += CHECK * this.#share(identity)
    if (this.#isBehind) this.#place(identity)
  }

  #share(identity: Identity): number {
    return checkShare(this.evidence.of(identity).proven, this.#needed(identity))
  }

  /** Tosses the coin whether an answer is checked. */
  checks(worker: ModelWorker): boolean {
    const identity = identityOf(worker)
    if (!this.#all.get(identity)) return false
    const isOwed = this.#owed.delete(identity)
    return this.#options.coin() < this.#share(identity) || isOwed
  }

  /** A check of this identity failed, since no trusted worker answered. */
  owe(identity: Identity): void {
    this.#owed.add(identity)
  }

  /** A trusted worker has answered a query, perhaps for a check: waiting workers may go on. */
  #catchUp(): void {
    this.#expected = Math.max(0, this.#expected - 1)
    for (const identity of this.#waiting) {
      if (this.#isBehind) return
      this.#place(identity)
    }
  }

  /** Sends a spot check to the next candidate. */
  #examine(): void {
    const { identities } = this.#pool
    const isFree = ({ isExamined, worker }: UntrustedWorker) =>
      !isExamined && worker.free && identities.workersOf(identityOf(worker)).size < 2
    const candidate = this.#all.next(this.#options.coin(), isFree)
    if (!candidate) return
    const identity = identityOf(candidate.worker)
    const check = this.#spotChecks.take(this.#options.coin())
    const { renewals } = this.evidence
    const apart = [{ blocks: (other: Identity) => other !== identity }]
    const settled = (attempt: Attempt) => this.#examined(attempt, candidate, renewals, check.answer)
    candidate.isExamined = true // before the trial starts, which may end at once
    candidate.isExamined =
      this.#pool.trial({ payload: check.payload, owner: { settled }, apart, priority: 'low' }) !== undefined
    if (!candidate.isExamined) this.#spotChecks.keep(check)
  }

  #examined(attempt: Attempt, candidate: UntrustedWorker, renewals: number, right: Payload): void {
    this.#pool.record({ attempt, onTime: false })
    candidate.isExamined = false
    const [answer, identity] = [answerOf(attempt), identityOf(candidate.worker)]
    if (this.#all.get(identity) !== candidate || renewals !== this.evidence.renewals) return
    if (!answer) return this.#lose(identity, FAILURE) // else a silent worker would be checked for ever, before all others
    if (!agree(answer, right, this.equality)) return void this.#judge(candidate.worker, answer, right)
    this.evidence.proven(identity)
    this.#all.place(identity)
    this.#place(identity)
  }
}
