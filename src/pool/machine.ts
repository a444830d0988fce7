/**
 * The workers of one identity, and the slots that they share. A machine that joins by itself may announce any number of workers and slots: it
 * begins with one slot, and earns one with each answer. So a machine that falls silent delays at most one query more than it has answered.
 */

import { Deque } from '../base/arrays'
import type { ModelWorker } from '../workers/worker'
import type { Member } from './member'

/** Attempts beyond its slots that a machine may leave unanswered, once it has answered that many. */
const RESERVE = 10
const MOST_PAUSE_MS = 10_000

export class Machine {
  readonly workers = new Set<ModelWorker>()
  /** The user's own. */
  trusted = false
  /** How many of its workers may take attempts. */
  usable = 0
  /** Slots of its workers that may take attempts, the free ones of those that are ready, and how many of them count. Set by the roster. */
  readonly slots = { all: 0, free: 0 }
  readonly counted = { all: 0, free: 0 }
  /** Slots in use; one is during a pause. */
  taken = 0
  /** Workers in the list of free ones: as many as the machine has room for. Set by the roster. */
  listed = 0
  readonly waiting = new Deque<Member>()
  /** Whether it has to earn its slots. Set here only. */
  earns = false
  /** Slots that it has earned: one at first, one more for each answer, one less for each attempt that it left unanswered. */
  #earned = 1
  /** Pauses since its last answer. */
  #pauses = 0

  /** @param connections  the limit that its workers share, if the runtime limits connections: of any identities */
  constructor(readonly connections?: ModelWorker['connections']) {}

  /** A worker that the user started or named has all of its slots at once; one that announced itself has not, nor have several of one machine. */
  add(worker: ModelWorker): void {
    this.workers.add(worker)
    this.earns ||= worker.signed !== undefined || this.workers.size > 1
  }

  get limit(): number {
    return this.earns ? this.#earned : (this.connections?.most ?? Number.POSITIVE_INFINITY)
  }

  /** How many more slots it may use; negative after it has lost some. */
  get room(): number {
    return this.connections ? this.connections.free : this.limit - this.taken
  }

  /** Whether another of its workers may be in the list of free ones. Workers of many machines share connections: there the fastest is chosen from all. */
  get mayList(): boolean {
    return this.connections ? this.room > 0 : this.listed < this.room
  }

  /** Whether it must be remembered once its last worker has left, since a new machine would be treated differently. */
  get isKnown(): boolean {
    return this.taken > 0 || this.#earned > 1 || this.#pauses > 0
  }

  answered(): void {
    if (this.#earned < this.slots.all + RESERVE) this.#earned++ // the slots of a leaving worker are gone before its last answers
    this.#pauses = 0
  }

  /**
   * An attempt was given up when it was late: that costs a slot. A machine with only one slot pauses for as long as it was silent, and each time
   * twice as long until it answers.
   *
   * @returns milliseconds for which its slot counts as taken; 0: it is free
   */
  silent(ms: number): number {
    if (this.#earned === 1) return Math.min(MOST_PAUSE_MS, ms * 2 ** this.#pauses++)
    this.#earned--
    return 0
  }
}
