/**
 * An answer that is late or lost is predicted by the memory, where that is sure enough. The model's own answer, where it comes later, grades the
 * prediction, and teaches.
 */

import { isConfident } from '../choices'
import type { Clock } from '../clock'
import { ApproxiferError } from '../errors'
import type { MemoryService, RecalledAnswer } from '../memory/service'
import { Payload } from '../payload'
import type { Attempt } from '../pool/attempt'
import type { Answer, Call, Caller, Drop, Failure, Layer, Outcome, Query, Service } from '../service'
import { type TensorSpec, toNamed } from '../tensor'
import type { Budget } from './budget'
import type { Lateness } from './lateness'
import { type Timeable, Timers } from './timers'

export interface RecoverOptions {
  readonly clock: Clock
  readonly lateness: Pick<Lateness, 'ages'>
  /** Of late queries that may be recovered: a pool that slows down as a whole must not turn every answer into a recovery. */
  readonly budget: Pick<Budget, 'earn' | 'has' | 'take'>
  readonly memory: Pick<MemoryService, 'isWarm' | 'recall' | 'isCurrent' | 'grade' | 'learn'>
  readonly outputs: readonly TensorSpec[]
  /** The error budget that late recoveries count in, where the user set one. */
  readonly errors?: { readonly mayRecover: boolean; recover(): (isRight: boolean) => void } | undefined
  /** Whether the model's first answers speak against how they are read: nothing is sure then. */
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

/** A lookup waits no longer for others' after the query's deadline. */
const OVERTIME_MS = 20

/** Why a recovery would be of use now, from the least pressing: it is late, no worker is asked any more, its deadline has come. */
const LATE = 1
const LOST = 2
const DUE = 3

class RecoveredCall implements Call, Caller, Timeable {
  readonly #layer: RecoverLayer
  readonly #query: Query
  readonly #caller: Caller
  readonly #call: Call
  #isOpen = true
  /** It never becomes less pressing; 0: not at all yet. */
  #pressing = 0
  /** How pressing it was when the memory was asked last: what it had no time for then is asked again when it is more so. */
  #asked = 0
  #isAsking = false
  #said: RecalledAnswer | undefined
  /** Told whether what was given was right. */
  #told: ((isRight: boolean) => void) | undefined
  #failure: Failure | undefined
  /** The model's answer has come, or teaches nothing. */
  #isTaught = false
  /** The call beneath, and what the memory is asked. */
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

  /** It may be late: times are known better than when the timer was set. */
  due(now: number): void {
    const { budget, lateness, timers } = this.#layer
    if (now < this.#lateAt) this.#plan()
    else if (budget.has) this.#press(LATE)
    else if (lateness.ages) timers.set(this, now + lateness.ages.giveMs) // there may be some then
  }

  ended(attempt: Attempt): void {
    const { outcome, identity } = attempt as Attempt<Payload, Payload>
    if (outcome?.kind === 'answered' && !this.#isTaught) {
      this.#isTaught = true // a second answer of the model would teach the same
      this.#teach(outcome.answer.vector, identity)
    }
    this.#caller.ended?.(attempt)
    const { timers, lateness } = this.#layer
    if (lateness.ages) timers.wake()
  }

  settled(outcome: Outcome): void {
    if (!this.#isOpen) return
    if (outcome.kind === 'answer') return this.#close(outcome)
    this.#failure = outcome
    if (this.#pressing === DUE) this.#fail()
    else this.#press(LOST)
  }

  /** The call beneath, or the memory, is done with it. */
  done(): void {
    if (!--this.#running) this.#caller.done?.()
  }

  #plan(): void {
    if (!this.#isOpen || this.#pressing || this.#policy === 'retry') return
    const { timers, lateness } = this.#layer
    if (!lateness.ages) return timers.wait(this)
    const lateAt = this.#lateAt
    if (lateAt < Number.POSITIVE_INFINITY) timers.set(this, lateAt)
  }

  /** When its first attempt has been at work for long enough; while nobody knows how long answers take, at its deadline alone. */
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
    if (this.#isAsking) return // it goes on from there
    const { budget, memory } = this.#layer
    const mayAsk = !this.#current && this.#pressing > this.#asked && (this.#pressing > LATE || budget.has)
    if (this.#policy === 'retry' || !mayAsk || !memory.isWarm) this.#decide()
    else this.#ask(this.#pressing)
  }

  #ask(why: number): void {
    const { clock, memory } = this.#layer
    const { choices, dueAt, payload, tried } = this.#query
    this.#asked = why
    this.#isAsking = true
    this.#running++
    tried.hold()
    const isLast = why === DUE || (why === LOST && choices.policy === 'recover')
    const isWanted = () => this.#isOpen && clock.now() <= dueAt + OVERTIME_MS
    const isSure = (confidence: number | undefined) => isConfident(choices.policy, choices.minConfidence, confidence)
    memory.recall(payload.vector, { isLast, isWanted, isSure }, (said) => {
      this.#isAsking = false
      if (said) this.#keep(said)
      if (this.#pressing > why)
        this.#press(this.#pressing) // it became so meanwhile
      else this.#decide()
      if (!this.#isAsking) tried.release()
      this.done()
    })
  }

  #keep(said: RecalledAnswer): void {
    const { answer, epoch, ...rest } = said
    this.#said = said
    this.#query.tried.recovery = { ...rest, query: 0, given: false }
  }

  #decide(): void {
    const said = this.#current
    const { errors, budget } = this.#layer
    if (!this.#isOpen) return
    const isDue = this.#pressing === DUE
    const { choices } = this.#query
    const isSure = said && isConfident(this.#policy, choices.minConfidence, said.confidence)
    const isGiven = isSure || (said && isDue && this.#policy !== 'retry' && choices.atDeadline === 'give')
    const mayGive = errors?.mayRecover !== false && (this.#pressing !== LATE || budget.has)
    if (isGiven && mayGive) this.#give(said)
    else if (this.#failure) this.#fail()
    else if (isDue) this.#call.expire()
  }

  /** What the memory said, unless it follows from what was taken out since. */
  get #current(): RecalledAnswer | undefined {
    const said = this.#said
    const isGiven = this.#query.tried.recovery?.given
    if (said && !isGiven && !this.#layer.memory.isCurrent(said)) {
      this.#said = this.#query.tried.recovery = undefined
      this.#asked = 0
    }
    return this.#said
  }

  #give(said: RecalledAnswer): void {
    const { budget, errors, outputs } = this.#layer
    if (this.#pressing === LATE) budget.take()
    if (this.#query.tried.recovery) this.#query.tried.recovery.given = true
    this.#told = errors?.recover()
    const answer = Payload.of(said.answer, outputs)
    const given: Answer = { kind: 'answer', answer, status: 'recovered', confidence: said.confidence, by: [] }
    this.#close(given)
    this.#call.drop('teach')
  }

  /** An error at the deadline has what was not sure enough. */
  #fail(): void {
    const failure = this.#failure as Failure
    const said = this.#current
    if (!said || this.#policy === 'retry' || failure.error.code !== 'DEADLINE') return this.#close(failure)
    const { outputs } = this.#layer
    const output = toNamed(Payload.of(said.answer, outputs).tensors, outputs)
    const why = `${failure.error.message}; what was recovered is not confident enough`
    const error = new ApproxiferError('DEADLINE', why, { recovery: { output, confidence: said.confidence } })
    this.#close({ ...failure, error })
  }

  #teach(own: Float32Array, from: string | undefined): void {
    const { memory } = this.#layer
    const said = this.#current
    if (said) {
      const isRight = memory.grade(said, own, from)
      const { recovery } = this.#query.tried
      if (recovery) recovery.agreed = isRight
      this.#told?.(isRight === true)
    }
    memory.learn(this.#query.payload.vector, own, from)
  }

  #close(outcome?: Outcome): void {
    if (!this.#isOpen) return
    this.#isOpen = false
    this.#layer.timers.remove(this)
    if (outcome) this.#caller.settled(outcome)
  }
}
