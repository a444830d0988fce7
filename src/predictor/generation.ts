/**
 * One model at work: its workers, how long they take, what was learned of its answers, the queries under way. A query belongs to one;
 * what is known of the honesty of workers spans them.
 */

import { Bag } from '../arrays'
import { ApproxiferError, asError } from '../errors'
import { Budget } from '../layers/budget'
import type { Payload } from '../payload'
import type { Identity } from '../pool/attempt'
import { Agenda } from '../query/agenda'
import { type Caller, SharedCaller } from '../query/caller'
import { Query } from '../query/query'
import type { Layer, Service, Query as StackQuery } from '../service'
import { agreement, first } from '../trust/acceptance'
import type { ModelChange, ModelWorker } from '../workers/worker'
import type { Means } from './means'
import { Pending } from './pending'
import type { Request, Reuse } from './reuse'
import { isVerified, type Settings } from './settings'
import { stackOf } from './stack'
import type { GenerationCounts } from './stats'
import { NOBODY, type Shared, type Tenant, Tenants } from './tenants'
import type { Unasked, UnaskedParts } from './unasked'

/** Hedges that may be saved up where few queries are under way. Of 256 that began together ten had a second worker, and 25 of 9,000 waited ten times as long as others. */
const BURST = 10
/** Late queries that may be recovered, as a share of all; unused, it is saved up over this many queries. A pool that slows down as a whole must not turn every answer into a recovery. */
const RECOVERED = { share: 0.3, queries: 500 }
/** Workers that a query may take down, and that may fail on it, at least or beyond those that the scheme allows for. */
const MOST_LOST = 2
const MORE_FAILURES = 3

const ignore = () => {}

interface GenerationOptions {
  /** What its workers say of their model. */
  told: ModelChange
  /** What may answer queries that nobody is asked for. */
  unasked?: UnaskedParts | undefined
  /** The one that serves before it: what was counted goes on. */
  before?: Generation | undefined
}

export class Generation {
  readonly counts: GenerationCounts
  readonly tenants: Tenants
  readonly means: Means
  readonly reuse: Unasked | undefined
  /** Before the older engine. */
  readonly #before: Reuse | undefined
  readonly #shared: Shared
  readonly #open = new Bag<Query>()
  /** What is under way where the stack of layers answers: nothing is coded or proven. */
  readonly #pending: Pending | undefined
  readonly #maxWaitMs: number
  /** What a query gets that comes when it is closed. */
  #closed: ApproxiferError | undefined
  /** Who is to ask again, of the workers with the new model. */
  readonly #waiting: { payload: Payload; caller: Caller }[] = []
  /** What its workers call it. */
  readonly #model: { fingerprint: string | undefined }
  /** What was learned of it is known by that. */
  #told: ModelChange

  constructor(means: Means, settings: Settings, { told, before, unasked }: GenerationOptions) {
    this.counts = before?.counts ?? { renewals: 0, hedges: { sent: 0, won: 0 } }
    this.#told = told
    this.#model = { fingerprint: told.model ?? told.modelId }
    this.means = means
    this.#maxWaitMs = settings.maxWaitMs
    this.#shared = this.#share(settings, before)
    const mended = () => {
      for (const { context } of this.tenants) context.ledger?.mended()
    }
    const replaced = () => this.#replaced()
    if (this.#isPlain) {
      const tenantOf = ({ turn }: StackQuery) => this.tenants.of(turn.tenant)
      const layered = unasked?.layered(settings, means, { tenantOf, mended, replaced })
      this.reuse = layered
      this.#pending = new Pending(this.#stack(settings, layered?.layers), means, this.#model, settings.clock)
    } else {
      const ask = (request: Request, caller: Caller) => this.#ask(request, caller)
      const learned = (tenant: string) => this.tenants.of(tenant).context
      this.#before = unasked?.before(settings, means, { ask, learned, mended, replaced })
      this.reuse = this.#before
    }
    const make = (name: string) =>
      means.coder.newTenant(name, this.#shared, settings, { ...this.#told, fingerprint: this.#told.model })
    this.tenants = new Tenants(settings.limits.tenants, make, (tenant) => this.reuse?.forget({ tenant }))
    for (const name of Object.keys(settings.states)) this.tenants.of(name) // what cannot be read is refused now
    const { limits, reuse } = settings
    if (limits.tenants === 1 || reuse.maxError !== undefined) this.tenants.of(NOBODY) // without room for a memory it is refused now
  }

  get #isPlain(): boolean {
    const { coder, Vote, sampled, trust } = this.means
    if (coder.code !== 'systematic') return true
    return !coder.scheme.stragglers && !Vote && !sampled && !trust.strangers
  }

  #stack({ layers }: Settings, unasked: readonly Layer[] | undefined): Service {
    const { clock, lateness, hedges } = this.#shared
    const { pool, coder } = this.means
    return stackOf({
      ...{ clock, pool, lateness, budget: hedges, counts: this.counts.hedges, teaches: coder.learns },
      isHedged: coder.code === 'systematic',
      layers,
      unasked,
      tenantOf: ({ turn, refusal }) => (refusal ? this.tenants.known(turn.tenant) : this.tenants.of(turn.tenant)),
    })
  }

  get fingerprint(): string | undefined {
    return this.#model.fingerprint
  }

  #share({ clock, hedge, deadlineMs }: Settings, before: Generation | undefined): Shared {
    const { coder, lateness } = this.means
    const { byzantine, stragglers } = coder.scheme
    const verified = isVerified(coder)
    return {
      ...this.means,
      clock,
      core: coder.core,
      model: this.#model,
      agenda: new Agenda(clock, lateness, deadlineMs),
      hedges: before ? before.#shared.hedges : new Budget(hedge.budget, BURST), // one of all models
      recoveries: new Budget(RECOVERED.share, RECOVERED.share * RECOVERED.queries),
      hedged: this.counts.hedges,
      strangers: this.means.trust.strangers,
      acceptance: verified ? agreement(byzantine) : first,
      mostLost: Math.max(MOST_LOST, stragglers + 1 + (verified ? byzantine : 0)),
      mostFailed: verified ? Number.POSITIVE_INFINITY : stragglers + MORE_FAILURES,
      done: (query) => {
        this.#open.remove(query)
        this.means.trust.strangers?.ended(query.asked)
        this.means.buffers?.free(query.payload)
      },
    }
  }

  /**
   * The workers have another model: answers of the one before teach nothing of it, nor may a group have some of each. Who waits for an
   * answer asks again, once all changes of this turn are known: which workers have that model, and which do not.
   */
  renew(told: ModelChange): void {
    this.counts.renewals++
    this.#told = told
    this.#model.fingerprint = told.model ?? told.modelId ?? `unnamed ${this.counts.renewals}` // its answers are another's than before
    this.handOver(this)
    this.reuse?.renew()
    this.means.trust.renew()
    for (const name of this.tenants.names) {
      this.tenants.forget(name)
      if (name === NOBODY) this.tenants.of(name)
    }
  }

  /** The model was replaced, and nobody said so: tenants learn anew. Their budgets go on, else each replacement would be one more. */
  #replaced(): void {
    for (const { learning, context } of this.tenants) {
      learning?.renew()
      context.ledger?.renew()
    }
  }

  /** Who waits for an answer asks another generation, in a moment. */
  handOver(other: Generation): void {
    const open = this.#open.all.filter(({ caller }) => caller.isOpen)
    const pending = this.#pending?.detach() ?? []
    const waiting = [...this.#waiting.splice(0), ...pending, ...open.map((query) => this.#detach(query))]
    this.end(new ApproxiferError('WORKER', 'the model of the workers was replaced'))
    other.#waiting.push(...waiting)
    this.#shared.clock.after(0, () => other.#askAgain())
  }

  /** The query ends, and its memory is another's; its caller waits on. */
  #detach(query: Query): { payload: Payload; caller: Caller } {
    const { payload, caller } = query
    query.caller = new SharedCaller(caller, caller.since, ignore, ignore)
    caller.relisten((error) => caller.fail(error, this.means.ended))
    return { payload: payload.kept(), caller }
  }

  #askAgain(): void {
    for (const { payload, caller } of this.#waiting.splice(0)) {
      if (!caller.isOpen) continue
      try {
        const query = this.#pending?.ask(payload, caller) ?? this.#join(payload, caller)
        caller.relisten((error) => query.leave(error))
      } catch (error) {
        if (caller.isOpen) caller.fail(asError(error, 'WORKER'), this.means.ended)
      }
    }
  }

  join(worker: ModelWorker): void {
    const { pool, trust, buffers, sampled } = this.means
    pool.add(worker, !trust.joined(worker))
    sampled?.changed()
    buffers?.joined(worker)
    this.#model.fingerprint ??= worker.modelId
  }

  leave(name: string, how: 'remove' | 'drain'): void {
    const { pool, trust, sampled } = this.means
    const worker = pool.worker(name)
    if (pool[how](name) && worker) trust.left(worker)
    sampled?.changed()
  }

  /** Answers a request, by what was answered before where that is wanted. */
  take(request: Request): void {
    try {
      if (this.#closed) throw this.#closed // by what was read of the query
      if (this.#before) this.#before.take(request)
      else this.#ask(request, request.caller)
    } catch (error) {
      this.#fail(request.caller, error)
    }
  }

  /** A throw on a query's way costs that one, and nobody else. */
  #fail(caller: Caller, error: unknown): void {
    if (caller.isOpen) caller.fail(asError(error, 'WORKER'), this.means.ended)
  }

  /** Where no worker can answer it in time, and no memory, it fails. @param caller  its own, or who asks for several */
  #ask({ payload, signal, refusal: known, caller: own }: Request, caller: Caller): void {
    const { hedges, recoveries, pool } = this.#shared
    try {
      if (this.#pending) {
        const call = this.#pending.ask(payload, caller, known)
        return this.#closed ? call.end(this.#closed) : this.#listen(caller, own, signal, call)
      }
      const refusal = known ?? pool.forecast.refusal(caller.dueAt - caller.since, caller.turn)
      if (refusal && (known || !this.mayRecall(caller))) throw refusal
      hedges.earn(this.#open.size)
      recoveries.earn()
      const query = this.#join(payload, caller, refusal || undefined)
      if (this.#closed) return query.end(this.#closed) // by what made features of it
      this.#listen(caller, own, signal, query)
    } catch (error) {
      this.#fail(caller, error)
    }
  }

  #listen(
    caller: Caller,
    own: Caller,
    signal: AbortSignal | undefined,
    asked: { leave(error: ApproxiferError): void },
  ): void {
    const isShared = caller !== own // those that it asks for have signals of their own, and it leaves with the last of them
    const heard = isShared ? undefined : signal
    if (caller.isOpen && (heard || isShared)) caller.listen(heard, (error) => asked.leave(error))
  }

  /** Whether a memory may answer a caller that no worker can in time. */
  mayRecall({ choices, turn }: Pick<Caller, 'choices' | 'turn'>): boolean {
    if (this.means.first.doubt !== undefined && choices.policy === 'auto') return false
    return choices.policy !== 'retry' && this.tenants.known(turn.tenant)?.learning?.experience.memory === 'warm'
  }

  /** @param refusal  why no worker is asked */
  #join(payload: Payload, caller: Caller, refusal?: ApproxiferError): Query {
    const tenant = this.tenants.of(caller.turn.tenant)
    if (tenant.newGroup && !refusal) return this.#joinGroup(tenant, tenant.newGroup, payload, caller)
    const query = new Query(tenant.context, payload, caller)
    this.#open.add(query)
    query.start(refusal)
    return query
  }

  #joinGroup(tenant: Tenant, newGroup: NonNullable<Tenant['newGroup']>, payload: Payload, caller: Caller): Query {
    if (!tenant.group?.isOpen) {
      tenant.group = newGroup()
    }
    // Half of a short deadline for the group to fill, half for the answers.
    const maxWaitMs = Math.min(this.#maxWaitMs, (caller.dueAt - this.#shared.clock.now()) / 2)
    const query = tenant.group.join(payload, caller, maxWaitMs)
    if (!query.isDone) this.#open.add(query) // it may be: its group has sent it
    return query
  }

  /** There are fewer workers. @param ejected  the identity that is believed no more, if that is why */
  reconsider(ejected?: Identity): void {
    this.means.sampled?.look()
    for (const query of this.#open.all) query.reconsider(ejected)
    if (ejected !== undefined) this.#pending?.eject(ejected)
  }

  /** Takes out what an identity's answers taught, and what open queries would get of it. */
  forget(identity: Identity): void {
    this.reuse?.forget({ identity })
    for (const { learning } of this.tenants) learning?.forget(identity)
    for (const query of this.#open.all) query.forget(identity)
  }

  /** Ends all that is open, and closes the workers. */
  async close(error: ApproxiferError): Promise<void> {
    this.#closed = error
    this.end(error)
    for (const { learning } of this.tenants) learning?.close()
    this.means.sampled?.close()
    this.reuse?.close()
    await this.means.pool.close(error)
  }

  /** Every query gets this error, and attempts are given up. */
  end(error: ApproxiferError): void {
    for (const query of this.#open.all) query.end(error)
    this.#pending?.end(error)
    for (const { caller } of this.#waiting.splice(0)) if (caller.isOpen) caller.fail(error, this.means.ended)
    for (const { group } of this.tenants) group?.close()
  }
}
