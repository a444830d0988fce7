/** A worker of a pool: its state, slots and speed, and the outcomes of its attempts. */

import { identityOf, type ModelWorker } from '../workers/worker'
import type { Identity } from './attempt'
import type { Batch } from './batch'
import { Batching } from './batching'
import { Machine } from './machine'
import type { Rest } from './rest'
import { Speed } from './speed'

/** The outcomes of a worker's attempts, and its speed. */
export interface WorkerStats {
  worker: string
  /** The identity of its machine; see `ModelWorker.identity`. */
  identity: string
  /** Answers that a query still waited for. */
  onTime: number
  /** Answers that came when their query had ended. */
  late: number
  /** Attempts that ended in a crash, a hang or an error. */
  failed: number
  /** Replies that were no answers: wrong length, NaN, Inf. */
  rejected: number
  /** Answers dropped as lies. */
  suspected: number
  /** Attempts that it was too busy to begin: they went elsewhere, or waited. */
  refused: number
  /**
   * Expected milliseconds: its last 16 answers, shrunk towards all workers' mean as far as chance explains the difference. Infinity if it fails,
   * is gone, or has refused its last calls; undefined before the first answer.
   */
  expectedMs: number | undefined
  /** Attempts that it takes at once. */
  slots: number
  /** It cannot be reached, and is tried again in the background. */
  gone: boolean
}

export interface PoolStats extends WorkerStats {
  /** Attempts that it is running, and that it answered. */
  running: number
  answered: number
}

/**
 * `ready`: takes attempts while a slot is free. `leaving`: not a member any more; closed once it has no attempt. Workers in other states take none
 * now.
 */
export type MemberState = 'ready' | 'ejected' | 'gone' | 'down' | 'leaving'

export class Member {
  readonly identity: Identity
  readonly slots: Slots
  readonly speed = new Speed()
  /** Chooses how many queries it gets in one run, if it takes several. */
  readonly batching: Batching | undefined
  readonly counts = { answered: 0, failed: 0, rejected: 0, onTime: 0, late: 0, suspected: 0, refused: 0 }
  /** From a refused call until its next answer. */
  rest: Rest | undefined
  /** Set by the roster only. */
  state: MemberState = 'gone'
  /** It could not be reached, and was not heard of since. */
  isLost = false
  /** Shared with the other workers of its identity once it joins. */
  machine = new Machine()
  /** The stamp of its latest entry in the list of free workers: older entries are invalid. 0: none. */
  stamp = 0
  /** Its index among workers that wait for a slot of their machine; undefined: it does not wait. */
  place: number | undefined
  /** Attempts that have to be queued before it gets one: 0 unless others are faster. */
  passOver = 0

  /** @param mostRows  in one run, whatever the worker says @param isPlain  it gets one attempt at a time, and none that another worker has */
  constructor(
    readonly worker: ModelWorker,
    mostRows: number,
    readonly isPlain = false,
  ) {
    this.identity = identityOf(worker)
    this.slots = new Slots(this.width)
    const rows = Math.min(mostRows, worker.inferBatch ? (worker.maxBatch ?? 1) : 1)
    this.batching = rows > 1 && !isPlain ? new Batching(rows) : undefined
  }

  /** Calls that it gets at once. */
  get width(): number {
    return this.isPlain ? 1 : (this.worker.slots ?? 1)
  }

  /** Calls that it may have at once; its machine may have fewer. */
  get limit(): number {
    return Math.min(this.slots.limit, this.machine.limit)
  }

  /** Expected milliseconds of a run of `rows` queries. */
  runMs(rows: number): number {
    return (this.speed.ms ?? Number.POSITIVE_INFINITY) * (this.batching?.factor(rows) ?? rows)
  }

  /** Whether its worker would take a call now: it says so, and has not just refused one. */
  get isFree(): boolean {
    return !this.rest?.isOn && this.worker.free
  }

  /** Whether both are of one machine, and their slots count together. */
  isBeside({ identity, machine }: Member): boolean {
    return identity === this.identity && machine === this.machine
  }

  get isGone(): boolean {
    return this.worker.gone === true
  }

  get stats(): PoolStats {
    const { worker, identity, slots, speed, isGone, limit, rest } = this
    return {
      worker: worker.name,
      identity,
      ...this.counts,
      slots: limit,
      running: slots.open,
      expectedMs: isGone || rest?.isLasting ? Number.POSITIVE_INFINITY : speed.ms,
      gone: isGone,
    }
  }
}

/** A slot of a worker: it runs one batch at a time. */
export class WorkerSlot {
  /** The batch that it runs, as far as is known. */
  batch: Batch | undefined
  /** The batch that the worker has behind it. */
  next: Batch | undefined
  /** Its index among slots that may get a next batch, or undefined. */
  place: number | undefined
  unwatch: (() => void) | undefined
  /** When the watchdog's timer is due, and whether it was late the last time. Set by the watchdog. */
  watchedAt = Number.POSITIVE_INFINITY
  isWatchedLate = false
  /** How long its machine was silent about an unanswered attempt, if that was longer than usual. */
  silentMs = 0
  /** It seems to hang; its replies are read before it is restarted. */
  isDoubted = false

  constructor(readonly member: Member) {}
}

/** A worker's slots, made as they are needed. Changed by the roster only. */
class Slots {
  readonly all: WorkerSlot[] = []
  readonly free: WorkerSlot[] = []
  /** Slots whose attempts are settled while the worker may still work on them: it has to say first that it is free. */
  readonly held = new Set<WorkerSlot>()
  busy = 0

  /** @param limit  when it falls, more slots may be busy for a while */
  constructor(public limit: number) {}

  /** Busy slots with open attempts. */
  get open(): number {
    return this.busy - this.held.size
  }

  get hasRoom(): boolean {
    return this.busy < this.limit
  }
}
