/**
 * Predicts an answer that is late or lost, from the memory or the query's group, whichever is more confident, if it is confident enough. If
 * the model's own answer comes later, it grades the prediction and teaches the memory.
 */

import { NO_VALUES, NONE } from '../base/arrays'
import { isConfident } from '../base/choices'
import type { Clock } from '../base/clock'
import { ApproxiferError } from '../base/errors'
import { Payload } from '../base/payload'
import type { RecoveryCause } from '../base/prediction'
import { type TensorSpec, toNamed } from '../base/tensor'
import { type BestRecovery, bestRecovery } from '../memory/best-recovery'
import type { MemoryService, RecalledAnswer } from '../memory/service'
import type { Attempt } from '../pool/attempt'
import type { Answer, Call, Caller, Drop, Failure, Layer, Offer, Outcome, Query, Service } from '../service'
import { OVERTIME_MS } from '../service'
import type { Lateness } from './lateness'
import type { Budget } from './query-share'
import { type Timeable, Timers } from './timers'

export interface RecoverOptions {
  readonly clock: Clock
  readonly lateness: Pick<Lateness, 'ages'>
  /** Limits the share of late queries that are recovered: if the whole pool slows down, not every answer may become a recovery. */
  readonly budget: Pick<Budget, 'earn' | 'has' | 'take'>
  readonly memory: Pick<MemoryService, 'agrees' | 'best' | 'grade' | 'isCurrent' | 'isWarm' | 'learn' | 'recall'>
  readonly outputs: readonly TensorSpec[]
  /** The error budget that late recoveries count in, if the user set one. */
  readonly errors?: { readonly mayRecover: boolean; recover(): (isRight: boolean) => void } | undefined
  /**
   * Whether answers come from `agree`, proven by several workers. They then belong to no single identity, and a recalled answer is graded
   * only if it was given, since `agree` recalls one for every query.
   */
  readonly isProven?: boolean
  /** Whether the model's first answers contradict how its outputs are read. Nothing is recovered then. */
  isDoubted(): boolean
}

export function recover(options: RecoverOptions): Layer {
  return (next) => {
    const layer: RecoverLayer = { ...options, next, timers: new Timers(options.clock) }
    return (query, caller) => new RecoveredCall(layer, query, caller)
  }
}

interface RecoverLayer extends RecoverOptions {
  readonly next: Service
  readonly timers: Timers
}

/**
 * Why a recovery is useful now, in order of urgency: the group offers one before service times are known; the query is late; no worker is
 * asked any more; its deadline has come.
 */
const OFFERED = 1
const LATE = 2
const LOST = 3
const DUE = 4
const CAUSES: readonly RecoveryCause[] = ['decodable', 'decodable', 'late', 'lost', 'deadline']

/** The recovery to be given, and what it was chosen from. */
interface ChosenRecovery extends BestRecovery {
  readonly said: RecalledAnswer | undefined
  readonly offer: Offer | undefined
}

class RecoveredCall implements Call, Caller, Timeable {
  readonly #layer: RecoverLayer
  readonly #query: Query
  readonly #caller: Caller
  readonly #call: Call
  #isOpen = true
  /** Never decreases; 0: no reason yet. */
  #pressing = 0
  /** The urgency at the last lookup. A lookup that the memory had no time for is repeated when the urgency grows. */
  #asked = 0
  #isAsking = false
  /** Decodes the query's group as it is now; undefined until the group offers a recovery. */
  #decode: (() => Offer | undefined) | undefined
  #chosen: ChosenRecovery | undefined
  /** Grades the recovery that was given against the error budget. */
  #report: ((isRight: boolean) => void) | undefined
  #failure: Failure | undefined
  /** Whether the model's answer has been learned, or must not be. */
  #isTaught = false
  /** Number of services that are not done: the call beneath and lookups. */
  #running = 1
  dueAt = Number.NaN
  timer: Timeable['timer']

  constructor(layer: RecoverLayer, query: Query, caller: Caller) {
    this.#layer = layer
    this.#query = query
    this.#caller = caller
    layer.budget.earn()
    query.tried.onNeed = () => this.#press(query.tried.isLive ? LATE : LOST)
    this.#call = layer.next(query, this)
  }

  drop(why: Drop): void {
    if (why === 'void') this.#isTaught = true
    this.#close()
    this.#call.drop(why)
  }

  expire(): void {
    this.#press(DUE)
  }

  began(attempt: Attempt): void {
    this.#caller.began?.(attempt)
    if (this.timer === undefined) this.#plan()
  }

  /** The timer fired. Service times may be better known than when it was set. */
  due(now: number): void {
    const { budget, lateness, timers } = this.#layer
    if (now < this.#lateAt) this.#plan()
    else if (budget.has) this.#press(LATE)
    else if (lateness.ages) timers.set(this, now + lateness.ages.giveMs) // the budget may have recovered by then
  }

  ended(attempt: Attempt): void {
    const { outcome, identity } = attempt as Attempt<Payload, Payload>
    if (outcome?.kind === 'answered' && !this.#isTaught) {
      this.#isTaught = true // a second answer of the model would teach the same
      this.#teach(outcome.answer.vector, identity)
    }
    this.#caller.ended?.(attempt)
    this.#wake()
  }

  offer(decode: () => Offer | undefined, isLost: boolean): void {
    this.#decode = decode
    if (isLost) this.#press(LOST)
    else if (this.#pressing || !this.#layer.lateness.ages) this.#press(Math.max(this.#pressing, OFFERED))
  }

  settled(outcome: Outcome): void {
    this.#wake() // a layer beneath may keep back `ended`
    if (!this.#isOpen) return
    if (outcome.kind === 'answer') return this.#close(outcome)
    this.#failure = outcome
    if (this.#pressing === DUE) this.#fail()
    else this.#press(LOST)
    if (this.#isOpen) this.#decode?.() // decoded now: during the lookup the group may end, and decodes no more afterwards
  }

  done(): void {
    if (!--this.#running) this.#caller.done?.()
  }

  /** Tries waiting calls once service times are known. */
  #wake(): void {
    const { timers, lateness } = this.#layer
    if (lateness.ages) timers.wake()
  }

  #plan(): void {
    if (!this.#isOpen || this.#pressing >= LATE || this.#policy === 'retry') return
    const { timers, lateness } = this.#layer
    if (!lateness.ages) return timers.wait(this)
    const lateAt = this.#lateAt
    if (lateAt < Number.POSITIVE_INFINITY) timers.set(this, lateAt)
  }

  /** When its first running attempt is late. Infinity while service times are unknown: then only the deadline counts. */
  get #lateAt(): number {
    const { ages } = this.#layer.lateness
    let lateAt = Number.POSITIVE_INFINITY
    for (const { startedAt, factor, phase } of ages ? this.#query.tried.attempts : []) {
      if (phase === 'running' && ages) lateAt = Math.min(lateAt, startedAt + factor * ages.giveMs)
    }
    return lateAt
  }

  get #policy() {
    const { policy } = this.#query.choices
    return policy === 'auto' && this.#layer.isDoubted() ? 'retry' : policy
  }

  #press(why: number): void {
    if (!this.#isOpen) return
    this.#pressing = Math.max(this.#pressing, why)
    if (this.#isAsking) return // the lookup's end continues
    const { budget, memory } = this.#layer
    const isAffordable = this.#pressing > LATE || budget.has
    const mayAsk = !this.#current && this.#pressing > this.#asked && isAffordable
    if (this.#policy === 'retry' || !mayAsk || !memory.isWarm) this.#decide()
    else this.#ask(this.#pressing)
  }

  #ask(why: number): void {
    const { memory, clock } = this.#layer
    const { payload, tried, dueAt } = this.#query
    const withinMs = Math.min(OVERTIME_MS, dueAt + OVERTIME_MS - clock.now()) // the memory may be asked a second time, at the deadline
    this.#asked = why
    this.#isAsking = true
    this.#running++
    tried.hold()
    memory.recall(payload.vector, withinMs, (said) => {
      this.#isAsking = false
      tried.recalled = said ?? tried.recalled
      if (this.#pressing > why)
        this.#press(this.#pressing) // it became more urgent during the lookup
      else this.#decide()
      if (!this.#isAsking) tried.release()
      this.done()
    })
  }

  #decide(): void {
    if (!this.#isOpen) return
    const best = this.#best
    const { errors, budget } = this.#layer
    const isDue = this.#pressing === DUE
    const { choices } = this.#query
    const isSure = best && isConfident(this.#policy, choices.minConfidence, best.confidence)
    const isGiven = isSure || (best && isDue && this.#policy !== 'retry' && choices.atDeadline === 'give')
    const mayGive = errors?.mayRecover !== false && (this.#pressing !== LATE || budget.has)
    if (isGiven && mayGive) this.#give(best)
    else if (this.#failure) this.#fail()
    else if (isDue) this.#call.expire()
  }

  /** The recalled answer, unless the pairs that it was predicted from were removed since. */
  get #current(): RecalledAnswer | undefined {
    const { tried } = this.#query
    if (tried.recalled && !tried.isRecovered && !this.#layer.memory.isCurrent(tried.recalled)) {
      tried.recalled = undefined
      this.#asked = 0
    }
    return tried.recalled
  }

  /**
   * The recalled answer, unless an unproven answer of a worker contradicts it: nearly all wrong labels of honest pools were recoveries in
   * spite of such an answer.
   */
  get #uncontradicted(): RecalledAnswer | undefined {
    const said = this.#current
    const answers = said ? this.#query.tried.unproven?.() : undefined
    const isOther = ({ vector }: Payload) =>
      this.#layer.memory.agrees((said as RecalledAnswer).answer, vector) === false
    return answers?.some(isOther) ? undefined : said
  }

  /** The more confident of the recalled and the decoded answer, as both are now. A recovery that was given stays. */
  get #best(): ChosenRecovery | undefined {
    const before = this.#chosen
    if (this.#query.tried.isRecovered) return before
    const said = this.#uncontradicted
    const offer = this.#decode?.()
    if (before && before.said === said && before.offer === offer) return before
    if (!before && !said && !offer) return undefined
    const best = offer
      ? this.#bestOf(offer, said)
      : said && { recovery: said, confidence: said.confidence, all: [said] }
    this.#chosen = best && { ...best, said, offer }
    return this.#chosen
  }

  #bestOf({ recoveries, isMixed, missing }: Offer, said: RecalledAnswer | undefined): BestRecovery | undefined {
    return bestRecovery(recoveries, said, { mixed: isMixed, missing }, this.#layer.memory)
  }

  #give({ recovery, confidence, offer }: ChosenRecovery): void {
    const { budget, errors, outputs } = this.#layer
    const { tried } = this.#query
    if (this.#pressing === LATE) budget.take()
    tried.isRecovered = true
    this.#report = errors?.recover()
    const answer = Payload.of(recovery.answer, outputs)
    const { source } = recovery
    const by = source === 'code' ? (offer?.by ?? NONE) : NONE
    const why = CAUSES[this.#pressing]
    tried.trace?.recovered(source, why, confidence)
    const given: Answer = { kind: 'answer', answer, status: 'recovered', confidence, by, recovery: { source, why } }
    this.#close(given)
    this.#call.drop('teach')
  }

  /** An error at the deadline carries the recovery that was not confident enough. */
  #fail(): void {
    const failure = this.#failure as Failure
    const { error } = failure
    const best = this.#best
    if (this.#policy === 'retry') return this.#close(failure)
    if (error.code !== 'DEADLINE') {
      const isNotFinite = !best && this.#decode?.()?.recoveries.length
      if (!isNotFinite) return this.#close(failure)
      const flaw = new ApproxiferError('PROTOCOL', 'the recovered answer is not finite')
      return this.#close({ ...failure, error: flaw })
    }
    if (!best) return this.#close(failure)
    const { outputs } = this.#layer
    const output = toNamed(Payload.of(best.recovery.answer, outputs).tensors, outputs)
    const why = `${error.message}; what was recovered is not confident enough`
    const recovery = { output, confidence: best.confidence }
    this.#close({ ...failure, error: new ApproxiferError('DEADLINE', why, { recovery }) })
  }

  #teach(own: Float32Array, from: string | undefined): void {
    const { memory, isProven } = this.#layer
    const best = this.#best
    const by = isProven ? undefined : from
    const { payload, tried } = this.#query
    if (best && (!isProven || tried.isRecovered)) {
      let agreed = false
      for (const each of best.all) {
        const isRight = memory.grade(each, own, by)
        if (each === best.recovery) agreed = isRight === true
      }
      this.#report?.(agreed)
    }
    // Without a query's values, the memory learns only the distribution of answers, and does not keep the pair.
    memory.learn(tried.isPassedOver ? NO_VALUES : payload.vector, own, by, isProven ? this.#current : undefined)
  }

  #close(outcome?: Outcome): void {
    if (!this.#isOpen) return
    this.#isOpen = false
    this.#layer.timers.remove(this)
    if (outcome) this.#caller.settled(outcome)
  }
}
