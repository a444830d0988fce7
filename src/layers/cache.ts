/**
 * Equal queries of a tenant get the model's own earlier answer. A random part of the repeats is asked all the same: as the error budget
 * demands, or 1 % without one. `repeatability.ts` decides what follows if the model answers differently now.
 */

import type { Clock } from '../base/clock'
import type { MemoryService } from '../memory/service'
import type { Answer, Call, Caller, Drop, Layer, Outcome, Query, Service } from '../service'
import { changed, Relay, SettledCall } from '../service'
import { agree, type Equality } from '../trust/equality'
import type { Draw, ErrorBudget } from './error-budget'
import { type ExactCache, type Keeping, type Kept, keyOf } from './exact-cache'
import type { Repeatability } from './repeatability'
import { askedOf, audit } from './reuse-audit'
import type { Savings } from './savings'
import { Timers } from './timers'

/** Without an error budget: share of the repeats that workers are asked all the same. */
const ASKED = 0.01

const GIVE: Draw = { is: 'remember', grade() {} }
const ASK: Draw = { is: 'ask', grade() {} }

export interface CacheOptions {
  readonly clock: Clock
  readonly cache: ExactCache
  readonly repeatability: Pick<Repeatability, 'isOff' | 'believes' | 'compare'>
  /** Statistics of queries that got the answer to an equal one, and of what that saved. */
  readonly counts: { reused: number }
  readonly savings: Pick<Savings, 'gave'>
  equality(): Equality
  /** State of the query's tenant. undefined if the tenant has none yet: a query that is refused must not create it. */
  tenantOf(query: Query):
    | {
        readonly memory?: Pick<MemoryService, 'agrees'> | undefined
        readonly errors?: Pick<ErrorBudget, 'drawRepeat'> | undefined
      }
    | undefined
  /** Mean time of a worker's answer in milliseconds; undefined while unknown. */
  inferenceMs(): number | undefined
  /** Uniform in 0..1. */
  coin(): number
}

export function cache(options: CacheOptions): Layer {
  return (next) => {
    const layer: CacheLayer = { ...options, next, timers: new Timers(options.clock) }
    return (query, caller) => {
      const key = keyOf(query.turn.tenant, query.payload)
      const kept = layer.cache.find(key, query.payload)
      if (kept) return repeat(layer, key, kept, query, caller)
      return layer.cache.hasRoom ? new CachedCall(layer, key, query, caller) : next(query, caller)
    }
  }
}

interface CacheLayer extends CacheOptions {
  readonly next: Service
  readonly timers: Timers
}

function repeat(layer: CacheLayer, key: string, kept: Kept, query: Query, caller: Caller): Call {
  const { repeatability, savings, counts } = layer
  const { memory, errors } = layer.tenantOf(query) ?? {}
  const draw = repeatability.isOff ? ASK : errors ? errors.drawRepeat() : layer.coin() < ASKED ? ASK : GIVE
  if (draw.is === 'remember') {
    savings.gave(layer.inferenceMs())
    counts.reused++
    const { answer, by } = kept
    return new SettledCall(caller, { kind: 'answer', answer, status: 'exact', confidence: 1, by: [by], reused: true })
  }
  const grade = (own: Answer | undefined) => {
    if (own?.status !== 'exact') return draw.is === 'audit' ? draw.grade(false) : undefined
    const isAsRight = memory?.agrees(kept.answer.vector, own.answer.vector) === true
    if (isAsRight) draw.grade(true)
    const report = (isRight: boolean) => isAsRight || draw.grade(isRight)
    repeatability.compare(key, kept, own.answer, own.by[0].identity as string, report)
  }
  if (draw.is === 'ask') return new CachedCall(layer, key, changed(query, { said: askedOf(query) }), caller, grade)
  const { clock, timers } = layer
  const next: Service = (audited, auditor) => new CachedCall(layer, key, audited, auditor)
  return audit({ clock, timers, next }, query, caller, grade)
}

/** A call whose answer may be cached. */
class CachedCall extends Relay implements Call, Keeping {
  place = -1
  readonly tenant: string
  isForgotten = false
  readonly #layer: CacheLayer
  readonly #key: string
  readonly #query: Query
  readonly #call: Call
  readonly #report: ((own: Answer) => void) | undefined

  /** @param report  receives the answer after it is cached */
  constructor(layer: CacheLayer, key: string, query: Query, caller: Caller, report?: (own: Answer) => void) {
    super(caller)
    this.#layer = layer
    this.#key = key
    this.#query = query
    this.#report = report
    this.tenant = query.turn.tenant
    this.#call = layer.next(query, this)
    layer.cache.open.add(this)
  }

  drop(why: Drop): void {
    this.#layer.cache.open.remove(this)
    this.#call.drop(why)
  }

  expire(): void {
    this.#call.expire()
  }

  override settled(outcome: Outcome): void {
    this.#layer.cache.open.remove(this)
    if (outcome.kind === 'answer') {
      this.#keep(outcome)
      this.#report?.(outcome)
    }
    super.settled(outcome)
  }

  #keep({ status, reused, answer, by: [by] }: Answer): void {
    const { cache, repeatability, equality } = this.#layer
    const { payload, turn } = this.#query
    if (status !== 'exact' || reused || this.isForgotten || !repeatability.believes(by.identity as string)) return
    const before = cache.of(this.#key, payload)
    if (before ? !agree(before.answer, answer, equality()) : !cache.hasRoom) return // the two answers differ, and which is right is not known yet
    const { worker, identity, startedAt, ranMs } = by
    const name = worker?.name ?? ''
    const origin = { worker: { name, identity: worker?.identity }, identity, startedAt, ranMs }
    cache.keep(this.#key, { tenant: turn.tenant, query: payload, answer, by: origin })
  }
}
