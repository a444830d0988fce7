/** A worker of a pool: what it is at work on, how fast it is, and whether it may have rows. */

import type { ModelWorker } from '../workers/worker'
import { Batches } from './batches'
import type { Call } from './call'
import type { Job } from './job'
import { Pace } from './speed'

/** What became of a worker's calls, and how fast it is. */
export interface WorkerStats {
  worker: string
  /** Of its machine; see `ModelWorker.identity`. */
  identity: string
  /** Answers that somebody waited for. */
  onTime: number
  /** Answers that came when nobody did any more. */
  late: number
  /** Calls that ended in a crash, a hang or an error. */
  failed: number
  /** Answers that were none: wrong length, NaN, Inf. */
  rejected: number
  /** Answers dropped as lies. */
  suspected: number
  /** Milliseconds that it takes: the median of the last three, Infinity where it fails; undefined before the first. */
  expectedMs: number | undefined
  /** It cannot be reached, and is tried again in the background. */
  gone: boolean
}

export interface Member {
  readonly worker: ModelWorker
  readonly pace: Pace
  /** Rows that it takes in one run, and how many it gets; only where it takes several. */
  readonly maxBatch: number
  readonly batches: Batches | undefined
  readonly counts: Omit<WorkerStats, 'worker' | 'identity' | 'expectedMs' | 'gone'>
  /** Rows that have to wait before it gets one: 0 unless others are faster. */
  patience: number
  job: Job | undefined
  /** The one behind it, where it has that already. */
  next: Job | undefined
  /** Among those that may get a next one, or undefined. */
  place: number | undefined
  /** When the job began that it is at work on, wanted or not; undefined while it has none. */
  since: number | undefined
  /** `free` but without a call; `down`: without a call, not free. */
  state: 'idle' | 'down' | 'busy'
  /** Of its entry among the idle; 0 while it has none. */
  stamp: number
  unwatch: (() => void) | undefined
  /** Seems to hang; is given a little time to be heard. */
  doubted: boolean
  /** Given up while it hung, and nobody restarts it: it gets no row until it was heard of. */
  hung: Job | undefined
  /** It gets no rows but those that `tryOn` gives it. */
  barred: boolean
  /** It may take rows, now or in a moment: it is neither barred nor gone. */
  usable: boolean
  /** It is none of the members any more, and is closed when it has no call. */
  left: boolean
}

export function newMember(worker: ModelWorker, most: number): Member {
  const counts = { onTime: 0, late: 0, failed: 0, rejected: 0, suspected: 0 }
  const maxBatch = Math.min(most, worker.inferBatch ? (worker.maxBatch ?? 1) : 1)
  return {
    worker,
    pace: new Pace(),
    maxBatch,
    batches: maxBatch > 1 ? new Batches() : undefined,
    counts,
    patience: 0,
    job: undefined,
    next: undefined,
    place: undefined,
    since: undefined,
    state: 'busy',
    stamp: 0,
    unwatch: undefined,
    doubted: false,
    hung: undefined,
    barred: false,
    usable: false,
    left: false,
  }
}

/** Whether a worker gets rows from the queue. */
export function mayWork({ worker, barred, hung }: Member): boolean {
  return !barred && !hung && isFree(worker)
}

/** Whether it will, as far as can be told: it starts again, or was not heard of for a while. */
export function mayWorkSoon({ worker, barred }: Member): boolean {
  return !barred && !isGone(worker)
}

/** Milliseconds that so many rows in one run are expected to take. */
export function runMs({ pace, batches }: Member, rows: number): number {
  return (pace.ms ?? Number.POSITIVE_INFINITY) * (batches?.factor(rows) ?? rows)
}

/** Whether a worker may take a row: of a group it has no other that is not answered. */
export function isApart({ worker, job }: Member, call: Call): boolean {
  return !job?.isOf(call.asker) && !call.asker.avoids(call, worker)
}

/** What cannot say whether it is free is not. */
export function isFree(worker: ModelWorker): boolean {
  try {
    return worker.free
  } catch {
    return false
  }
}

export function isGone(worker: ModelWorker): boolean {
  try {
    return worker.gone === true
  } catch {
    return false
  }
}
