/** What a caller gets: an answer, and how it came about. */

import type { Code } from './errors'
import type { Tensors } from './tensor'

/**
 * How far an answer can be relied on. `exact`: the model's own answer; with byzantine > 0 proven by workers that agree, in an open fleet
 * the answer of a trusted worker. `checked`: one worker's answer, whose label a confident memory shares. `recovered`: predicted from other
 * answers. `remembered`: a confident memory's answer, for which no worker was asked (see `reuse.maxError`). `unverified`: one worker's
 * answer without any check. `audited`: one worker's answer that may be compared with a trusted worker's, which its worker cannot predict
 * (see `verify.mode`); in an open fleet an untrusted worker's answer, whose confidence is the worker's credibility.
 */
export type Status = (typeof statuses)[number]
export const statuses = ['exact', 'checked', 'recovered', 'remembered', 'unverified', 'audited'] as const

const NO_ANSWERS = Object.fromEntries(statuses.map((status) => [status, 0])) as Record<Status, number>

/** A count of 0 for each status. */
export const noAnswers = () => ({ ...NO_ANSWERS })

/** How a query ended. */
export type Ending = Status | Code

export interface Prediction {
  /** The model's outputs by name; the caller owns them. */
  output: Tensors
  status: Status
  /**
   * The probability that the model's own answer has the same label (the index of the largest value of the first output) or, without labels,
   * differs by at most the tolerance (see the option `right`). 1 for exact answers; undefined until enough late answers have shown how
   * often recovered ones are right.
   */
  confidence: number | undefined
  /**
   * Milliseconds until a worker began the attempt that was answered, and from then until the answer; for a recovered answer, of the query's
   * own attempt.
   */
  queuedMs: number
  ranMs: number
  /** Whether a second worker was asked because the first was late. */
  hedged: boolean
  /** The workers that answered: one, or for a decoded answer all whose answers it was made of, or none for a remembered one. */
  workers: string[]
  /** Their identities, see `ModelWorker.identity`: a worker may return under another name, but keeps its identity. */
  identities: string[]
  /** Fingerprint of the model that answered, if its workers state it; else a checksum of its answer to the probe query. */
  fingerprint?: string | undefined
  /** Id by which the answer may be recalled, if answers are sampled or the fleet is open, and this one is not proven: see the event `recalled`. */
  id?: number | undefined
  /** Whether it is the answer to an equal query: see the option `reuse`. */
  reused?: boolean
  /** Number of the query, as in its events, see `onEvent`. */
  query: number
  /** For a recovered answer: its source, and the reason for the recovery. */
  recovery?: { source: RecoverySource; why: RecoveryCause } | undefined
}

/** The source of a recovered answer: the group's other rows, or the memory. */
export type RecoverySource = 'code' | 'memory'

/**
 * Why an answer was recovered. `late`: its worker takes longer than usual. `lost`: no worker is left to be asked. `deadline`: the deadline
 * came. `decodable`: its group could be decoded before service times were known. `scheme`: the paper's code decodes every answer.
 */
export type RecoveryCause = 'late' | 'lost' | 'deadline' | 'decodable' | 'scheme'

/** An answer that was predicted from others. */
export interface Recovered {
  answer: Float32Array
  source: RecoverySource
  /** Number of queries of the group without an answer of their own. */
  missing: number
  /** Expected squared error in units of the answers' variance, if the decoder knows it. */
  variance?: number | undefined
  /** Expected root mean square error of the values, as the source estimates it. */
  error?: number | undefined
  /** The same for each output, if there are several. */
  errors?: readonly number[] | undefined
  /** Log odds that the choice is right, as the source estimates it; undefined if the answer makes no choice. */
  odds?: number | undefined
  /** How clear the choice is, if the source knows: see `lead`. */
  margin?: number | undefined
}
