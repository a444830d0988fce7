/** What earlier groups teach later ones; only where answers can be believed. */

import type { Codec } from '../codec/codec'
import type { KernelState } from '../codec/kernels'
import type { Criterion } from '../criterion'
import { pack, unpack } from '../history/archive'
import { Memory, type MemoryOptions, type Recollection } from '../history/memory'
import { Worth, type WorthState } from '../history/worth'
import { rowLength, type Signature } from '../tensor'
import type { Clock } from './clock'
import { Lateness } from './lateness'
import { type Lesson, Lessons } from './lessons'

/**
 * Share of the time that learning may take: with a memory that cannot help yet, and later. A fifth later on made the median
 * answer of a model of .1 ms a tenth slower.
 */
const SHARES = { cold: 0.5, warm: 0.05 }
/** Answers that may wait to be remembered: while the memory is cold, and later, when there are enough others. */
const WAITING = { cold: 32, warm: 2 }
/** Share of an answer's time that a group may spend on foreseeing what the memory would say. */
const FORESEEING = 0.25

export interface LearnedOptions {
  criterion: Criterion
  clock: Clock
  memory: false | Pick<MemoryOptions, 'bytes' | 'features'> | undefined
  state: Uint8Array | undefined
  warn(text: string): void
}

/** Saved beside the memory. */
interface SavedState {
  worth?: WorthState
  kernels: KernelState
}

export class Learned {
  readonly worth: Worth
  readonly criterion: Criterion
  readonly lateness = new Lateness()
  readonly #clock: Clock
  readonly #codec: Codec
  readonly #lessons: Lessons
  readonly #warn: (text: string) => void
  #memory: Memory | undefined
  /** Moving average of what a pass over the memory takes. */
  #passMs = Number.POSITIVE_INFINITY

  constructor(codec: Codec, { inputs, outputs }: Signature, { criterion, clock, memory, state, warn }: LearnedOptions) {
    this.#clock = clock
    this.#codec = codec
    this.criterion = criterion
    this.#warn = (text) => {
      try {
        warn(text)
      } catch {} // it is the user's: thrown from a timer it would end the process
    }
    this.#lessons = new Lessons(
      clock,
      () => this.#share(),
      (why) => this.#warn(`nothing was learned from a group: ${why}`),
    )
    const saved = state === undefined ? undefined : unpack<SavedState>('predictor', state)
    this.worth = new Worth(codec.core, criterion, saved?.content.worth)
    if (saved) codec.kernels.load(saved.content.kernels)
    if (memory === false) return
    const shape = inputs.length === 1 ? inputs[0].shape : [rowLength(inputs)]
    const options = { ...memory, shape, outputs: rowLength(outputs), criterion }
    if (memory === undefined && !Memory.fits(options)) return
    this.#memory = new Memory(codec.core, options, saved?.arrays[0] as Uint8Array | undefined)
  }

  /** Whether there is a memory that can recover something. */
  get remembers(): boolean {
    return this.#memory?.ready === true
  }

  /** Queries remembered. */
  get remembered(): number {
    return this.#memory?.size ?? 0
  }

  /** What is remembered says of a query whose answer was lost. */
  recall(query: Float32Array): Recollection | undefined {
    return this.#guarded((memory) => memory.recover(query))
  }

  /** The same of several queries that may get lost yet; only where that is quick beside the `ms` that answers take. */
  foresee(queries: readonly Float32Array[], ms: number): Recollection[] | undefined {
    if (queries.length * this.#passMs > FORESEEING * ms || !this.#lessons.hasTime()) return undefined
    const start = this.#clock.now()
    const foreseen = queries.map((query) => this.recall(query))
    this.#lessons.spend(this.#clock.now() - start)
    return foreseen.every((each) => each !== undefined) ? foreseen : undefined
  }

  /** Takes a query and the model's own answer to it, and returns at once: the caller and the next query go first. */
  remember(query: Float32Array, answer: Float32Array): void {
    this.worth.see(answer)
    const most = this.#memory?.ready ? WAITING.warm : WAITING.cold
    if (!this.#memory || this.#lessons.waiting >= most) return
    this.#lessons.add(this.#study(query, answer))
  }

  /** Learns something a little later, if there is time. */
  later(lesson: Lesson): void {
    this.#lessons.add(lesson)
  }

  /** All that was learned, the last answer included. */
  save(): Uint8Array {
    this.#lessons.finish()
    const arrays = this.#memory ? [this.#memory.save()] : []
    const content: SavedState = { worth: this.worth.save(), kernels: this.#codec.kernels.save() }
    return pack('predictor', content, arrays)
  }

  close(): void {
    this.#lessons.stop()
  }

  *#study(query: Float32Array, answer: Float32Array): Generator<void> {
    const start = this.#clock.now()
    const foretold = this.#guarded((memory) => memory.take(query, answer).foretold)
    if (foretold) {
      this.worth.rehearse({ ...foretold, missing: 1 }, answer)
      const ms = this.#clock.now() - start
      this.#passMs = Number.isFinite(this.#passMs) ? 0.9 * this.#passMs + 0.1 * ms : ms
    }
    yield
    while (this.#guarded((memory) => memory.work())) yield
  }

  #share(): number {
    return this.#memory && !this.#memory.ready ? SHARES.cold : SHARES.warm
  }

  /** The user's own `features` may throw: that costs the memory, not the queries. */
  #guarded<T>(use: (memory: Memory) => T): T | undefined {
    try {
      return this.#memory && use(this.#memory)
    } catch (error) {
      this.#memory = undefined
      this.#warn(`the memory is off from here on: ${(error as Error)?.message ?? error}`)
    }
  }
}
