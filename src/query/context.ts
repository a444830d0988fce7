/** What all queries of a tenant share. */

import type { Clock } from '../clock'
import type { Budget } from '../layers/budget'
import type { ErrorBudget } from '../layers/error-budget'
import type { Lateness } from '../layers/lateness'
import type { Learning } from '../memory/learning'
import type { Payload } from '../payload'
import type { Apart, Attempt, Attempts, Identity } from '../pool/attempt'
import type { Status } from '../prediction'
import type { FirstAnswers } from '../refutation'
import type { Signature } from '../tensor'
import type { Acceptance } from '../trust/acceptance'
import type { Equality } from '../trust/equality'
import type { ModelWorker } from '../workers/worker'
import type { Agenda } from './agenda'
import type { Asked } from './asked'
import type { Ended } from './caller'
import type { Query } from './query'
import type { Vote } from './vote'

export interface Context {
  readonly clock: Clock
  readonly pool: Attempts<Payload, Payload>
  readonly core: 'wasm' | 'js'
  readonly signature: Signature
  /** Its fingerprint, where it is known: another one where it is replaced. */
  readonly model: { readonly fingerprint: string | undefined }
  readonly agenda: Agenda
  readonly lateness: Lateness
  /** Second requests for late queries, and recoveries given to them. */
  readonly hedges: Budget
  readonly recoveries: Budget
  /** Hedges that went to a worker, and those that answered first. */
  readonly hedged: { sent: number; won: number }
  readonly acceptance: Acceptance
  /** Where it takes more than one. */
  readonly Vote?: typeof Vote | undefined
  readonly trust: Trust
  /** Whether something speaks against how the model's outputs are read. Absent where nobody asks. */
  readonly first?: Pick<FirstAnswers, 'doubt'>
  /** Absent where nobody has to earn trust. */
  readonly strangers?: Strangers | undefined
  /** Where answers are given that may be recalled. */
  readonly given: Recallable | undefined
  /** Where answers are given as they come, and some are audited. */
  readonly sampled: Sampled | undefined
  /** Absent where no single answer is known to be right. */
  readonly learning: Learning | undefined
  /** What answers that no worker gave count in, where these may be wrong so often. */
  readonly ledger?: ErrorBudget | undefined
  /** How many workers may go down with a query, and fail on it, before it is given up: the fault is then its own. */
  readonly mostLost: number
  readonly mostFailed: number
  /** A caller's query ended; told before the caller is. */
  readonly ended: Ended
  /** The last attempt of a query has an outcome. */
  done(query: Query): void
}

/** What queries ask and tell of the honesty of workers. */
export interface Trust {
  readonly equality: Equality
  /** Confidence from which a memory may check an answer; 1: never. */
  readonly integrity: number
  isTrusted(worker: ModelWorker): boolean
  isSuspected(worker: ModelWorker): boolean
  /** Whether more workers are asked than it takes, for the answer of this one; drawn anew each time. */
  audits(worker?: ModelWorker): boolean
  /** A worker has begun with a query, or with one more attempt for it. Absent where nobody has to earn trust. */
  began?(worker: ModelWorker): void
  /** Whether workers agree, where the first answer will do. @param answered  attempts for one query */
  compare(payload: Payload, answered: readonly Attempt<Payload, Payload>[]): void
  /** An answer is right, with proof; a lie, with proof; none came. */
  proven(worker: ModelWorker): void
  lied(worker: ModelWorker): void
  /** An answer is unlike all of E + 1 that agree, and no lie. */
  deviated(worker: ModelWorker): void
  /** What keeps trials away from ejected workers that will hardly pass them. */
  readonly trials: Apart
  silent(worker: ModelWorker): void
  /** What a confident memory said of an answer. @param distance  of the two, over the error that the memory expected */
  checked(worker: ModelWorker, passed: boolean, distance: number): void
}

/** Answers that may be recalled. */
export interface Recallable {
  /** One is given that is not exact. @param workers  that made it, also those that have left @returns what its caller knows it by, and where that is kept */
  give(workers: readonly ModelWorker[], tenant: string): { id: number; place: number } | undefined
}

/** What queries tell of answers that are given unproven, and sampled. */
export interface Sampled {
  /** What an answer of this worker is by itself. */
  worth(worker: ModelWorker): Status
  /** A worker's answer came that may be audited, by its worth. @param place  where it was given @param learning  what an anchor's answer teaches */
  came(worker: ModelWorker, query: Payload, answer: Payload, place?: number, learning?: Learning): void
}

/**
 * Where anybody may join a query goes to one stranger at most: an answer that is given is credited to one, and two could tell each other what
 * became of it. Those that are asked after him are trusted ones.
 */
export interface Strangers {
  has(identity: Identity): boolean
  /** Whether what a worker says counts for nothing; what its answer is by itself; and what that is worth, from 0 to 1. */
  doubts(worker: ModelWorker): boolean
  worth(worker: ModelWorker): Status
  credibility(worker: ModelWorker): number
  /** Whether an answer that came is checked; drawn anew each time. */
  checks(worker: ModelWorker): boolean
  /** What a trusted worker's answer tells of others. @param answered  attempts for one query @param all  those without an answer as well */
  compared(payload: Payload, answered: readonly Asked[], all: readonly Asked[]): void
  /** An attempt has an outcome; where that is none, perhaps no trusted worker answers any more. */
  missed(attempt: Attempt): void
  /** All attempts of a query have an outcome. */
  ended(asked: readonly Asked[]): void
  /** How many trusted identities, and of these strangers, can be reached, but for those blocked. */
  among(strangers: readonly Identity[], blocked: readonly Identity[]): number
}
