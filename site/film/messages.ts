/** What the page and its simulation, a worker, say to each other. Times are milliseconds of the film. */

import type { Given } from '../../src/film/film'
import type { FilmCall } from '../../src/film/machine'
import type { Fault } from '../../src/film/script'

/** To the simulation. */
export type Order =
  /** A film from its first moment on. */
  | { readonly kind: 'begin' }
  | { readonly kind: 'advance'; readonly until: number }
  | { readonly kind: 'fault'; readonly machine: number; readonly fault: Fault | undefined }
  /** A digit that was drawn by hand, and the model's answer to it. */
  | { readonly kind: 'ask'; readonly image: Float32Array; readonly answer: Float32Array }

/** From the simulation. */
export type Report =
  /** The pictures of all digits, 28 x 28 bytes each. */
  | { readonly kind: 'pictures'; readonly pictures: Uint8Array }
  | { readonly kind: 'begun' }
  | { readonly kind: 'advanced'; readonly now: number; readonly bands: readonly BandReport[] }
  /** The answer to a digit that was drawn by hand. */
  | { readonly kind: 'answered'; readonly given: Given }
  | { readonly kind: 'failed'; readonly message: string }

/** An inference; its number stays the same from its beginning to its end. */
export interface NumberedCall extends FilmCall {
  readonly id: number
}

export interface BandReport {
  /** Inferences that have begun or ended since the last report. */
  readonly calls: readonly NumberedCall[]
  /** Answers since the last report. */
  readonly given: readonly Given[]
  readonly machines: readonly MachineReport[]
  readonly slowestMs: number
  readonly wrong: number
  readonly inferences: number
  readonly waiting: number
}

export interface MachineReport {
  readonly fault: Fault | undefined
  readonly isEjected: boolean
  readonly isPassedOver: boolean
}
