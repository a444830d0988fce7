/**
 * The workers of one identity, and the slots that they share. One that comes by itself may announce any number of names and slots: it begins
 * with one slot, and gets one more for each answer. So a machine that falls silent holds up at most one query more than it has answered.
 */

import { Deque } from '../base/arrays'
import type { ModelWorker } from '../workers/worker'
import type { Member } from './member'

/** Attempts beyond its slots that a machine may leave without an answer, if it has answered as many before. */
const RESERVE = 10
/** The longest pause. */
const MOST_PAUSE_MS = 10_000

export class Machine {
  readonly workers = new Set<ModelWorker>()
  /** It is the user's own. */
  trusted = false
  /** Of these, how many may take attempts. */
  usable = 0
  /** Slots of its workers that may take attempts, and the free ones of those that are ready; and as many of them as count. Written by the roster. */
  readonly slots = { all: 0, free: 0 }
  readonly counted = { all: 0, free: 0 }
  /** Slots that are taken; one is during a pause. */
  taken = 0
  /** Workers in the list of free ones, as many as it has room for; the others that are free wait for more room. Written by the roster. */
  listed = 0
  readonly waiting = new Deque<Member>()
  /** Whether it has to earn its slots. Written here alone. */
  earns = false
  /** Slots that it has earned: one to begin with, one for each answer, less one for each attempt that it left without one. */
  #earned = 1
  /** Pauses since its last answer. */
  #pauses = 0

  /** A worker that the user started or named has all of its slots at once; one that announced itself has not, nor have several of one machine. */
  add(worker: ModelWorker): void {
    this.workers.add(worker)
    this.earns ||= worker.signed !== undefined || this.workers.size > 1
  }

  /** Slots that it may take. */
  get limit(): number {
    return this.earns ? this.#earned : Number.POSITIVE_INFINITY
  }

  /** How many more it may take: negative where it has lost some. */
  get room(): number {
    return this.limit - this.taken
  }

  /** Whether there is more to remember of it than of one that is new, once its last worker has left. */
  get isKnown(): boolean {
    return this.taken > 0 || this.#earned > 1 || this.#pauses > 0
  }

  answered(): void {
    if (this.#earned < this.slots.all + RESERVE) this.#earned++ // of one that leaves the slots are gone before its last answers
    this.#pauses = 0
  }

  /**
   * An attempt was given up when it was late: that costs a slot. A machine with one slot left gets nothing for as long as it was silent, and each time
   * for twice as long until it answers: nobody knows whether it ever will.
   *
   * @returns milliseconds for which its slot counts as taken; 0: it is free
   */
  silent(ms: number): number {
    if (this.#earned === 1) return Math.min(MOST_PAUSE_MS, ms * 2 ** this.#pauses++)
    this.#earned--
    return 0
  }
}
