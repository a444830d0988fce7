/**
 * The memory answers a query before a worker is asked, if it is confident and the error budget allows it. A random part of the confident
 * queries is audited, that is, asked all the same, which shows how often the memory is wrong. An audit without an answer counts as an
 * error.
 */

import type { Clock } from '../base/clock'
import { asError } from '../base/errors'
import { Payload } from '../base/payload'
import type { TensorSpec } from '../base/tensor'
import type { MemoryService, RecalledAnswer } from '../memory/service'
import type { Attempt } from '../pool/attempt'
import type { Answer, Call, Caller, Drop, Layer, Outcome, Query, Service } from '../service'
import { OutgoingCall, SettledCall, tooLate } from '../service'
import type { Draw, ErrorBudget } from './error-budget'
import { audit } from './reuse-audit'
import { Payoff, Savings } from './savings'
import type { SecondOpinion } from './second-opinion'
import { Timers } from './timers'

export interface RememberOptions {
  readonly clock: Clock
  readonly outputs: readonly TensorSpec[]
  /** Costs and savings of the lookups, for each error budget. The layer adds entries. */
  readonly accounts: WeakMap<object, Account>
  readonly opinion: Pick<SecondOpinion, 'judge'>
  /** State of the query's tenant. undefined if the tenant has none yet: a query that is refused must not create it. */
  tenantOf(query: Query):
    | {
        readonly memory?: RememberMemory | undefined
        readonly errors?: Pick<ErrorBudget, 'isHeld' | 'draw' | 'expectedShare'> | undefined
      }
    | undefined
  /** Whether nothing is given: the model does not answer equal queries equally, or its first answers contradict how its outputs are read. */
  isOff(): boolean
  /** Mean time of a worker's answer in milliseconds; undefined while unknown. */
  inferenceMs(): number | undefined
  /** Called if the memory was wrong, unless only one machine says so. */
  wrong(): void
}

type RememberMemory = Pick<MemoryService, 'isWarm' | 'recall' | 'agrees' | 'lookupMs'>

/** Costs and savings of an error budget's lookups. */
export interface Account {
  readonly payoff: Payoff
  readonly savings: Savings
}

export function remember(options: RememberOptions): Layer {
  return (next) => {
    const layer = new RememberLayer(options, next)
    return (query, caller) => layer.ask(query, caller)
  }
}

/** State that the layer's calls share. */
class RememberLayer {
  readonly options: RememberOptions
  readonly next: Service
  readonly timers: Timers

  constructor(options: RememberOptions, next: Service) {
    this.options = options
    this.next = next
    this.timers = new Timers(options.clock)
  }

  ask(query: Query, caller: Caller): Call {
    const { tenantOf, isOff } = this.options
    const { memory, errors } = tenantOf(query) ?? {}
    if (!memory || !errors || isOff()) return this.next(query, caller)
    const { said, choices } = query
    const { payoff, savings } = this.#accountOf(errors, memory)
    const isAsked = said.ask === true || said.policy === 'retry'
    const mayLook = memory.isWarm && !errors.isHeld
    const looks = !isAsked && mayLook && payoff.mayLookUp()
    const onOverload = said.onOverload ?? (isAsked ? 'fail' : choices.onOverload)
    const isRefused = !looks && mayLook && onOverload === 'remember' && Boolean(query.refusal)
    if (payoff.isOff && mayLook && !isAsked && !looks) query.tried.isPassedOver = true
    if (!looks && !isRefused) return this.next(query, caller)
    const mayGive = !payoff.isOff || isRefused
    const call = new RememberedCall(this, query, caller, { memory, errors, savings, mayGive, isRefused })
    call.lookUp()
    return call
  }

  #accountOf(errors: Pick<ErrorBudget, 'expectedShare'>, memory: RememberMemory): Account {
    const { accounts, inferenceMs } = this.options
    const known = accounts.get(errors)
    if (known) return known
    const costs = () => ({ lookupMs: memory.lookupMs, inferenceMs: inferenceMs(), share: errors.expectedShare() })
    const account = { payoff: new Payoff(costs), savings: new Savings() }
    accounts.set(errors, account)
    return account
  }
}

/** What decides a query that is looked up. */
interface Deciding {
  readonly memory: RememberMemory
  readonly errors: Pick<ErrorBudget, 'draw'>
  readonly savings: Savings
  readonly mayGive: boolean
  /** Whether the pool refused the query. */
  readonly isRefused: boolean
}

class RememberedCall extends OutgoingCall {
  readonly #layer: RememberLayer
  readonly #query: Query
  readonly #caller: Caller
  readonly #by: Deciding
  #isOpen = true
  #isLookingUp = true
  /** Whether the caller has the call. */
  #isKnown = false
  /** The recalled answer of a query for which a worker is asked, and the draw that is told whether it was right. */
  #asked: { readonly said: RecalledAnswer; readonly draw: Draw } | undefined

  constructor(layer: RememberLayer, query: Query, caller: Caller, by: Deciding) {
    super()
    this.#layer = layer
    this.#query = query
    this.#caller = caller
    this.#by = by
  }

  lookUp(): void {
    const { memory, savings } = this.#by
    const withinMs = this.#layer.options.inferenceMs() ?? Number.POSITIVE_INFINITY
    memory.recall(this.#query.payload.vector, withinMs, (said, ms) => {
      if (ms !== undefined) savings.addLookup(ms)
      this.#isLookingUp = false
      if (this.#isKnown) this.#goOnLater(said)
      else this.#goOn(said)
    })
    this.#isKnown = true
  }

  #goOnLater(said: RecalledAnswer | undefined): void {
    if (!this.#isOpen) return this.done()
    try {
      this.#goOn(said)
    } catch (error) {
      this.#isOpen = false // the state of its tenant could not be created
      this.#caller.settled({ kind: 'failure', error: asError(error, 'WORKER'), blame: 'nobody' })
      this.done()
    }
  }

  #goOn(said: RecalledAnswer | undefined): void {
    const { errors, savings, mayGive, isRefused } = this.#by
    const { next, options } = this.#layer
    const query = this.#query
    if (!said) return this.send(next, query)
    const known = said.confidence ?? 0
    const draw = errors.draw(known, mayGive && known >= (query.said.minConfidence ?? 0))
    if (draw.is === 'remember') {
      if (!isRefused) savings.gave(options.inferenceMs())
      const answer = Payload.of(said.answer, options.outputs)
      const given: Answer = { kind: 'answer', answer, status: 'remembered', confidence: known, by: [] }
      this.send((_, caller) => new SettledCall(caller, given), query)
    } else if (draw.is === 'ask') {
      this.#asked = { said, draw }
      this.send(next, query)
    } else this.send((asked, caller) => this.#audit(asked, caller, said, draw), query)
  }

  #audit(query: Query, caller: Caller, said: RecalledAnswer, draw: Draw): Call {
    const { options, timers, next } = this.#layer
    const agrees = ({ vector }: Payload) => this.#by.memory.agrees(said.answer, vector) === true
    return audit({ clock: options.clock, timers, next }, query, caller, (own) => {
      const isOwn = own?.status === 'exact'
      if (!isOwn || agrees(own.answer)) return draw.grade(isOwn)
      const { answer, by } = own
      const differing = { payload: query.payload.kept(), answer, from: by[0].identity as string, isAsBefore: agrees }
      options.opinion.judge(differing, (of) => {
        draw.grade(of === 'refuted')
        if (of !== 'refuted') options.wrong()
      })
    })
  }

  override drop(why: Drop): void {
    this.#isOpen = false
    super.drop(why)
  }

  override expire(): void {
    if (!this.#isLookingUp) return super.expire()
    if (this.#isOpen) this.#caller.settled(tooLate(this.#query))
    this.#isOpen = false
  }

  began(attempt: Attempt): void {
    this.#caller.began?.(attempt)
  }

  ended(attempt: Attempt): void {
    this.#caller.ended?.(attempt)
  }

  settled(outcome: Outcome): void {
    this.#isOpen = false
    if (this.#asked && outcome.kind === 'answer' && outcome.status === 'exact') {
      const { said, draw } = this.#asked
      draw.grade(this.#by.memory.agrees(said.answer, outcome.answer.vector) === true)
    }
    this.#caller.settled(outcome)
  }

  done(): void {
    this.#caller.done?.()
  }
}
