/** One payload at one worker: what its owner sees of it. Only the pool writes. */

import type { ApproxiferError } from '../base/errors'
import type { ModelWorker } from '../workers/worker'

/** A worker's: a key that it proved to hold, else its name. Workers of one machine share it. */
export type Identity = string

/** In this order: hedges that save more than they cost, and retries; queries; parities and copies, which nobody waits for. */
export const priorities = ['high', 'normal', 'low'] as const
export type Priority = (typeof priorities)[number]

/** Whose turn a query's attempts are: a lower rank goes first, and of one rank callers take turns, as many in a row as their weight (default 1). */
export interface Turn {
  readonly rank: 0 | 1 | 2
  /** Whose memory and groups it uses. */
  readonly tenant: string
  /** Where no tenant is named: the caller that takes turns with others. It has no memory of its own. */
  readonly caller?: string | undefined
  readonly weight?: number | undefined
}

/** What tells callers that take turns apart: a tenant is one. */
export function callerOf({ tenant, caller }: Turn): string {
  return caller ?? tenant
}

/** Of queries that say nothing else. */
export const NORMAL: Turn = Object.freeze({ rank: 1, tenant: '' })

export type AttemptOutcome<A = unknown> =
  | { readonly kind: 'answered'; readonly answer: A }
  | FailedOutcome
  | { readonly kind: 'cancelled' }

export interface FailedOutcome {
  readonly kind: 'failed'
  readonly error: ApproxiferError
  /** Whose fault it was. `payload`: no worker would answer it. `nobody`: the worker was taken away, was too busy to begin, or none may take it. */
  readonly blame: 'worker' | 'payload' | 'nobody'
  /**
   * `down`: the worker went down with it while it had no other attempt, or it hung. `silent`: it hung and nobody restarts its worker. A
   * worker that takes several at once and goes down does not tell with which.
   */
  readonly lost: 'down' | 'silent' | undefined
}

export interface Attempt<P = unknown, A = unknown> {
  readonly payload: P
  readonly priority: Priority
  /** `running`: a worker has it, perhaps behind another. */
  readonly phase: 'queued' | 'running' | 'settled'
  /** The worker that runs or ran it; undefined while it is queued. */
  readonly worker: ModelWorker | undefined
  /** Of that worker. */
  readonly identity: Identity | undefined
  /** Identities of strangers that were sent it, also those that refused it, in turn. */
  readonly seenBy: readonly Identity[]
  readonly queuedAt: number
  /** When its worker began with it; NaN while it is queued or behind another attempt. */
  readonly startedAt: number
  /** Milliseconds from then to the outcome; a cancelled one would have taken longer. 0 before, and if it never started. */
  readonly ranMs: number
  /** How many times as long as one of typical size alone it is expected to take, by its size and since it shares its batch. */
  readonly factor: number
  /** Whether that factor was measured, so that `ranMs / factor` is what one of typical size takes alone. */
  readonly comparable: boolean
  /** Whether it was asked again alone, since the batch that it shared failed. */
  readonly isAlone: boolean
  /** Somebody waited for its answer when it came, as the owner says. */
  readonly onTime: boolean
  /** undefined until it is settled. */
  readonly outcome: AttemptOutcome<A> | undefined
}

/** Workers that an attempt must keep away from. Two attempts with one `Apart` never share a batch. */
export interface Apart {
  blocks(identity: Identity): boolean
}

/** Whose an attempt is. The pool cancels nothing by itself. */
export interface Owner {
  /**
   * A worker has begun with it. Where one is free at once this is called before `submit` returns. It is called again if its worker lost it
   * to no fault of its own, or was too busy for it, and another one has begun with it, or the same one later.
   */
  began?(attempt: Attempt): void
  /** It has an outcome, and its slot is free but not filled again: the owner can still cancel what the outcome makes needless. */
  settled(attempt: Attempt): void
}

export interface Submission<P = unknown> {
  readonly payload: P
  readonly owner: Owner
  readonly apart: readonly Apart[]
  readonly priority: Priority
  /** It fails where none of the workers that are left may take it; else it waits for others to come back. */
  readonly isStranded?: boolean
  /** When its caller's deadline is: it is not begun where it would hardly be met, and shares no batch that is expected to take longer. Default: none. */
  readonly dueAt?: number
  /** Of those of normal priority. Default: `NORMAL`. */
  readonly turn?: Turn
}

/** What owners of attempts use of the pool. */
export interface Attempts<P = unknown, A = unknown> {
  /** Workers, and those that may take attempts now or in a moment: they are neither ejected nor gone. */
  readonly size: number
  readonly usable: number
  /** Workers that could take an attempt now. */
  readonly free: number
  /** Attempts that its usable workers take at once, all together. */
  readonly slots: number
  /** Share of the slots that were at work on what cannot be done without, in the last half second or so. */
  readonly utilisation: number
  /** Attempts that wait and cannot be done without, for each slot. */
  readonly waiting: number
  /** Whether no more attempts of low priority are queued than the pool may soon get round to. */
  readonly hasSpare: boolean
  /** Queries were refused a moment ago, since they could not have been answered in time. */
  readonly isOverloaded: boolean
  /** A sentence that says why no worker may take an attempt. */
  readonly nobody: string
  /** Under overload: why a query should not be asked again, which would not be answered in time. */
  tooLate(query: { readonly dueAt: number; readonly turn: Turn }): ApproxiferError | undefined
  submit(row: Submission<P>): Attempt<P, A>
  /** Nobody wants it. Queued: it is settled as cancelled, and its owner is not told. Running: its worker is told, and its outcome still comes. */
  cancel(attempt: Attempt<P, A>): void
  /** Nobody waits for it. As `cancel`, but where it runs its worker goes on; should the worker lose it, it settles as cancelled. */
  release(attempt: Attempt<P, A>): void
  /** A queued one of low priority can no longer be done without: it is of high priority. */
  promote(attempt: Attempt<P, A>): void
  /** An attempt at an ejected worker that is free and not blocked, if there is one. */
  trial(row: Submission<P>): Attempt<P, A> | undefined
  /** The workers of this identity get nothing but trials, until they are readmitted. What they are at goes on. */
  suspend(identity: Identity): void
  /** The same, and what they are at fails, through nobody's fault: they are believed no more. */
  eject(identity: Identity): void
  readmit(identity: Identity): void
  /** Usable identities that are not among these: identities, not slots. */
  available(blocked: Iterable<Identity>): number
  /** What became of an attempt, where that is known to its owner only: whether somebody waited for its answer. */
  record(report: { readonly attempt: Attempt; readonly onTime: boolean }): void
  /** A worker's answer is taken for a lie. */
  suspect(worker: ModelWorker): void
}
