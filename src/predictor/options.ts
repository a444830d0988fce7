/** Types of the options; checks, defaults and docstrings are in option-table.ts. Here stands only what takes more than a sentence. */

import type { Choices } from '../base/choices'
import type { Clock } from '../base/clock'
import type { Right } from '../base/output-kind'
import type { Tensors } from '../base/tensor'
import type { CodecOptions } from '../codec/codec'
import type { CoreOptions } from '../core/load'
import type { PredictorEvent } from '../events'
import type { MemoryOptions } from '../memory/memory'
import type { Priority } from '../pool/attempt'
import type { Layer } from '../service'
import type { LocalOptions, ThreadOptions } from '../workers/local/options'
import type { ModelWorker, WorkerChanges } from '../workers/worker'

export type { Priority }

export interface PredictOptions extends Choices {
  deadlineMs?: number
  signal?: AbortSignal
  priority?: Priority
  tenant?: string
  caller?: string
  weight?: number
  traceparent?: string
  ask?: boolean
}

/** For other codes, decoders and locators use a `Codec`. */
export type SchemeChoices = Pick<CodecOptions, 'queries' | 'stragglers' | 'byzantine' | 'workers' | 'preset'>

export interface PredictorOptions extends Choices {
  model?: LocalOptions['model']
  /**
   * How many local workers to start (default: as many as the scheme needs; more are spares), or a list of workers, which `close` closes, or an
   * iterable of workers that join and leave: see `Change`. With an iterable the predictor starts when as many have joined as the scheme needs, and
   * goes on with its workers when the iterable ends; `close` calls its `return`. With `byzantine` > 0 machines are counted, not workers: see
   * `ModelWorker.identity`.
   */
  workers?: number | readonly ModelWorker[] | WorkerChanges
  /**
   * How many queries are coded together, and how many results may be late or wrong. Without a scheme each query is sent by itself, and late ones
   * are hedged. The code is systematic: answers are exact when no worker is late; with `byzantine` > 0 each answer is proven or checked.
   */
  scheme?: SchemeChoices
  deadlineMs?: number
  maxWaitMs?: number
  hangMs?: number
  hedge?: false | { budget?: number }
  verify?: {
    trust?: TrustIn
    mode?: 'every' | 'sampled'
    rate?: number
    integrity?: number
    audit?: number
    rounding?: number
  }
  memory?: false | MemoryChoices
  limits?: { queries?: number; batch?: number; pad?: boolean; tenants?: number }
  right?: Right
  reuse?: { exact?: boolean; maxError?: number; bytes?: number }
  onnx?: Omit<ThreadOptions, 'maxPending'>
  rollout?: { shadow?: number; canary?: number; agreement?: number }
  layers?: (own: readonly Layer[]) => readonly Layer[]
  onWarning?: (text: string) => void
  onEvent?: (event: PredictorEvent) => void
  testing?: {
    clock?: Clock
    seed?: number
    core?: CoreOptions
    coin?: () => number
    memoryThread?: (onDeath: (why: string) => void) => object
  }
}

/** `open`: anybody may join, and a worker's answers count only once it has earned trust. `closed`: at most `byzantine` workers lie. */
export type TrustIn = (typeof trusts)[number]
export const trusts = ['closed', 'open'] as const

/** Makes a vector of a query that is none, for instance one of tokens. */
export type QueryFeatures = (query: Tensors) => Float32Array

export interface MemoryChoices extends Pick<MemoryOptions, 'bytes'> {
  features?: MemoryOptions['features'] | QueryFeatures
  state?: Uint8Array | Readonly<Record<string, Uint8Array>>
}
