/** What goes between a memory's service and the thread that keeps it: lists of plain data, one a turn of the loop. */

import type { Criterion } from '../base/criterion'
import type { DeviationState } from '../base/stats'
import type { Signature } from '../base/tensor'
import type { Core } from '../core/core'
import type { Graded } from './calibration'
import type { Spread } from './confidence'
import type { ExperienceOptions } from './experience'
import type { Rated, Taken, TrainingStep } from './host'
import type { SavedState } from './learned'

export interface MemoryPlan {
  readonly core: Core['kind']
  readonly signature: Signature
  readonly criterion: Criterion
  readonly memory: ExperienceOptions['memory']
  readonly learned: SavedState | undefined
}

/** `of`: which of the thread's memories; `forgets`: how often it was told to forget or renew, so that nothing is said by a memory that did not hear of one. */
export type Order = { readonly of: number } & (
  | { readonly is: 'open'; readonly plan: MemoryPlan }
  | {
      readonly is: 'recall'
      readonly id: number
      readonly query: Float32Array
      readonly spread: Spread
      readonly forgets: number
    }
  | { readonly is: 'learn'; readonly step: TrainingStep }
  | { readonly is: 'grade'; readonly graded: Graded }
  | { readonly is: 'forget'; readonly id: number; readonly from: string }
  | { readonly is: 'take'; readonly id: number }
  | { readonly is: 'renew' | 'close' }
)

/** What a memory tells of itself: lessons that came since it was opened, and those of them that still wait. */
export interface MemorySnapshot {
  readonly isWarm: boolean
  readonly pairs: number
  readonly came: number
  readonly waiting: number
}

export type Report = { readonly of: number } & (
  | { readonly is: 'found'; readonly id: number; readonly found: Rated | undefined; readonly ms: number }
  | { readonly is: 'forgotten'; readonly id: number; readonly left: DeviationState[] }
  | { readonly is: 'taken'; readonly id: number; readonly taken: Taken }
  | { readonly is: 'state'; readonly state: MemorySnapshot }
  | { readonly is: 'warning'; readonly text: string }
)

/** Beside whatever else goes between the threads. */
export interface Envelope<T> {
  readonly memory: readonly T[]
}

export function ordersIn<T>(data: unknown): readonly T[] | undefined {
  const { memory } = (data ?? {}) as Partial<Envelope<T>>
  return Array.isArray(memory) ? memory : undefined
}
