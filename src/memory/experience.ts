/** All that is learned from the model's own answers: the memory, and the confidence of recoveries. Its size is bounded; it needs no clock. */

import type { Criterion } from '../base/criterion'
import { rowLength, rowShape, type Signature, size } from '../base/tensor'
import type { Core } from '../core/core'
import type { Graded } from './calibration'
import { Confidence } from './confidence'
import { type LearnedModel, learnedModel, type ModelMarks, type Persistent, packed } from './experience-state'
import { learnedFrom, type SavedState } from './learned'
import { Memory, type MemoryOptions, type Recollection } from './memory'
import { finished } from './steps'

export interface ExperienceOptions extends ModelMarks {
  criterion: Criterion
  /** The error budget, which is saved with it. */
  errorBudget?: Persistent | undefined
  /** The memory's options; false: there is none. Default: a memory, unless queries or answers are too large for it. */
  memory?: false | Pick<MemoryOptions, 'bytes' | 'features'> | undefined
  state?: Uint8Array | undefined
  /** A state that was read already; instead of `state`. */
  learned?: SavedState | undefined
  /** Called if the memory is given up because the user's `features` throws, and if it is unknown whose model a state is. */
  warn: (text: string) => void
}

export class Experience {
  /** Replaced by `renew`. */
  confidence!: Confidence
  readonly #core: Core
  readonly #signature: Signature
  readonly #options: ExperienceOptions
  readonly #model: LearnedModel
  #memory: Memory | undefined

  /** @throws RangeError for a state that is damaged, or of another model or memory: nothing of it is loaded */
  constructor(core: Core, signature: Signature, options: ExperienceOptions) {
    const { errorBudget, state } = options
    this.#core = core
    this.#signature = signature
    this.#options = options
    this.#model = learnedModel(signature, options)
    const learned = state === undefined ? options.learned : learnedFrom(state, this.#model, options)
    this.#begin(learned)
    if (learned?.errorBudget !== undefined) errorBudget?.load(learned.errorBudget)
  }

  #begin(learned: SavedState | undefined): void {
    const { criterion, memory } = this.#options
    this.confidence = new Confidence(
      this.#core,
      criterion,
      learned?.worth,
      rowLength(this.#signature.outputs) || undefined,
    )
    const options = memoryOf(this.#signature, criterion, memory)
    this.#memory = options && new Memory(this.#core, options, learned?.memory)
  }

  /** Whether there is a memory, and whether it can recover answers. */
  get memory(): 'none' | 'cold' | 'warm' {
    return !this.#memory ? 'none' : this.#memory.ready ? 'warm' : 'cold'
  }

  /** The number of remembered pairs. */
  get remembered(): number {
    return this.#memory?.size ?? 0
  }

  /** The memory's prediction for a query; undefined if there is no memory, or it knows too little. */
  recall(query: Float32Array): Recollection | undefined {
    return this.#guarded((memory) => memory.recover(query))
  }

  /**
   * Learns the model's own answer to a query. In steps of a few milliseconds, between which `recall` may be called; the first step compares the answer
   * with the memory's prediction.
   *
   * @param from  the identity of the worker that gave the answer, for `forget`
   */
  *train(query: Float32Array, own: Float32Array, from?: string): Generator<void> {
    const predicted = this.#guarded((memory) => memory.place(query, own, from))?.predicted
    yield
    if (predicted) this.confidence.rehearse({ ...predicted, missing: 1 }, own, from)
    yield* this.#solving()
  }

  /**
   * Removes what a worker's answers taught, as if they had never come. The remaining pairs are solved again in steps of a few milliseconds; until the
   * last step nothing is recovered.
   */
  forget(from: string): Generator<void> {
    const left = this.#guarded((memory) => memory.forget(from).left)
    this.confidence.forget(from)
    if (left) this.confidence.differ(left)
    return this.#solving()
  }

  *#solving(): Generator<void> {
    yield* this.confidence.renew()
    yield* this.#working()
  }

  /** Forgets everything, since the model has changed. A memory that was given up does not come back. */
  renew(): void {
    const isGivenUp = !this.#memory
    this.#begin(undefined)
    if (isGivenUp) this.#memory = undefined
  }

  /** Does all the work that is due. */
  settle(): void {
    finished(this.#working())
    this.#memory?.settle()
  }

  /** All that was learned, for the option `state`. */
  save(): Uint8Array {
    const { errorBudget } = this.#options
    return packed(this.#model, { worth: this.confidence.save(), memory: this.#memory?.save() }, { errorBudget })
  }

  /** The saved memory, and its graded recoveries, the oldest first. */
  take(): { memory: Uint8Array | undefined; graded: readonly Graded[] } {
    return { memory: this.#memory?.save(), graded: this.confidence.gradedOf('memory') }
  }

  *#working(): Generator<void> {
    while (this.#guarded((memory) => memory.work())) yield
  }

  /** Gives the memory up if the user's `features` throw; queries go on. */
  #guarded<T>(use: (memory: Memory) => T): T | undefined {
    try {
      return this.#memory && use(this.#memory)
    } catch (error) {
      this.#memory = undefined
      this.#options.warn(`the memory is off from here on: ${(error as Error)?.message ?? error}`)
    }
  }
}

/** The options of a model's memory; undefined if it is off, or if queries or answers are too large and the user did not ask for a memory. */
export function memoryOf(
  { inputs, outputs }: Signature,
  criterion: Criterion,
  memory: ExperienceOptions['memory'],
): MemoryOptions | undefined {
  if (memory === false) return undefined
  const parts = inputs.map(size)
  const all = { ...memory, shape: rowShape(inputs), parts, outputs: rowLength(outputs), criterion }
  return memory !== undefined || Memory.fits(all) ? all : undefined
}
