/** One payload at one worker, as its owner sees it. Only the pool changes it. */

import type { ApproxiferError } from '../base/errors'
import type { ModelWorker } from '../workers/worker'

/** A key that the worker proved to hold, else its name. Workers of one machine share it. */
export type Identity = string

/** In this order: hedges that save more than they cost, and retries; queries; parities and audits, which no caller waits for. */
export const priorities = ['high', 'normal', 'low'] as const
export type Priority = (typeof priorities)[number]

/**
 * The place of a query's attempts in the queue: a lower rank goes first; within a rank callers take turns, as many in a row as their weight
 * (default 1).
 */
export interface Turn {
  readonly rank: 0 | 1 | 2
  /** The tenant whose memory and groups it uses. */
  readonly tenant: string
  /** Without a tenant: the caller that takes turns with others. It has no memory of its own. */
  readonly caller?: string | undefined
  readonly weight?: number | undefined
}

/** The key by which callers take turns; a tenant is one. */
export function callerOf({ tenant, caller }: Turn): string {
  return caller ?? tenant
}

/** For queries without options. */
export const NORMAL: Turn = Object.freeze({ rank: 1, tenant: '' })

export type AttemptOutcome<A = unknown> =
  | { readonly kind: 'answered'; readonly answer: A }
  | FailedOutcome
  | { readonly kind: 'cancelled' }

export interface FailedOutcome {
  readonly kind: 'failed'
  readonly error: ApproxiferError
  /**
   * `payload`: no worker would answer it. `nobody`: the worker was taken away, was too busy to begin, had to give up its connection, or none may
   * take it.
   */
  readonly blame: 'worker' | 'payload' | 'nobody'
  /**
   * `down`: the worker crashed or hung while this was its only attempt. `shared`: it crashed, and has slots for several, so that it does not show
   * which one is to blame. `silent`: it hung, and cannot be restarted.
   */
  readonly lost: 'down' | 'shared' | 'silent' | undefined
}

export interface Attempt<P = unknown, A = unknown> {
  readonly payload: P
  readonly priority: Priority
  /** `running`: a worker has it, perhaps behind another attempt. */
  readonly phase: 'queued' | 'running' | 'settled'
  /** The worker that runs or ran the attempt; undefined while it is queued. */
  readonly worker: ModelWorker | undefined
  /** The identity of that worker. */
  readonly identity: Identity | undefined
  /** The untrusted identities that got it, in order, also those that refused it. */
  readonly seenBy: readonly Identity[]
  readonly queuedAt: number
  /** When its worker began; NaN while it is queued or behind another attempt. */
  readonly startedAt: number
  /** Milliseconds from then to the outcome, or to its cancellation. 0 before, and if it never started. */
  readonly ranMs: number
  /** Its expected time relative to an attempt of typical size that runs alone: by its size, and by the batch that it shares. */
  readonly factor: number
  /** Whether that factor was measured: then `ranMs / factor` is what a typical attempt would take alone. */
  readonly comparable: boolean
  /** Whether it runs again alone, because its batch failed. */
  readonly isAlone: boolean
  /** Whether its answer came while its query still waited, as its owner says. */
  readonly onTime: boolean
  /** Undefined until it is settled. */
  readonly outcome: AttemptOutcome<A> | undefined
}

/** Workers that an attempt must keep away from. Two attempts that share an `Apart` never share a batch. */
export interface Apart {
  blocks(identity: Identity): boolean
}

/** The owner of an attempt. The pool cancels nothing by itself. */
export interface Owner {
  /**
   * A worker has begun with it; called before `submit` returns if one is free. Called again if the worker lost it or was too busy, and another
   * worker, or the same one later, has begun.
   */
  began?(attempt: Attempt): void
  /** It has an outcome. Its slot is free but not filled again yet: the owner can still cancel what the outcome makes needless. */
  settled(attempt: Attempt): void
}

export interface Submission<P = unknown> {
  readonly payload: P
  readonly owner: Owner
  readonly apart: readonly Apart[]
  readonly priority: Priority
  /** Whether it fails when no remaining worker may take it; otherwise it waits for others to come back. */
  readonly isStranded?: boolean
  /** The deadline of its caller: it is not begun if it would hardly be met, and shares no batch that is expected to take longer. Default: none. */
  readonly dueAt?: number
  /** For attempts of normal priority. Default: `NORMAL`. */
  readonly turn?: Turn
  /** W3C Trace Context, for the worker. */
  readonly traceparent?: string | undefined
}

/** The part of the pool that owners of attempts use. */
export interface Attempts<P = unknown, A = unknown> {
  /** Number of workers, and of those that may take attempts now or soon: neither ejected nor gone. */
  readonly size: number
  readonly usable: number
  /** Workers that could take an attempt now. */
  readonly free: number
  /** Attempts that all usable workers take at once. */
  readonly slots: number
  /** Share of the slots that was busy with queries, hedges and retries during the last half second or so. */
  readonly utilisation: number
  /** Waiting queries, hedges and retries for each slot. */
  readonly waiting: number
  /** Whether the queue of low-priority attempts is short enough to be reached soon. */
  readonly hasSpare: boolean
  /** Queries were refused a moment ago, since they could not have been answered in time. */
  readonly isOverloaded: boolean
  /** A sentence that says why no worker may take an attempt. */
  readonly nobody: string
  /** Under overload: why a query should not be sent again, since it would not be answered in time. */
  tooLate(query: { readonly dueAt: number; readonly turn: Turn }): ApproxiferError | undefined
  submit(row: Submission<P>): Attempt<P, A>
  /**
   * No caller wants it. If it is queued, it settles as cancelled, without a call to its owner. If it runs, its worker is told, and its
   * outcome still comes.
   */
  cancel(attempt: Attempt<P, A>): void
  /** No caller waits for it. As `cancel`, but a worker that runs it goes on; if that worker loses it, it settles as cancelled. */
  release(attempt: Attempt<P, A>): void
  /** Raises a queued attempt from low to high priority. */
  promote(attempt: Attempt<P, A>): void
  /** An attempt at an ejected worker that is free and not blocked, if there is one. */
  trial(row: Submission<P>): Attempt<P, A> | undefined
  /** The workers of this identity get only trials until they are readmitted. Their running attempts go on. */
  suspend(identity: Identity): void
  /** As `suspend`, but their running attempts fail, with `blame: 'nobody'`. */
  eject(identity: Identity): void
  readmit(identity: Identity): void
  /** How many usable identities are not blocked: identities, not slots. */
  available(blocked: Iterable<Identity>): number
  /** Whether a query waited for the answer of an attempt, which only its owner knows. */
  record(report: { readonly attempt: Attempt; readonly onTime: boolean }): void
  /** A worker's answer counts as a lie. */
  suspect(worker: ModelWorker): void
}
