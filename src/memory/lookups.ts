/** Lookups in the memory: one after the other, in slices, so that whatever else happens has its turn in between. */

import { Deque } from '../arrays'
import type { Clock } from '../clock'
import type { Recollection } from './memory'

/**
 * How long lookups may take in one task. One lookup is .3 to .6 ms with 1,000 pairs, in JavaScript 3 to 9; what comes in a burst, or takes
 * longer, goes on in another task, which is a millisecond later where timers are as slow as Node's.
 */
const SLICE_MS = 1
/** What is to be looked up, and who is told. */
interface LookupTask {
  steps(): Iterator<unknown, Recollection | undefined>
  /** Whether anybody still wants to know. */
  wanted(): boolean
  /** @param ms  what it took; undefined where nothing was looked up */
  told(said: Recollection | undefined, ms: number | undefined): void
}

export class Lookups {
  readonly #clock: Clock
  readonly #waiting = new Deque<LookupTask>()
  /** Of the first. */
  #underway: ReturnType<LookupTask['steps']> | undefined
  #ms = 0
  /** What this task has left. */
  #leftMs = SLICE_MS
  #unplan: (() => void) | undefined
  #looking = false
  #stopped = false

  constructor(clock: Clock) {
    this.#clock = clock
  }

  get waiting(): number {
    return this.#waiting.size
  }

  /** Whether one is under way: the memory must not change. */
  get busy(): boolean {
    return this.#underway !== undefined
  }

  /** Looks it up: before it returns, if there is time, or in another task. */
  add(lookup: LookupTask, later = false): void {
    if (this.#stopped) return lookup.told(undefined, undefined)
    this.#waiting.push(lookup)
    if (later) this.#plan()
    else if (!this.#looking) this.#proceed()
  }

  /** The memory has changed: the lookup that is under way begins again. */
  restart(): void {
    this.#underway = undefined
  }

  /** Whoever waits, or comes later, is told that there is nothing. */
  stop(): void {
    this.#stopped = true
    this.#unplan?.()
    for (let { first } = this.#waiting; first; first = this.#waiting.first) this.#end(first, undefined, undefined)
  }

  #proceed(): void {
    this.#looking = true
    for (let { first } = this.#waiting; first && this.#leftMs > 0; first = this.#waiting.first) this.#step(first)
    this.#looking = false
    if (this.#leftMs < SLICE_MS) this.#plan()
  }

  #plan(): void {
    const next = () => {
      this.#unplan = undefined
      this.#leftMs = SLICE_MS
      this.#proceed()
    }
    this.#unplan ??= this.#clock.after(0, next) // somebody waits, or did a millisecond ago
  }

  #step(lookup: LookupTask): void {
    if (!lookup.wanted()) return this.#end(lookup, undefined, undefined)
    const start = this.#clock.now()
    this.#underway ??= lookup.steps()
    const { done, value } = this.#underway.next()
    const ms = this.#clock.now() - start
    this.#ms += ms
    this.#leftMs -= ms
    if (done) this.#end(lookup, value, this.#ms)
  }

  #end(lookup: LookupTask, said: Recollection | undefined, ms: number | undefined): void {
    this.#waiting.shift()
    this.#underway = undefined
    this.#ms = 0
    lookup.told(said, ms)
  }
}
