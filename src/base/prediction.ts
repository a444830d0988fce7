/** What a caller gets: an answer, and how it came about. */

import type { Code } from './errors'
import type { Tensors } from './tensor'

/**
 * `exact`: the model's own answer; with byzantine > 0 proven by workers that agree, in an open fleet one of the user's own. `checked`: one worker's, whose label a
 * confident memory shares. `recovered`: from other answers. `remembered`: the memory's, which was confident; nobody was asked (see `reuse.maxError`).
 * `unverified`: one worker's word, which nothing shows to be right. `audited`: the same, and nobody knew whether a worker of the user's own would
 * be asked as well (see `verify.mode`); in an open fleet a stranger's, with its credibility as confidence.
 */
export type Status = (typeof statuses)[number]
export const statuses = ['exact', 'checked', 'recovered', 'remembered', 'unverified', 'audited'] as const

const NO_ANSWERS = Object.fromEntries(statuses.map((status) => [status, 0])) as Record<Status, number>

/** A count of each, to begin with. */
export const noAnswers = () => ({ ...NO_ANSWERS })

/** How a query ended. */
export type Ending = Status | Code

export interface Prediction {
  /** The model's outputs by name; the caller owns them. */
  output: Tensors
  status: Status
  /**
   * The probability that the model's own answer has the same label (the index of the largest value of the first
   * output) or, where there is none, differs by at most the tolerance (see the option `right`): 1 for exact
   * answers; undefined until enough late answers have shown how often recovered ones are right.
   */
  confidence: number | undefined
  /** Milliseconds until the attempt that was answered went to a worker, and from then on; of a recovered answer, its own attempt. */
  queuedMs: number
  ranMs: number
  /** Whether a second worker was asked since the first was late. */
  hedged: boolean
  /** The workers that answered: one or, for an answer that was decoded, all whose answers it was made of; none for a remembered one. */
  workers: string[]
  /** Of these, see `ModelWorker.identity`: a worker may come back under another name, and is known by this. */
  identities: string[]
  /** Of the model that made it, where its workers tell; of servers that do not, a checksum of its answer to the probe query. */
  fingerprint?: string | undefined
  /** By which it may be recalled, where answers are sampled, or the fleet is open, and this one is not proven: see the event `recalled`. */
  id?: number | undefined
  /** It is the answer to an equal query: see the option `reuse`. */
  reused?: boolean
  /** Its number: that of its events, see `onEvent`. */
  query: number
  /** Of a recovered answer: what it was made from, and why it was made. */
  recovery?: { source: RecoverySource; why: RecoveryCause } | undefined
}

/** What a recovered answer was recovered from: the answers to the group's other rows, or remembered ones. */
export type RecoverySource = 'code' | 'memory'

/**
 * Why an answer was recovered. `late`: its worker takes longer than usual. `lost`: no worker that may be asked is left. `deadline`: its time was up.
 * `decodable`: its group was decoded before anybody knew what is late. `scheme`: the paper's code decodes every answer.
 */
export type RecoveryCause = 'late' | 'lost' | 'deadline' | 'decodable' | 'scheme'

/** An answer that was predicted from others. */
export interface Recovered {
  answer: Float32Array
  source: RecoverySource
  /** How many queries of the group had no answer of their own. */
  missing: number
  /** In units of the answers' own, where the decoder knows. */
  variance?: number | undefined
  /** Root mean square error of its values to be expected, by its source's own reckoning. */
  error?: number | undefined
  /** The same of each output, where there are several. */
  errors?: readonly number[] | undefined
  /** Log odds that its choice is right, by its source's own reckoning; undefined where it is none. */
  odds?: number | undefined
  /** How clear its choice is, where its source knows: see `lead`. */
  margin?: number | undefined
}
