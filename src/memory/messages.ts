/** The messages between a memory's host and its thread: lists of orders and of reports, one list for each turn of the event loop. */

import type { Criterion } from '../base/criterion'
import type { DeviationState } from '../base/stats'
import type { Signature } from '../base/tensor'
import type { Core } from '../core/core'
import type { Graded } from './calibration'
import type { Spread } from './confidence'
import type { ExperienceOptions } from './experience'
import type { Rated, Taken, TrainingStep } from './host'
import type { SavedState } from './learned'

/** What a memory is made of. */
export interface MemoryPlan {
  readonly core: Core['kind']
  readonly signature: Signature
  readonly criterion: Criterion
  readonly memory: ExperienceOptions['memory']
  /** The saved state that it begins with. */
  readonly learned: SavedState | undefined
}

/** To the thread. `of` is the number of the memory; `id` is repeated in the report. */
export type Order = { readonly of: number } & (
  | { readonly is: 'open'; readonly plan: MemoryPlan }
  | {
      readonly is: 'recall'
      readonly id: number
      readonly query: Float32Array
      readonly spread: Spread
      /** How many orders to forget or renew were sent before: a memory that missed one must not answer. */
      readonly forgets: number
    }
  | { readonly is: 'learn'; readonly step: TrainingStep }
  | { readonly is: 'grade'; readonly graded: Graded }
  | { readonly is: 'forget'; readonly id: number; readonly from: string }
  | { readonly is: 'take'; readonly id: number }
  | { readonly is: 'renew' | 'close' }
)

export interface MemorySnapshot {
  readonly isWarm: boolean
  readonly pairs: number
  /** Answers to learn that have arrived, and how many of them still wait. */
  readonly came: number
  readonly waiting: number
}

/** The replies to orders that have an `id`. */
export interface Replies {
  readonly found: { readonly found: Rated | undefined; readonly ms: number }
  readonly forgotten: { readonly left: DeviationState[] }
  readonly taken: { readonly taken: Taken }
}

type MemoryReply = { [K in keyof Replies]: { readonly is: K; readonly id: number } & Replies[K] }[keyof Replies]

/** From the thread. */
export type Report = { readonly of: number } & (
  | MemoryReply
  | { readonly is: 'state'; readonly state: MemorySnapshot }
  | { readonly is: 'warning'; readonly text: string }
)

/** The messages that are not of memories have no such field. */
export interface Envelope<T> {
  readonly memory: readonly T[]
}

/** The orders or reports in a message; undefined if the message is not of memories. */
export function ordersIn<T>(data: unknown): readonly T[] | undefined {
  const { memory } = (data ?? {}) as Partial<Envelope<T>>
  return Array.isArray(memory) ? memory : undefined
}
