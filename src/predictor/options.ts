/** What callers may ask of a predictor; checks, defaults and what the tables of docs/ say are in option-table.ts. */

import type { Choices } from '../base/choices'
import type { Clock } from '../base/clock'
import type { Right } from '../base/output-kind'
import type { Tensors } from '../base/tensor'
import type { CodecOptions } from '../codec/codec'
import type { CoreOptions } from '../core/load'
import type { MemoryOptions } from '../memory/memory'
import type { Priority } from '../pool/attempt'
import type { Layer } from '../service'
import type { Recall } from '../trust/given-answers'
import type { Verdict } from '../trust/reputation'
import type { LocalOptions, ThreadOptions } from '../workers/local/options'
import type { ModelWorker, WorkerChanges } from '../workers/worker'

export type { Priority }

export interface PredictOptions extends Choices {
  deadlineMs?: number
  signal?: AbortSignal
  /** Before which others it is answered where queries wait. Default 'normal'. */
  priority?: Priority
  /** Whose query it is: see `limits.tenants`. */
  tenant?: string
  /** Who asks, where no tenant is named: callers take turns where queries wait, and share memory and groups. */
  caller?: string
  /** Of its tenant or caller, where queries wait: turns that it has for one of another with 1. As of the first of those that wait. Default 1. */
  weight?: number
  /** It is asked, however much is remembered: see `reuse.maxError`. */
  ask?: boolean
}

/** Other codes, decoders and locators are a `Codec`'s. */
export type SchemeChoices = Pick<CodecOptions, 'queries' | 'stragglers' | 'byzantine' | 'workers' | 'preset'>

/** Each with its default in docs/reference.md. */
export interface PredictorOptions extends Choices {
  model?: LocalOptions['model']
  /**
   * How many local ones to start (default: as many as the scheme has rows; more are spares), or ready ones, which `close` closes. Or an
   * iterable that tells of those that come and go: see `Change`. The predictor is there when as many have joined as the scheme needs, and
   * takes further changes as they come; should there be no more, it goes on with the workers that it has. `close` calls its `return`.
   * With `byzantine` > 0 machines count, not workers: see `ModelWorker.identity`.
   */
  workers?: number | readonly ModelWorker[] | WorkerChanges
  /**
   * How many queries are coded together, and how many results may be late or wrong. Without one queries go out one by one, and late ones
   * are hedged. The code is the systematic one: exact answers when nobody is late; with byzantine > 0 every answer is proven or checked.
   */
  scheme?: SchemeChoices
  deadlineMs?: number
  maxWaitMs?: number
  hangMs?: number
  /** Second requests for late queries; `false` for workers that must not be asked twice. */
  hedge?: false | { budget?: number }
  /** Where workers may lie. */
  verify?: {
    trust?: TrustIn
    mode?: 'every' | 'sampled'
    rate?: number
    integrity?: number
    audit?: number
    rounding?: number
  }
  /** Queries and the model's own answers to them, from which lost ones are recovered. `state` is what `save` gave, one by tenant. */
  memory?: false | MemoryChoices
  limits?: { queries?: number; batch?: number; pad?: boolean; tenants?: number }
  /** When a recovered answer is right. */
  right?: Right
  /** Answers without asking: to equal queries, and of a memory that is wrong so often at most; see docs/reference.md. */
  reuse?: { exact?: boolean; maxError?: number; bytes?: number }
  /** Of the threads that it starts. */
  onnx?: Omit<ThreadOptions, 'maxPending'>
  /** How a new model of workers that come and go takes over. */
  rollout?: { shadow?: number; canary?: number; agreement?: number }
  /** Those that a query goes through, the outermost first, from those that it would go through: see docs/reference.md. */
  layers?: (own: readonly Layer[]) => readonly Layer[]
  onWarning?: (text: string) => void
  onModelVersion?: (report: ModelVersionReport) => void
  onVerdict?: (verdict: Verdict) => void
  onRecall?: (recall: Recall) => void
  /** For simulations, and to choose between cores. */
  testing?: {
    clock?: Clock
    seed?: number
    core?: CoreOptions
    coin?: () => number
    memoryThread?: (onDeath: (why: string) => void) => object
  }
}

/**
 * Of workers that have one model. `gathering`: it has too few of them to answer, or to take over; `shadow`, `canary`: it is asked
 * as well, or answers some; `refused`: it does not take over by itself; `gone`: it has no worker left.
 */
export interface ModelVersionReport {
  /** The model's fingerprint or, where workers do not tell it, what tells its answers from another's. */
  readonly id: string
  readonly state: 'gathering' | 'shadow' | 'canary' | 'serving' | 'refused' | 'gone'
  readonly workers: number
  /** Of its answers, those that were compared with the serving model's, and those that were right by them. */
  readonly compared: number
  readonly agreed: number
  /** Queries of callers that it answered, and those that it failed on, before it took over. */
  readonly answered: number
  readonly failed: number
}

/** `open`: anybody may join, and a worker's word counts only once it is earned. `closed`: at most `byzantine` workers lie. */
export type TrustIn = (typeof trusts)[number]
export const trusts = ['closed', 'open'] as const

/** Of a query that is no vector, for instance one of tokens. */
export type QueryFeatures = (query: Tensors) => Float32Array

export interface MemoryChoices extends Pick<MemoryOptions, 'bytes'> {
  features?: MemoryOptions['features'] | QueryFeatures
  state?: Uint8Array | Readonly<Record<string, Uint8Array>>
}
