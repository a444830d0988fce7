/**
 * Up to E workers may lie, even in collusion: E + 1 workers that agree prove an answer, since at least one of them is honest. If the memory
 * is confident of the same answer, one worker is enough.
 *
 * Each voter is a call of the layer beneath, which hedges and retries it. Every answer counts as a vote, late answers too. Layers above
 * hear that an attempt was answered (`ended`) only once its answer is proven, so that they learn from no lie.
 */

import type { Clock } from '../base/clock'
import { ApproxiferError } from '../base/errors'
import type { Payload } from '../base/payload'
import type { Status } from '../base/prediction'
import type { MemoryService, RecalledAnswer } from '../memory/service'
import type { Apart, Attempt, Attempts, Owner, Priority } from '../pool/attempt'
import {
  answerOf,
  type Call,
  type Caller,
  changed,
  type Drop,
  type Failure,
  type Layer,
  type Outcome,
  OutgoingCall,
  OVERTIME_MS,
  type Query,
  type Service,
} from '../service'
import { type Acceptance, agreement, type Judgement } from '../trust/acceptance'
import { distanceFrom } from '../trust/distance'
import { type Equality, findingOf } from '../trust/equality'
import { identityOf, type ModelWorker } from '../workers/worker'
import type { Lateness } from './lateness'
import { type Timeable, Timers } from './timers'

export interface AgreeOptions {
  readonly clock: Clock
  /** E, the number of workers that may lie. */
  readonly liars: number
  /** After a query has brought down this many workers, it is blamed itself and no other worker gets it. */
  readonly mostDowns: number
  readonly pool: Pick<
    Attempts<Payload, Payload>,
    'available' | 'cancel' | 'isOverloaded' | 'nobody' | 'record' | 'trial' | 'usable'
  >
  readonly lateness: Pick<Lateness, 'ages'>
  readonly trust: Witnesses
  /** The memory of the query's tenant. */
  memoryOf(query: Query): MemoryService | undefined
  /** Whether the model's first answers contradict how its outputs are read. A memory checks no answer then. */
  isDoubted(): boolean
}

/** What the layer asks and reports of workers. */
export interface Witnesses {
  readonly equality: Equality
  /** Confidence from which the memory may check an answer; 1 means never. */
  readonly integrity: number
  isTrusted(worker: ModelWorker): boolean
  isSuspected(worker: ModelWorker): boolean
  /** Draws whether workers have to agree although the memory is confident: for any answer, or for this worker's. */
  audits(worker?: ModelWorker): boolean
  /** The four verdicts: the answer is proven right; it is proven a lie; it differs from the E + 1 that agree but is no lie; no answer came. */
  proven(worker: ModelWorker): void
  lied(worker: ModelWorker): void
  deviated(worker: ModelWorker): void
  silent(worker: ModelWorker): void
  /**
   * The confident memory agreed with the answer, or did not. @param distance  between the two answers, divided by the error that the memory
   * expected
   */
  checked(worker: ModelWorker, passed: boolean, distance: number): void
  /** Keeps trials away from ejected workers that will hardly pass them. */
  readonly trials: Apart
}

export function agree(options: AgreeOptions): Layer {
  return (next) => {
    const acceptance = agreement(options.liars)
    const layer: AgreeLayer = { ...options, next, acceptance, timers: new Timers(options.clock) }
    return (query, caller) => new AgreedCall(layer, query, caller)
  }
}

interface AgreeLayer extends AgreeOptions {
  readonly next: Service
  readonly acceptance: Acceptance
  readonly timers: Timers
}

type Vote = Attempt<Payload, Payload>

/** An error message quotes at most this many workers' errors. */
const MOST_REASONS = 3

class AgreedCall implements Call, Timeable {
  readonly #layer: AgreeLayer
  readonly #query: Query
  readonly #caller: Caller
  readonly #memory: MemoryService | undefined
  readonly #voters: VotingCall[] = []
  readonly #votes: Vote[] = []
  /** `open`: the memory may check a single answer. `wanted`: workers have to agree. An array: the answers that agree and prove each other. */
  #proof: 'open' | 'wanted' | readonly Payload[] = 'wanted'
  /** How many votes agree, and whether some vote differs from them: a worker lies or is wrong. */
  #agreeing = 0
  #isDisputed = false
  #isAsking = false
  /** Why no other worker is asked: its answer would be too late. */
  #refusal: Failure | undefined
  #isOpen = true
  /** The model was replaced: answers prove nothing any more. */
  #isVoid = false
  /** Whether the constructor has returned, and whether something happened before: the caller may not be called until it has the call. */
  #isKnown = false
  #isBehind = false
  /** Voters, a trial and a lookup that are not done, and 1 while the constructor runs. */
  #running = 1
  dueAt = Number.NaN
  timer: Timeable['timer']

  constructor(layer: AgreeLayer, query: Query, caller: Caller) {
    this.#layer = layer
    this.#query = query
    this.#caller = caller
    this.#memory = layer.memoryOf(query)
    query.tried.unproven = () => this.#believed.map(answerIn)
    const isAudited = layer.trust.audits()
    if (!query.refusal && !isAudited && this.#mayCheck && this.#memory?.isWarm) this.#proof = 'open'
    this.#ask(query.priority) // also where no worker is left: the pool's failure says why
    if (this.#proof === 'open') this.#recall(this.#memory as MemoryService)
    else if (!query.refusal) this.#askMore()
    this.#isKnown = true
    if (!this.#isBehind) this.#running--
    else
      queueMicrotask(() => {
        this.#advance()
        this.done()
      })
  }

  /** Attempts that run go on: their answers show who lies. */
  drop(why: Drop): void {
    const { trial } = this.#query.tried
    const wasOpen = this.#close()
    if (why !== 'void') return wasOpen ? this.#release() : undefined // a dispute goes on
    this.#isVoid = true
    for (const voter of [...this.#voters]) voter.drop(why)
    const isQueued = trial?.phase === 'queued' // queued again because its worker restarted: the pool does not notify the owner of a cancelled one
    if (trial) this.#layer.pool.cancel(trial as Vote)
    if (isQueued) this.done()
  }

  expire(): void {
    if (!this.#isOpen) return
    const [first] = this.#believed
    const isGiven = this.#query.choices.atDeadline === 'give' && first && !this.#isContradicted(answerIn(first))
    if (isGiven) this.#give(first, 'unverified', undefined)
    else this.#close(this.#failure(true))
    this.#release()
  }

  began(attempt: Attempt): void {
    this.#caller.began?.(attempt)
    const isFirst = attempt === this.#query.tried.attempts[0]
    if (isFirst && this.#isOpen && this.#proof === 'open' && this.#suspects(attempt.worker as ModelWorker)) {
      this.#proof = 'wanted'
      this.#advance()
    } else this.#plan()
  }

  ended(voter: VotingCall, attempt: Vote): void {
    const { outcome, worker } = attempt
    if (this.#isVoid) return
    if (outcome?.kind === 'answered') this.#vote(attempt, voter)
    else {
      if (outcome?.kind === 'failed' && outcome.blame !== 'nobody' && worker) this.#layer.trust.silent(worker)
      this.#caller.ended?.(attempt)
      if (this.#query.tried.downs >= this.#layer.mostDowns) this.#takeBack()
      const isTakenBack = !this.#isOpen && outcome?.kind === 'cancelled'
      if (voter.isSettled && !isTakenBack) this.#advance() // otherwise the voter asks another worker, or fails
    }
  }

  failed(failure: Failure): void {
    if (failure.blame === 'load' || failure.blame === 'payload') this.#refusal ??= failure
    this.#advance()
  }

  done(): void {
    if (!--this.#running) this.#caller.done?.()
  }

  /** In a dispute, an attempt that runs for too long is no longer waited for. */
  due(): void {
    this.#advance()
  }

  /** The trial of an ejected worker has its outcome. */
  #tested(attempt: Vote): void {
    const { pool, trust } = this.#layer
    const { outcome, worker } = attempt
    pool.record({ attempt, onTime: false })
    if (!this.#isVoid && outcome?.kind === 'failed' && outcome.blame !== 'nobody' && worker) trust.silent(worker)
    if (!this.#isVoid && answerOf(attempt) && typeof this.#proof !== 'string') this.#compare(attempt, this.#proof)
    this.done()
  }

  /** The query brings down the workers that get it: queued attempts are cancelled. */
  #takeBack(): void {
    for (const voter of [...this.#voters]) if (!voter.isSettled && !voter.running.length) voter.drop('over')
  }

  #vote(vote: Vote, voter: VotingCall): void {
    this.#votes.push(vote)
    if (typeof this.#proof !== 'string') this.#compare(vote, this.#proof)
    else this.#advance(voter)
  }

  /** Answers of workers that are not ejected. */
  get #believed(): readonly Vote[] {
    const { trust } = this.#layer
    return this.#votes.filter(({ worker }) => trust.isTrusted(worker as ModelWorker))
  }

  /** Judges the votes, asks more voters where needed, and sets the timer. @param voter  whose answer has just come */
  #advance(voter?: VotingCall): void {
    if (!this.#isKnown) this.#isBehind = true
    if (!this.#isKnown || this.#isVoid) return
    if (typeof this.#proof === 'string') this.#judge(this.#proof, voter)
    if (this.#isOpen) this.#askMore()
    if (!this.#isOpen) this.#settleDispute()
    this.#plan()
  }

  #judge(proof: 'open' | 'wanted', voter: VotingCall | undefined): void {
    const { acceptance, trust } = this.#layer
    const believed = this.#believed
    const judgement = acceptance.judge(believed.map(answerIn), trust.equality)
    this.#agreeing = judgement.agreeing.length
    this.#isDisputed = this.#agreeing < believed.length
    if (judgement.isProven) this.#prove(believed, judgement, voter)
    else if (this.#isDisputed)
      this.#proof = 'wanted' // the memory cannot tell who lies
    else if (this.#isOpen && proof === 'open' && believed.length && !this.#isAsking) this.#check(believed[0], voter)
  }

  /** Verdicts are reported after the answer is given: they may eject workers, and calls then ask other workers. */
  #prove(believed: readonly Vote[], { agreeing, lies }: Judgement, voter: VotingCall | undefined): void {
    const { trial } = this.#query.tried
    const right = agreeing.map((i) => believed[i])
    const proof = right.map(answerIn)
    this.#proof = proof
    this.#isDisputed = false
    this.#give(right[0], 'exact', 1)
    this.#release(voter)
    for (const vote of right) this.#confirm(vote)
    for (const i of lies) this.#lied(believed[i])
    for (const vote of this.#votes)
      if (!right.includes(vote) && !lies.includes(believed.indexOf(vote))) this.#compare(vote, proof)
    if (trial && answerOf(trial)) this.#compare(trial as Vote, proof)
  }

  /** Compares an answer with the proven one. */
  #compare(vote: Vote, proof: readonly Payload[]): void {
    const { trust } = this.#layer
    const finding = findingOf(answerIn(vote), proof, trust.equality)
    if (finding === 'right') this.#confirm(vote)
    if (finding === 'lie') this.#lied(vote)
    if (finding === 'deviant') trust.deviated(vote.worker as ModelWorker)
  }

  #confirm(vote: Vote): void {
    this.#layer.trust.proven(vote.worker as ModelWorker)
    if (vote !== this.#query.tried.trial) this.#caller.ended?.(vote)
  }

  #lied(vote: Vote): void {
    this.#layer.trust.lied(vote.worker as ModelWorker)
  }

  get #mayCheck(): boolean {
    return this.#layer.trust.integrity < 1 && !this.#layer.isDoubted()
  }

  #recall(memory: MemoryService): void {
    const { clock } = this.#layer
    const { payload, dueAt, tried } = this.#query
    this.#isAsking = true
    this.#running++
    memory.recall(payload.vector, dueAt + OVERTIME_MS - clock.now(), (said) => {
      this.#isAsking = false
      tried.recalled ??= said
      this.#advance()
      this.done()
    })
  }

  /** The recalled answer, unless the pairs that it was predicted from were removed since. */
  get #recalled(): RecalledAnswer | undefined {
    const { recalled } = this.#query.tried
    return recalled && this.#memory?.isCurrent(recalled) ? recalled : undefined
  }

  /** The recalled answer, where the memory is confident of it. */
  get #sure(): RecalledAnswer | undefined {
    const said = this.#recalled
    return (said?.confidence ?? 0) >= this.#layer.trust.integrity ? said : undefined
  }

  #isContradicted({ vector }: Payload): boolean {
    const said = this.#recalled
    return said !== undefined && this.#memory?.agrees(said.answer, vector) === false
  }

  /** Gives the answer if a confident memory agrees with it. A disagreement ejects no worker: the memory may be wrong. */
  #check(vote: Vote, voter: VotingCall | undefined): void {
    const { trust } = this.#layer
    const said = this.#sure
    this.#proof = 'wanted' // if the check passes, the call ends and asks nobody
    if (!said || !this.#memory || !this.#mayCheck) return
    const { vector } = answerIn(vote)
    const worker = vote.worker as ModelWorker
    const passed = this.#memory.agrees(said.answer, vector) === true
    trust.checked(worker, passed, distanceFrom(said, vector, trust.equality))
    if (!passed) return
    this.#give(vote, 'checked', said.confidence)
    this.#release(voter)
    this.#memory.rehearse(said, vector, identityOf(worker))
  }

  #suspects(worker: ModelWorker): boolean {
    const { trust } = this.#layer
    return trust.isSuspected(worker) && trust.audits(worker)
  }

  /** How many workers have to agree, as far as is known now. */
  get #needed(): number {
    if (typeof this.#proof !== 'string') return 0
    const mayBeChecked = this.#proof === 'open' && (this.#isAsking || this.#sure !== undefined)
    return mayBeChecked ? 1 : this.#layer.acceptance.needed
  }

  /** How many answers may still come without another voter. */
  get #coming(): number {
    return this.#voters.reduce((sum, { isSettled, running }) => sum + Math.max(isSettled ? 0 : 1, running.length), 0)
  }

  /** From this time on an attempt has run for too long to be waited for. */
  #silentAt({ startedAt, factor }: Attempt): number {
    const { ages } = this.#layer.lateness
    return ages && !Number.isNaN(startedAt) ? startedAt + factor * ages.hedgeMs : Number.POSITIVE_INFINITY
  }

  #askMore(): void {
    const { clock, mostDowns } = this.#layer
    const { tried } = this.#query
    while (this.#isOpen) {
      const coming = this.#coming
      let silent = 0
      const now = this.#isDisputed ? clock.now() : Number.NEGATIVE_INFINITY
      for (const { running } of this.#voters) for (const each of running) if (this.#silentAt(each) <= now) silent++
      // If more than `mostDowns` attempts are silent, the whole fleet is slow: only that many are replaced.
      if (this.#needed - this.#agreeing - coming + Math.min(silent, mostDowns) <= 0) return
      const isLast = !coming && this.#isKnown
      if (!this.#mayAsk) {
        // otherwise an attempt is queued again, since a worker had to give it back
        if (isLast && (this.#refusal || !tried.isLive)) this.#close(this.#refusal ?? this.#failure(false))
        return
      }
      if (isLast) {
        tried.onNeed?.()
        if (!this.#isOpen || this.#waits()) return
      }
      this.#ask(this.#votes.length ? this.#pressing : this.#query.priority)
    }
  }

  /** The caller has left or has its answer, but a dispute goes on until it shows who lies. */
  #settleDispute(): void {
    while (this.#isDisputed && this.#needed > this.#agreeing + this.#coming && this.#mayAsk) this.#ask('low')
  }

  /** @returns whether the call goes on once the memory has answered */
  #waits(): boolean {
    const isHeld = this.#query.tried.waits(() => {
      this.#advance()
      this.done()
    })
    if (isHeld) this.#running++
    return isHeld
  }

  /** A voter that decides goes ahead of queued queries, unless the pool is overloaded. */
  get #pressing(): Priority {
    const { priority } = this.#query
    return this.#layer.pool.isOverloaded || priority === 'low' ? priority : 'high'
  }

  get #mayAsk(): boolean {
    const { pool, mostDowns } = this.#layer
    const { tried } = this.#query
    if (this.#refusal || tried.downs >= mostDowns) return false
    return tried.left(pool) > 0 || (this.#isOpen && tried.forgive() && tried.left(pool) > 0)
  }

  #ask(priority: Priority): void {
    const { next } = this.#layer
    const voter = new VotingCall(this)
    this.#voters.push(voter)
    this.#running++
    const isFirst = this.#voters.length === 1
    const dueAt = priority === 'low' ? Number.POSITIVE_INFINITY : undefined
    voter.send(next, isFirst ? this.#query : changed(this.#query, { priority, dueAt, why: 'vote' }))
    if (this.#query.tried.attempts.length > 1) this.#test()
  }

  /** Where workers have to agree anyway, an ejected worker gets the query too, to show whether it answers right again. */
  #test(): void {
    const { pool, trust } = this.#layer
    const { payload, tried, dueAt, turn } = this.#query
    if (tried.trial) return
    const owner: Owner = { settled: (attempt) => this.#tested(attempt as Vote) }
    tried.trial = pool.trial({ payload, owner, dueAt, turn, apart: [tried, trust.trials], priority: 'low' })
    if (tried.trial) this.#running++
  }

  /** Sets the timer for the next attempt that will have run for too long. */
  #plan(): void {
    const { clock, timers } = this.#layer
    if (!this.#isOpen || !this.#isDisputed) return timers.remove(this)
    const now = clock.now()
    let at = Number.POSITIVE_INFINITY
    for (const { running } of this.#voters)
      for (const each of running) if (this.#silentAt(each) > now) at = Math.min(at, this.#silentAt(each))
    if (at < Number.POSITIVE_INFINITY) timers.set(this, at)
    else timers.remove(this)
  }

  /** Too few workers agree. @param isDue  whether the deadline has come */
  #failure(isDue: boolean): Failure {
    const { acceptance, clock, mostDowns, pool } = this.#layer
    const { tried, since } = this.#query
    if (!tried.isLive && !pool.usable)
      return { kind: 'failure', error: new ApproxiferError('WORKER', pool.nobody), blame: 'nobody' }
    const errors = tried.attempts.flatMap(({ outcome }) => (outcome?.kind === 'failed' ? outcome.error.message : []))
    const why = errors.length ? `; ${errors.slice(0, MOST_REASONS).join('; ')}` : ''
    const got = `${this.#believed.length} answers in ${Math.round(clock.now() - since)} ms`
    const text = `answers: expected ${acceptance.needed} workers to agree, got ${got}${why}`
    if (isDue && tried.isLive) return { kind: 'failure', error: new ApproxiferError('DEADLINE', text), blame: 'nobody' }
    const ofQuery = tried.isFaulty || tried.downs >= mostDowns
    return { kind: 'failure', error: new ApproxiferError('QUORUM', text, { ofQuery }), blame: 'worker' }
  }

  #give(vote: Vote, status: Status, confidence: number | undefined): void {
    this.#close({ kind: 'answer', answer: answerIn(vote), status, confidence, by: [vote] })
  }

  /** Drops the other voters; attempts that run go on and teach. @param voter  whose answer has just come: it has settled */
  #release(voter?: VotingCall): void {
    for (const other of [...this.#voters]) if (other !== voter) other.drop('teach')
  }

  #close(outcome?: Outcome): boolean {
    if (!this.#isOpen) return false
    this.#isOpen = false
    this.#layer.timers.remove(this)
    if (outcome) this.#caller.settled(outcome)
    return true
  }
}

/** The call for one vote. */
class VotingCall extends OutgoingCall {
  readonly #agreed: AgreedCall
  /** Whether it has answered, failed or was dropped. An attempt of it that still runs may vote all the same. */
  isSettled = false
  /** Attempts that workers have begun. */
  readonly running: Attempt[] = []

  constructor(agreed: AgreedCall) {
    super()
    this.#agreed = agreed
  }

  override drop(why: Drop): void {
    this.isSettled = true
    super.drop(why)
  }

  began(attempt: Attempt): void {
    if (!this.running.includes(attempt)) this.running.push(attempt)
    this.#agreed.began(attempt)
  }

  ended(attempt: Attempt): void {
    const at = this.running.indexOf(attempt)
    if (at >= 0) this.running.splice(at, 1)
    if (answerOf(attempt)) this.isSettled = true
    this.#agreed.ended(this, attempt as Vote)
  }

  settled(outcome: Outcome): void {
    this.isSettled = true
    if (outcome.kind === 'failure') this.#agreed.failed(outcome)
  }

  done(): void {
    this.#agreed.done()
  }
}

function answerIn(vote: Vote): Payload {
  return answerOf(vote) as Payload
}
