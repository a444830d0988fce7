/** What a caller chooses for a query, and what it gets. */

import { ApproxiferError, type Code } from '../errors'
import type { Tensors } from '../tensor'
import { type Asked, workerOf } from './asked'
import type { AtDeadline, onOverloads, Policy } from './policy'
import type { Query } from './query'
import type { GroupReport } from './report'

/**
 * `exact`: the model's own answer; with byzantine > 0 proven by workers that agree, in an open fleet a worker's that has earned it. `checked`: one worker's, whose label a
 * confident memory shares. `recovered`: from other answers. `remembered`: the memory's, which was confident; nobody was asked (see `reuse.maxError`).
 * `unverified`: one worker's word, which nothing shows to be right. `audited`: the same, and nobody knew whether a worker of the user's own would
 * be asked as well (see `verify.mode`).
 */
export type Status = (typeof statuses)[number]
const statuses = ['exact', 'checked', 'recovered', 'remembered', 'unverified', 'audited'] as const

/** A count of each, to begin with. */
export const noAnswers = () => Object.fromEntries(statuses.map((status) => [status, 0])) as Record<Status, number>

/** How a query ended. */
export type Ending = Status | Code

/** What a caller chooses for a query, or for all that do not say otherwise. */
export interface Choices {
  /**
   * What becomes of a query whose answer is missing; see `Policy`. Default 'auto' with a scheme and where some may lie, 'retry' without,
   * 'recover' with the paper's code.
   */
  policy?: Policy
  /** Confidence from which `auto` gives a recovered answer. Default 0.9; 0.98 where answers are proven. */
  minConfidence?: number
  /**
   * What a query gets at its deadline that has no answer, and no recovery of `minConfidence`. 'fail': an error, DEADLINE, whose
   * `recovery` has what was recovered. 'give': that recovery, status `recovered`; or, where answers are proven and none agree, the
   * first worker's, `unverified`. Default 'fail'.
   */
  atDeadline?: AtDeadline
  /**
   * What a query gets that no worker can answer in time. 'fail': an error, OVERLOADED. 'remember': the memory's answer, where that is
   * confident, within `reuse.maxError`; also a query that says `ask`, if it says so itself. Default 'fail'.
   */
  onOverload?: (typeof onOverloads)[number]
}

export interface Prediction {
  /** The model's outputs by name; the caller owns them. */
  output: Tensors
  status: Status
  /**
   * The probability that the model's own answer has the same label (the index of the largest value of the first
   * output) or, where there is none, differs by at most the tolerance (see `labelAxis` and `tolerance`): 1 for exact
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
  /** Of the model that made it, where its workers tell. */
  fingerprint?: string | undefined
  /** By which it may be recalled, where answers are sampled and this one is not proven: see `onRecall`. */
  id?: number | undefined
  /** It is the answer to an equal query: see the option `reuse`. */
  reused?: boolean
  /** What happened to the query and its group; resolves when the last attempt has an outcome, never rejects. */
  group: Promise<GroupReport>
}

/** What a query says of its answer. */
export type Given = Pick<Prediction, 'status' | 'confidence' | 'queuedMs' | 'ranMs' | 'hedged' | 'workers'>

/** Of an answer that a worker gave. */
export function workersAnswer(query: Query, asked: Asked, status: Status, confidence: number | undefined): Given {
  const { startedAt, ranMs } = asked.attempt
  const queuedMs = startedAt - query.caller.since
  return { status, confidence, queuedMs, ranMs, hedged: isHedged(query), workers: [workerOf(asked).name] }
}

/** Of one that was recovered now. @param workers  whose answers it is made of */
export function recoveredAnswer(query: Query, now: number, workers: string[]): Given {
  const sentAt = query.asked[0]?.attempt.startedAt || now
  const confidence = query.recovery?.confidence
  const [queuedMs, ranMs] = [sentAt - query.caller.since, now - sentAt]
  return { status: 'recovered', confidence, queuedMs, ranMs, hedged: isHedged(query), workers }
}

function isHedged({ asked }: Query): boolean {
  return asked.some(({ purpose, attempt }) => purpose === 'hedge' && attempt.worker)
}

const ANSWERED: readonly Ending[] = statuses

/** How a group ended: `decoded` where all have an answer; callers that left count only where all did. */
export function outcomeOf(endings: readonly Ending[]): string {
  let outcome = 'ABORTED'
  for (const ending of endings) {
    if (ANSWERED.includes(ending)) outcome = 'decoded'
    else if (ending !== 'ABORTED') return ending
  }
  return outcome
}

/** An answer that was not good enough at the deadline. */
export function unsure(why: string, output: Tensors, confidence: number | undefined): ApproxiferError {
  return new ApproxiferError('DEADLINE', `${why}; what was recovered is not confident enough`, {
    recovery: { output, confidence },
  })
}
