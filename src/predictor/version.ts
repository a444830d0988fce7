/**
 * One model at work: its workers, their service times, what was learned from its answers, and its queries in flight. Each query belongs to one
 * version; the workers' records of lies are shared by all.
 */

import { ApproxiferError, asError } from '../base/errors'
import type { Payload } from '../base/payload'
import { Budget } from '../layers/query-share'
import type { Identity } from '../pool/attempt'
import type { Query, Service } from '../service'
import { identityOf, type ModelChange, type ModelWorker } from '../workers/worker'
import type { WaitingCaller } from './caller'
import type { Dependencies } from './dependencies'
import { type DetachedQuery, OpenQueries } from './open-queries'
import type { Reuse, ReuseFactory } from './reuse'
import type { Settings } from './settings'
import { type ReuseLayers, stackOf, type TrustLayers } from './stack'
import type { VersionCounts } from './stats'
import { NOBODY, type Shared, Tenants } from './tenants'

/**
 * Hedges that may be saved up while few queries are in flight. With 10, of 256 queries that began together ten were hedged; 25 of 9,000 waited ten
 * times as long as others.
 */
const BURST = 10
/**
 * Late queries that may be recovered, as a share of all, saved up over this many queries: when the whole fleet slows down, not every answer should
 * be a recovery.
 */
const RECOVERED = { share: 0.3, queries: 500 }
/** A caller's query. */
export interface Request {
  readonly payload: Payload
  readonly caller: WaitingCaller
  readonly signal: AbortSignal | undefined
  /** False: it is admitted however long the queue is. */
  readonly refusal?: false | undefined
}

interface VersionOptions {
  /** What the workers report of their model. */
  model: ModelChange
  /** Makes what answers queries without workers. */
  reuse?: ReuseFactory | undefined
  trustLayers?: TrustLayers | undefined
  /** The version that serves before it: its counts go on. */
  before?: ModelVersion | undefined
}

export class ModelVersion {
  readonly counts: VersionCounts
  readonly tenants: Tenants
  readonly dependencies: Dependencies
  readonly reuse: Reuse | undefined
  readonly #shared: Shared
  readonly #events: Settings['events']
  readonly #open: OpenQueries
  /** The error for queries that come after `close`. */
  #closed: ApproxiferError | undefined
  /** Queries that wait to be sent to the workers with the new model. */
  readonly #waiting: DetachedQuery[] = []
  /** The fingerprint that workers report. */
  readonly #model: { fingerprint: string | undefined }
  /** The model that the learned state belongs to. */
  #change: ModelChange

  constructor(
    dependencies: Dependencies,
    settings: Settings,
    { model, before, reuse: makeReuse, trustLayers }: VersionOptions,
  ) {
    this.counts = before?.counts ?? { renewals: 0, hedges: { sent: 0, won: 0 } }
    this.#change = model
    this.#model = { fingerprint: model.model ?? model.modelId }
    this.dependencies = dependencies
    this.#events = settings.events
    this.#shared = this.#share(settings, before)
    const mended = () => {
      for (const { errors } of this.tenants) errors?.mended()
    }
    const replaced = () => this.#replaced()
    const tenantOf = ({ turn }: Query) => this.tenants.known(turn.tenant) && this.tenants.of(turn.tenant) // a refused query makes no tenant
    this.reuse = makeReuse?.(settings, dependencies, { tenantOf, mended, replaced })
    this.#open = new OpenQueries(
      this.#stack(settings, this.reuse?.layers, trustLayers),
      dependencies,
      this.#model,
      settings.clock,
    )
    const make = (name: string) =>
      dependencies.coder.newTenant(name, this.#shared, settings, { ...this.#change, fingerprint: this.#change.model })
    this.tenants = new Tenants(settings.limits.tenants, make, (tenant) => this.reuse?.forget({ tenant }))
    for (const name of Object.keys(settings.states)) this.tenants.of(name) // a state that cannot be read is refused now
    const { limits, reuse } = settings
    if (limits.tenants === 1 || reuse.maxError !== undefined) this.tenants.of(NOBODY) // a memory without enough bytes is refused now
  }

  #stack({ layers, warn }: Settings, reuse: ReuseLayers | undefined, trustLayers: TrustLayers | undefined): Service {
    const { clock, lateness, hedges } = this.#shared
    const { pool, coder, trust, sampled, first } = this.dependencies
    const isPaper = coder.code !== 'systematic'
    const { openTrust } = trust
    return stackOf({
      ...{
        clock,
        pool,
        lateness,
        budget: hedges,
        counts: this.counts.hedges,
        teaches: coder.learns,
        layers,
        reuse,
        warn,
      },
      ...(!isPaper && {
        trust,
        trustLayers,
        sampled,
        openTrust,
        scheme: coder.scheme,
        isDoubted: () => first.doubt !== undefined,
      }),
      isHedged: !isPaper,
      tenantOf: ({ turn, refusal }) => (refusal ? this.tenants.known(turn.tenant) : this.tenants.of(turn.tenant)),
    })
  }

  get fingerprint(): string | undefined {
    return this.#model.fingerprint
  }

  #share({ clock, hedge }: Settings, before: ModelVersion | undefined): Shared {
    return {
      ...this.dependencies,
      clock,
      model: this.#model,
      hedges: before ? before.#shared.hedges : new Budget(hedge.budget, BURST), // one budget for all models
      recoveries: new Budget(RECOVERED.share, RECOVERED.share * RECOVERED.queries),
    }
  }

  /**
   * The workers have another model: answers of the old one teach nothing about it, and a group must not mix both. Open queries are sent again in
   * the next turn, when it is known which workers have which model.
   */
  renew(model: ModelChange): void {
    this.counts.renewals++
    this.#change = model
    this.#model.fingerprint = model.model ?? model.modelId ?? `unnamed ${this.counts.renewals}` // a name of its own, since its answers differ from those before
    this.handOver(this)
    this.reuse?.renew()
    this.dependencies.trust.renew()
    for (const name of this.tenants.names) {
      this.tenants.forget(name)
      if (name === NOBODY) this.tenants.of(name)
    }
  }

  /** The model was replaced without notice: tenants learn anew. Their error budgets go on: otherwise each replacement would grant a new one. */
  #replaced(): void {
    for (const { learned, errors } of this.tenants) {
      learned?.renew()
      errors?.renew()
    }
  }

  /** Queries without an answer go to another version, in the next turn of the clock. */
  handOver(other: ModelVersion): void {
    const waiting = [...this.#waiting.splice(0), ...this.#open.detach()]
    this.end(new ApproxiferError('WORKER', 'the model of the workers was replaced'))
    other.#waiting.push(...waiting)
    this.#shared.clock.after(0, () => other.#askAgain())
  }

  #askAgain(): void {
    for (const { payload, caller, refusal } of this.#waiting.splice(0)) {
      if (!caller.isOpen) continue
      try {
        const call = this.#open.ask(payload, caller, refusal)
        caller.relisten((error) => call.leave(error))
      } catch (error) {
        this.#fail(caller, error)
      }
    }
  }

  join(worker: ModelWorker): void {
    const { pool, trust, buffers, sampled } = this.dependencies
    this.#events.tellOf(worker.name, identityOf(worker), { event: 'joined' })
    pool.add(worker, !trust.joined(worker))
    sampled?.changed()
    buffers?.joined(worker)
    this.#model.fingerprint ??= worker.modelId
  }

  leave(name: string, how: 'remove' | 'drain'): void {
    const { pool, trust, sampled } = this.dependencies
    const worker = pool.worker(name)
    if (pool[how](name) && worker) {
      trust.left(worker)
      this.#events.tellOf(name, identityOf(worker), { event: 'left', how })
    }
    sampled?.changed()
  }

  /** Sends a query into the stack. */
  take({ payload, signal, refusal, caller }: Request): void {
    try {
      if (this.#closed) throw this.#closed // closed by a getter of the query
      const call = this.#open.ask(payload, caller, refusal)
      if (this.#closed)
        call.end(this.#closed) // closed by the user's feature function
      else if (signal && caller.isOpen) caller.listen(signal, (error) => call.leave(error))
    } catch (error) {
      this.#fail(caller, error)
    }
  }

  /** An exception fails this query only. */
  #fail(caller: WaitingCaller, error: unknown): void {
    if (caller.isOpen) caller.fail(asError(error, 'WORKER'), this.dependencies.ended)
  }

  /** Whether a memory may answer a caller when no worker can do it in time. */
  mayRecall({ choices, turn }: Pick<WaitingCaller, 'choices' | 'turn'>): boolean {
    if (this.dependencies.first.doubt !== undefined && choices.policy === 'auto') return false
    return choices.policy !== 'retry' && this.tenants.known(turn.tenant)?.memory?.isWarm === true
  }

  /** Workers have left. @param ejected  the identity that was ejected, if that is why */
  reconsider(ejected?: Identity): void {
    this.dependencies.sampled?.sendAudits()
    if (ejected !== undefined) for (const tenant of this.tenants) tenant.forget?.(ejected)
  }

  /** Removes what an identity's answers taught, also from open queries. */
  forget(identity: Identity): void {
    this.reuse?.forget({ identity })
    for (const tenant of this.tenants) {
      tenant.learned?.forget(identity)
      tenant.forget?.(identity)
    }
  }

  /** Ends all open queries, and closes the workers. */
  async close(error: ApproxiferError): Promise<void> {
    this.#closed = error
    this.end(error)
    for (const { learned } of this.tenants) learned?.close()
    this.dependencies.sampled?.close()
    this.reuse?.close()
    await this.dependencies.pool.close(error)
  }

  /** Fails all queries with this error, and gives up their attempts. */
  end(error: ApproxiferError): void {
    this.#open.end(error)
    for (const { caller } of this.#waiting.splice(0)) if (caller.isOpen) caller.fail(error, this.dependencies.ended)
  }
}
