/** All that is learned from proven answers: the memory, and the confidence of recoveries. Bounded, without a clock. */

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
  /** The workers' records, unless another tenant saves them. */
  evidence?: Persistent | undefined
  /** The error budget of remembered answers. */
  errorBudget?: Persistent | undefined
  /** Default: on, unless queries or answers are too large for it. */
  memory?: false | Pick<MemoryOptions, 'bytes' | 'features'> | undefined
  state?: Uint8Array | undefined
  /** The parts of a state that was read already. */
  learned?: SavedState | undefined
  /** Called if the memory is given up because the user's `features` throws, or if it is unknown which model a state belongs to. */
  warn: (text: string) => void
}

export class Experience {
  /** The confidence of recoveries. Replaced by `renew` only. */
  confidence: Confidence
  /** Makes an empty memory and confidence. */
  readonly #anew: () => { confidence: Confidence; memory: Memory | undefined }
  readonly #model: LearnedModel
  readonly #evidence: Persistent | undefined
  readonly #errorBudget: Persistent | undefined
  readonly #warn: (text: string) => void
  #memory: Memory | undefined

  /** @throws RangeError for a state that is damaged, or of another model, code or memory: nothing of it is loaded */
  constructor(core: Core, { inputs, outputs }: Signature, options: ExperienceOptions) {
    const { criterion, evidence, errorBudget, memory, state } = options
    this.#model = learnedModel({ inputs, outputs }, options)
    this.#evidence = evidence
    this.#errorBudget = errorBudget
    this.#warn = options.warn
    const learned = state === undefined ? options.learned : learnedFrom(state, this.#model, options)
    this.confidence = new Confidence(core, criterion, learned?.worth, rowLength(outputs) || undefined)
    const all = memoryOf({ inputs, outputs }, criterion, memory)
    if (all) this.#memory = new Memory(core, all, learned?.memory)
    this.#anew = () => ({
      confidence: new Confidence(core, criterion, undefined, rowLength(outputs) || undefined),
      memory: all && new Memory(core, all),
    })
    if (learned?.evidence !== undefined) evidence?.load(learned.evidence)
    if (learned?.errorBudget !== undefined) errorBudget?.load(learned.errorBudget)
  }

  /** Whether there is a memory, and whether it can recover something. */
  get memory(): 'none' | 'cold' | 'warm' {
    return !this.#memory ? 'none' : this.#memory.ready ? 'warm' : 'cold'
  }

  get remembered(): number {
    return this.#memory?.size ?? 0
  }

  /** What the memory predicts for a query; undefined if there is none, or it knows too little. */
  recall(query: Float32Array): Recollection | undefined {
    return this.#guarded((memory) => memory.recover(query))
  }

  /**
   * Remembers a query with the model's own answer, in steps of a few milliseconds, between which others may `recall`.
   * The first one compares it with what the memory predicts.
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
   * Removes what a worker's answers taught, as if they had never come. The remaining pairs are solved again in steps of a few milliseconds; until
   * the last one nothing is recovered.
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

  /** Forgets all pairs and grades: the model is another. */
  renew(): void {
    const { confidence, memory } = this.#anew()
    this.confidence = confidence
    if (this.#memory) this.#memory = memory // a memory that was given up stays so
  }

  settle(): void {
    finished(this.#working())
    this.#memory?.settle()
  }

  /** All that was learned, for the option `state`. */
  save(): Uint8Array {
    const others = { evidence: this.#evidence, errorBudget: this.#errorBudget }
    return packed(this.#model, { worth: this.confidence.save(), memory: this.#memory?.save() }, others)
  }

  /** The memory as it is saved, and what was graded of its recoveries: the parts of a state that others do not have. */
  take(): { memory: Uint8Array | undefined; graded: readonly Graded[] } {
    return { memory: this.#memory?.save(), graded: this.confidence.gradedOf('memory') }
  }

  *#working(): Generator<void> {
    while (this.#guarded((memory) => memory.work())) yield
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

/** What a memory of a model is made with; undefined where there is none: where it is off, or queries or answers are too large for one that nobody asked for. */
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
