/** A worker of a pool: its state, its slots, how fast it is, and what became of its attempts. */

import { identityOf, type ModelWorker } from '../workers/worker'
import type { Identity } from './attempt'
import type { Batch } from './batch'
import { Batching } from './batching'
import { Machine } from './machine'
import type { Rest } from './rest'
import { Speed } from './speed'

/** What became of a worker's attempts, and how fast it is. */
export interface WorkerStats {
  worker: string
  /** Of its machine; see `ModelWorker.identity`. */
  identity: string
  /** Answers that somebody waited for. */
  onTime: number
  /** Answers that came when nobody did any more. */
  late: number
  /** Attempts that ended in a crash, a hang or an error. */
  failed: number
  /** Answers that were none: wrong length, NaN, Inf. */
  rejected: number
  /** Answers dropped as lies. */
  suspected: number
  /** Attempts that it was too busy to begin with: they went elsewhere, or waited. */
  refused: number
  /** Milliseconds that it takes, by its last 16 answers and as much of all others' as chance explains; Infinity where it fails; undefined before the first. */
  expectedMs: number | undefined
  /** It cannot be reached, and is tried again in the background. */
  gone: boolean
}

export interface PoolStats extends WorkerStats {
  /** Attempts that it takes at once, those that it is at work on, and those that it answered. */
  slots: number
  running: number
  answered: number
}

/** `ready`: takes attempts from the queue while a slot is free. `leaving`: no member any more; closed when it has no attempt. Others take none now. */
export type MemberState = 'ready' | 'ejected' | 'gone' | 'down' | 'leaving'

export class Member {
  readonly identity: Identity
  readonly slots: Slots
  readonly speed = new Speed()
  /** How many rows it gets in one run, where it takes several. */
  readonly batching: Batching | undefined
  readonly counts = { answered: 0, failed: 0, rejected: 0, onTime: 0, late: 0, suspected: 0, refused: 0 }
  /** From when it has refused a call until it answers one. */
  rest: Rest | undefined
  /** Written by the roster alone. */
  state: MemberState = 'gone'
  /** Shared with the other workers of its identity from when it joins. */
  machine = new Machine()
  /** Of its latest entry among those with a free slot: older ones do not count. 0: it has none. */
  stamp = 0
  /** Among those that wait for a slot of their machine; undefined: it does not. */
  place: number | undefined
  /** Attempts that have to be queued before it gets one: 0 unless others are faster. */
  passOver = 0

  /** @param mostRows  in one run, whatever the worker says @param isPlain  it gets one attempt at a time, and none that another has */
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

  /** Calls that it can have at once: its machine may not have more. */
  get limit(): number {
    return Math.min(this.slots.limit, this.machine.limit)
  }

  /** Milliseconds that a run of `rows` rows is expected to take. */
  runMs(rows: number): number {
    return (this.speed.ms ?? Number.POSITIVE_INFINITY) * (this.batching?.factor(rows) ?? rows)
  }

  /** Whether its worker would take a call now: it says so, and has not just refused one. */
  get isFree(): boolean {
    return !this.rest?.isOn && this.worker.free
  }

  get isGone(): boolean {
    return this.worker.gone === true
  }

  get stats(): PoolStats {
    const { worker, identity, slots, speed, isGone, limit } = this
    return {
      worker: worker.name,
      identity,
      ...this.counts,
      slots: limit,
      running: slots.open,
      expectedMs: speed.ms,
      gone: isGone,
    }
  }
}

/** What a worker does one batch at a time in. */
export class WorkerSlot {
  /** What it is at work on, as far as can be told. */
  batch: Batch | undefined
  /** The one behind it, where the worker has that already. */
  next: Batch | undefined
  /** Among those that may get a next one, or undefined. */
  place: number | undefined
  unwatch: (() => void) | undefined
  /** How long its machine was silent on what it did not answer, if that was longer than it takes. */
  silentMs = 0
  /** It seems to hang; it is given a little time to be heard. */
  isDoubted = false

  constructor(readonly member: Member) {}
}

/** A worker's slots, made as they are needed. Written by the roster alone. */
class Slots {
  readonly all: WorkerSlot[] = []
  readonly free: WorkerSlot[] = []
  /** Those whose attempts are settled, while the worker may yet be at work on them, and has to say first that it is free. */
  readonly held = new Set<WorkerSlot>()
  busy = 0

  /** @param limit  where it falls more may be busy for a while */
  constructor(public limit: number) {}

  /** Busy ones with attempts that are not settled. */
  get open(): number {
    return this.busy - this.held.size
  }

  get hasRoom(): boolean {
    return this.busy < this.limit
  }
}
