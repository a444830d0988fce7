/** A memory as the layers use it, whichever host runs it. The confidence of decoded answers is learned here, that of the memory's recoveries by the host. */

import { NO_VALUES } from '../base/arrays'
import type { Clock } from '../base/clock'
import type { Warn } from '../base/notices'
import type { Recovered } from '../base/prediction'
import type { FirstAnswers } from '../base/refutation'
import { allFinite, rowLength } from '../base/tensor'
import type { Core } from '../core/core'
import { Confidence, surest } from './confidence'
import { type GivenFeatures, type OwnFeatures, ownFeatures } from './domain'
import { Experience } from './experience'
import { type LearnedModel, type Persistent, packed } from './experience-state'
import type { MemoryHost } from './host'
import { InlineMemory, SHARED_THREAD } from './inline'
import type { MemoryPlan } from './messages'
import type { MemoryService, MemoryStats, RecalledAnswer, Rehearsal } from './service'
import type { MemoryThread } from './thread'
import { Training } from './training'

export interface HostedOptions {
  readonly core: Core
  readonly clock: Clock
  readonly warn: Warn
  readonly plan: MemoryPlan
  /** Whether there is a memory; without it only decoded answers have a confidence. */
  readonly remembers: boolean
  /** The user's feature function, which cannot be sent to a thread. */
  readonly features?: OwnFeatures | undefined
  /** The thread of the memories; undefined: it runs in this thread. */
  readonly thread: MemoryThread | undefined
  readonly model: LearnedModel
  /** What else is saved with the memory. */
  readonly saved: { readonly evidence?: Persistent | undefined; readonly errorBudget?: Persistent | undefined }
  /** Checks the model's first answers. */
  readonly first?: Pick<FirstAnswers, 'see'> | undefined
  /** This memory's share of the time for all memories, 0..1. */
  readonly part: number
}

export class HostedMemory implements MemoryService {
  readonly #options: HostedOptions
  #confidence: Confidence
  #host: MemoryHost | undefined
  #epoch = 0
  readonly #studies: Training
  #isClosed = false

  /** @throws RangeError for options or a state that do not fit; a memory in a thread warns instead */
  constructor(options: HostedOptions) {
    const { clock, plan, remembers, thread, part, warn } = options
    this.#options = options
    this.#confidence = this.#newConfidence(plan)
    if (remembers) this.#host = thread && !thread.isLost ? this.#inThread(thread) : this.#inline(plan)
    const share = () => part * SHARED_THREAD[this.isWarm ? 'warm' : 'cold']
    this.#studies = new Training(clock, share, (why) => warn(`nothing was learned from a group: ${why}`))
  }

  #newConfidence({ criterion, signature, learned }: MemoryPlan): Confidence {
    return new Confidence(this.#options.core, criterion, learned?.worth, rowLength(signature.outputs) || undefined)
  }

  #inline({ signature, criterion, memory, learned }: MemoryPlan): InlineMemory {
    const { core, clock, warn, part } = this.#options
    const experience = new Experience(core, signature, { criterion, memory, learned, warn })
    return new InlineMemory(experience, { clock, shares: SHARED_THREAD, part, warn })
  }

  #inThread(thread: MemoryThread): MemoryHost {
    const { plan, warn } = this.#options
    const lost = (why: string) => {
      if (this.#isClosed) return
      warn(`the thread of the memory ${why}: it begins anew in this one`)
      this.#host = this.#inline({ ...plan, learned: undefined })
    }
    return thread.open(plan, lost, warn)
  }

  get isWarm(): boolean {
    return this.#host?.isWarm === true
  }

  get lookupMs(): number {
    return this.#host?.lookupMs ?? Number.POSITIVE_INFINITY
  }

  recall(
    query: Float32Array,
    withinMs: number,
    done: (said: RecalledAnswer | undefined, ms: number | undefined) => void,
  ): void {
    const epoch = this.#epoch
    if (!this.#host || !query.length || this.#isClosed) return done(undefined, undefined)
    const compared = () => this.#comparedBy(query)
    this.#host.recall(compared, this.#confidence.spread, withinMs, (found, ms) => {
      const isCurrent = epoch === this.#epoch && !this.#isClosed
      done(found && isCurrent ? { ...found, missing: 1, epoch } : undefined, ms)
    })
  }

  isCurrent({ epoch }: RecalledAnswer): boolean {
    return epoch === this.#epoch
  }

  best<T extends Recovered>(all: readonly T[]): { recovery: T; confidence: number | undefined } {
    return surest(all, (recovery) => this.#confidenceOf(recovery))
  }

  #confidenceOf(recovery: Recovered & Partial<RecalledAnswer>): number | undefined {
    return recovery.source === 'memory' ? recovery.confidence : this.#confidence.of(recovery)
  }

  agrees(recalled: Float32Array, own: Float32Array): boolean | undefined {
    return this.#confidence.agrees(recalled, own)
  }

  grade(said: Recovered, own: Float32Array, from: string | undefined): boolean | undefined {
    const right = this.rehearse(said, own, from)
    if (right !== undefined) this.#confidence.count(said, right, from)
    return right
  }

  rehearse(said: Recovered, own: Float32Array, from: string | undefined): boolean | undefined {
    const right = this.#confidence.agrees(said.answer, own)
    if (right !== undefined) this.#teach(said, right, from)
    return right
  }

  #teach(said: Recovered & Partial<RecalledAnswer>, right: boolean, from: string | undefined): void {
    const graded = this.#confidence.graded(said, right, from, said.signals)
    if (!graded) return
    if (said.source === 'code') this.#confidence.learn('code', graded)
    else if (said.epoch === this.#epoch) this.#host?.grade(graded)
  }

  learn(query: Float32Array, own: Float32Array, from: string | undefined, said?: RecalledAnswer): void {
    if (this.#isClosed || !allFinite(own)) return
    this.#options.first?.see(own)
    this.#confidence.observe(own)
    const bytes = query.byteLength + own.byteLength
    const isTaken =
      query.length > 0 &&
      this.#host?.mayLearn && // most answers are not learned, and cost nothing
      this.#host.learn({ query: () => this.#comparedBy(query), own, from, spread: this.#confidence.spread }, bytes)
    // Without time to learn, a recollection still teaches whether it was right; else the calibration would miss errors.
    if (!isTaken && said) this.rehearse(said, own, from)
  }

  /** The values by which a query is compared. If the user's function throws, they are empty, and the memory is given up; queries go on. */
  #comparedBy(query: Float32Array): Float32Array {
    const { features, warn, plan } = this.#options
    if (!features || !query.length || !this.#host) return query
    try {
      return ownFeatures(features, query, (plan.memory as { features: GivenFeatures }).features.sample.length)
    } catch (error) {
      warn(`the memory is off from here on: ${(error as Error)?.message ?? error}`)
      this.#host.close()
      this.#host = undefined
      return NO_VALUES
    }
  }

  study(rehearsals: Iterable<readonly Rehearsal[]>, bytes: number): void {
    this.#studies.add(this.#studying(rehearsals), bytes)
  }

  *#studying(rehearsals: Iterable<readonly Rehearsal[]>): Generator<void> {
    for (const some of rehearsals) {
      for (const { recovered, own, from } of some) this.rehearse(recovered, own, from)
      yield
    }
  }

  forget(from: string): void {
    this.#epoch++
    this.#studies.stop()
    this.#confidence.forget(from)
    const confidence = this.#confidence
    this.#host?.forget(from, (left) => confidence.spreadFrom(left))
  }

  renew(): void {
    this.#epoch++
    this.#studies.stop()
    this.#confidence = this.#newConfidence({ ...this.#options.plan, learned: undefined })
    this.#host?.renew()
  }

  async save(): Promise<Uint8Array> {
    this.#studies.finish()
    const confidence = this.#confidence
    const { memory, graded } = (await this.#host?.take()) ?? {}
    return packed(this.#options.model, { worth: confidence.save(graded), memory }, this.#options.saved)
  }

  stats(): MemoryStats {
    const { tolerance, tolerances, agreements } = this.#confidence
    return { pairs: this.#host?.pairs ?? 0, tolerance, tolerances, agreements }
  }

  close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#studies.stop()
    this.#host?.close()
  }
}
