/**
 * Rolls a new model out. Its workers form a model version of their own, with its own pool, memory and service times. This candidate gathers workers,
 * answers some queries in the shadow and some as a canary, and takes over when enough workers have it; until then the old model serves. A model that
 * has served before needs no proof, so that rolling back is as quick as rolling out.
 */

import { expected, outOfRange } from '../base/check'
import { ApproxiferError } from '../base/errors'
import { Payload } from '../base/payload'
import type { Prediction } from '../base/prediction'
import { type Random, seeded } from '../base/random'
import type { TensorList } from '../base/tensor'
import type { ModelVersionReport } from '../events'
import { identityOf, type ModelWorker, modelIdOf } from '../workers/worker'
import { SharedCaller, type WaitingCaller } from './caller'
import { type Takes, YOURS } from './membership'
import type { Settings } from './settings'
import { candidateOf, isFit, type ModelCandidate, reportOf, stateOf } from './takeover'
import type { ModelVersion, Request } from './version'

/** A serving model that cannot be reached for this long counts as gone. */
const GONE_MS = 30_000
/** Shadow queries at a time for each slot: a new model may be slower than the serving one. */
const AT_ONCE = 2
/** Models that have served and that no worker has any more: so many are remembered. */
const MOST_SERVED = 100

interface RolloutOptions {
  settings: Settings
  /** Workers that a model needs to answer. */
  needs: Takes
  /** Makes a version of this worker's model. @param before  the version that serves */
  begin(worker: ModelWorker, before: ModelVersion): ModelVersion
}

/** Only the model answers, not the memory. */
const MODEL_ONLY = Object.freeze({ ask: true, policy: 'retry' as const })

export class Rollout {
  #serving: ModelCandidate
  /** The candidate that gets shadow or canary queries. */
  #next: ModelCandidate | undefined
  /** Since when the serving model cannot be reached, and what cancels the timer for it. */
  #outage: { since: number; cancel: () => void } | undefined
  #isClosed = false
  readonly #others = new Map<string, ModelCandidate>()
  /** Models that have served and that no worker has now. */
  readonly #served = new Set<string>()
  readonly #random: Random
  readonly #options: RolloutOptions

  constructor(first: ModelVersion, worker: ModelWorker, options: RolloutOptions) {
    this.#options = options
    this.#random = seeded(options.settings.seed)
    this.#serving = { ...candidateOf(modelIdOf(worker), first, options.needs), state: 'serving', isProven: true }
  }

  get serving(): ModelVersion {
    return this.#serving.version
  }

  get versions(): ModelVersion[] {
    return [this.serving, ...Array.from(this.#others.values(), ({ version }) => version)]
  }

  get reports(): ModelVersionReport[] {
    return [this.#serving, ...this.#others.values()].map(reportOf)
  }

  join(worker: ModelWorker): void {
    const id = modelIdOf(worker)
    const known = id === this.#serving.id ? this.#serving : this.#others.get(id)
    if (known) known.version.join(worker)
    else this.#begin(id, worker)
    this.update()
  }

  #begin(id: string, worker: ModelWorker): void {
    const entry = candidateOf(id, this.#options.begin(worker, this.serving), this.#options.needs)
    entry.isProven = this.#served.delete(id)
    const { pool, trust } = entry.version.dependencies
    if (!trust.joined(worker)) pool.suspend(identityOf(worker))
    this.#others.set(id, entry)
    this.#options.settings.report(
      `${worker.name} has the model ${id}, and ${this.#serving.id} serves: the new one is a candidate`,
    )
    this.#tell(entry)
  }

  leave(name: string, how: 'remove' | 'drain'): void {
    for (const version of this.versions) version.leave(name, 'drain')
    this.update() // queries that wait for the last worker of a model move to another model before it leaves
    if (how === 'remove') for (const version of this.versions) version.leave(name, how)
  }

  /** A version has fewer workers. A candidate without any hands its waiting queries over to the version that serves. */
  fewer(version: ModelVersion): void {
    this.update()
    if (version !== this.serving && !version.dependencies.pool.usable) version.handOver(this.serving)
    version.reconsider()
  }

  take(request: Request): void {
    if (!this.#others.size) return this.serving.take(request)
    this.update()
    const next = this.#next
    const { shadow, canary } = this.#rules
    if (next?.state === 'canary' && this.#random.next() < canary) return this.#give(next, request)
    const slots = next?.version.dependencies.pool.slots ?? 0
    const isSeenByBoth = next && this.#random.next() < shadow && next.unseen < AT_ONCE * slots
    this.#give(this.#serving, request, isSeenByBoth ? next : undefined)
  }

  /**
   * What a canary fails on is asked of the serving model, if that is another one by then. @param other  gets the query, too, once the caller has
   * its answer
   */
  #give(entry: ModelCandidate, request: Request, other?: ModelCandidate): void {
    const { caller } = request
    const { canary, version } = entry
    const { ended } = version.dependencies
    const isCanary = entry !== this.#serving
    const answered = (prediction: Prediction) => {
      canary.answered += Number(isCanary)
      caller.answer(prediction, ended)
      if (other) this.#compare(other, request, prediction)
    }
    const failed = (error: ApproxiferError) => {
      canary.failed += Number(isCanary && !['ABORTED', 'CLOSED', 'OVERLOADED'].includes(error.code))
      this.update()
      const isFinal = ['ABORTED', 'CLOSED', 'DEADLINE'].includes(error.code) || entry === this.#serving
      if (isFinal) caller.fail(this.#explained(error), ended)
      else this.serving.take(request)
    }
    const shared = new SharedCaller(caller, this.#options.settings.clock.now(), answered, failed)
    version.take({ ...request, caller: shared })
  }

  /** Says why queries fail though workers with another model are there. */
  #explained(error: ApproxiferError): ApproxiferError {
    if (error.code !== 'WORKER' || this.serving.dependencies.pool.usable || !this.#others.size) return error
    return new ApproxiferError('WORKER', `${error.message}; ${this.#beside}`, { cause: error })
  }

  get #beside(): string {
    const others = Array.from(
      this.#others.values(),
      (each) => `${each.version.dependencies.pool.usable} with the model ${each.id}, ${each.state}`,
    )
    return `beside it there are ${others.join(', ')}`
  }

  #compare(other: ModelCandidate, { payload, caller }: Request, { status, output }: Prediction): void {
    if (status !== 'exact' && status !== 'checked') return
    const { outputs } = this.serving.dependencies.signature
    // A copy: the caller owns the answer.
    const own = new Payload(outputs.map(({ name }) => output[name])).copy().tensors
    this.#ask(other, payload.kept(), caller, own)
  }

  /** @param own  the answer of the serving model */
  #ask(entry: ModelCandidate, payload: Payload, { choices, turn }: WaitingCaller, own: TensorList): void {
    if (entry.state === 'gone') return
    const { clock, deadlineMs } = this.#options.settings
    const { signature } = entry.version.dependencies
    const now = clock.now()
    const first = {
      ...{ choices: { ...choices, policy: 'retry' as const, atDeadline: 'fail' as const }, dueAt: now + deadlineMs },
      turn: { ...turn, rank: 2 as const },
      said: MODEL_ONLY,
    }
    const compared = ({ output }: Prediction) => {
      entry.unseen--
      entry.comparison.add(
        own,
        signature.outputs.map(({ name }) => output[name]),
      )
      this.update()
    }
    const caller = new SharedCaller(first, now, compared, () => void entry.unseen--)
    entry.unseen++
    entry.version.take({ payload, caller, signal: undefined })
  }

  get #rules() {
    return this.#options.settings.rollout as NonNullable<Settings['rollout']>
  }

  /** Something has changed: moves candidates to their states. */
  update(): void {
    const before = this.#outage
    this.#watch()
    for (const entry of this.#others.values()) {
      const state = this.#stateOf(entry)
      if (state === 'serving') this.#serve(entry)
      else this.#move(entry, state)
    }
    this.#next = undefined
    for (const entry of this.#others.values()) {
      const isAsked = entry.state === 'shadow' || entry.state === 'canary'
      if (isAsked && !(this.#next && this.#next.machines.size >= entry.machines.size)) this.#next = entry
    }
    if (!this.#outage || this.#outage === before) return
    const isRefused = Array.from(this.#others.values()).every((entry) => entry.isRefused)
    const what = isRefused ? 'a model that was refused is promoted' : 'another model takes over or is promoted'
    this.#options.settings.report(
      `no worker with the model ${this.#serving.id}, which serves, can be reached; ${this.#beside}: all queries fail until one is back, or ${what}`,
    )
  }

  #stateOf(entry: ModelCandidate): ModelVersionReport['state'] {
    const { since = Number.POSITIVE_INFINITY } = this.#outage ?? {}
    const isOver = this.#options.settings.clock.now() - since >= GONE_MS
    return stateOf(entry, this.#serving, { ...this.#rules, needs: this.#options.needs, isOver })
  }

  /** Watches for how long the serving model cannot be reached. */
  #watch(): void {
    const { clock } = this.#options.settings
    const isOut = !this.#isClosed && this.#others.size > 0 && !this.serving.dependencies.pool.usable
    if (isOut === (this.#outage !== undefined)) return
    this.#outage?.cancel()
    this.#outage = isOut ? { since: clock.now(), cancel: clock.after(GONE_MS, () => this.update(), true) } : undefined
  }

  #serve(entry: ModelCandidate): void {
    const before = this.#serving
    this.#others.delete(entry.id)
    this.#others.set(before.id, before)
    this.#serving = entry
    entry.isProven = true
    entry.isRefused = false
    entry.version.counts.renewals++
    const { compared, agreed } = entry.comparison
    const share = compared ? `; ${agreed} of ${compared} of its answers were right by those of that` : ''
    this.#options.settings.report(
      `the model ${entry.id} takes over from ${before.id}: ${entry.machines.size} machines have it, and ${before.machines.size} that${share}`,
    )
    this.#move(entry, 'serving')
    this.#move(before, this.#stateOf(before))
    if (!before.version.dependencies.pool.usable) before.version.handOver(entry.version)
    this.#watch()
  }

  #move(entry: ModelCandidate, state: ModelVersionReport['state']): void {
    if (entry.state === state) return
    entry.state = state
    if (state === 'refused') {
      entry.isRefused = true
      if (!entry.isProven) this.#warnOf(entry) // else an operator has promoted another one
    }
    if (state === 'gone') this.#end(entry)
    this.#tell(entry)
  }

  #warnOf({ id, comparison, canary }: ModelCandidate): void {
    const { compared, agreed } = comparison
    this.#options.settings.report(
      `the model ${id} does not take over from ${this.#serving.id}: ${agreed} of ${compared} of its answers were right by those of that, and it failed on ${canary.failed} of ${canary.answered + canary.failed} queries; promote it to have it all the same`,
    )
  }

  #end({ id, version, isProven }: ModelCandidate): void {
    this.#others.delete(id)
    if (isProven) this.#served.add(id)
    if (this.#served.size > MOST_SERVED) this.#served.delete(this.#served.keys().next().value as string)
    version.handOver(this.serving)
    void version.close(new ApproxiferError('CLOSED', `no worker has the model ${id} any more`))
  }

  #tell(entry: ModelCandidate): void {
    this.#options.settings.events.tellModel(reportOf(entry))
  }

  /** Stops all timers. The caller closes the versions. */
  close(): void {
    this.#isClosed = true
    this.#watch()
  }

  /** @throws RangeError for an unknown candidate, or one that cannot answer */
  promote(id: string): void {
    const entry = this.#find(id)
    const { needs } = this.#options
    if (!isFit(entry, needs))
      throw outOfRange(
        expected(
          'the model version',
          `one of >= ${needs.least} ${needs.counted}${needs.needsTrusted ? YOURS : ''}`,
          `${entry.count.usable} of '${id}'`,
        ),
      )
    this.#serving.isRefused = true // else it would take over again with its next worker
    this.#serve(entry)
    this.update()
  }

  /**
   * The candidate does not take over by itself; if it comes back after it was gone, it has to prove itself again. @throws RangeError for an unknown
   * candidate, or the serving model
   */
  refuse(id: string): void {
    Object.assign(this.#find(id), { isRefused: true, isProven: false })
    this.update()
  }

  #find(id: string): ModelCandidate {
    const entry = this.#others.get(id)
    if (entry) return entry
    throw outOfRange(
      expected('the model version', `one of ${[...this.#others.keys()].join(', ') || 'no candidates'}`, id),
    )
  }
}
