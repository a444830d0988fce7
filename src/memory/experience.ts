/**
 * What earlier groups teach later ones: the one face of what is learned. Bounded, serialisable, without a clock. Only answers
 * that are proven teach it.
 */

import type { Core } from '../core/core'
import type { Criterion } from '../criterion'
import * as saved from '../saved'
import { rowLength, rowShape, type Signature, size, type TensorSpec } from '../tensor'
import { pack, unpack } from './archive'
import { Memory, type MemoryOptions, type Recollection } from './memory'
import { finished } from './steps'
import { type Agreement, type Recovered, Worth, type WorthState } from './worth'

/** What the codec learns, or is held against workers: kept and saved with the rest. */
export interface Kept {
  save(): unknown
  /** @param outputs  values in an answer  @throws RangeError for what `save` never gave; then all is as it was */
  load(state: unknown, outputs: number): void
}

export interface ExperienceOptions {
  criterion: Criterion
  kernels: Kept
  /** Where it is saved here, and not with another tenant. */
  evidence?: Kept | undefined
  /** What tells the model from others with its signature, where that is known. */
  fingerprint?: string | undefined
  /** Default: on, unless queries or answers are too large for it. */
  memory?: false | Pick<MemoryOptions, 'bytes' | 'features'> | undefined
  /** Of `save`. */
  state?: Uint8Array | undefined
  /** Told once if the memory has to be given up, since the user's own `features` throw. */
  warn: (text: string) => void
}

/** Whose answers it all is. */
interface Model extends Signature {
  /** null: not known. */
  fingerprint: string | null
}

/** Saved beside the memory. */
interface Content {
  model: Model
  worth: WorthState
  kernels: unknown
  evidence?: unknown
}

export class Experience {
  readonly #model: Model
  readonly #kernels: Kept
  readonly #evidence: Kept | undefined
  readonly #worth: Worth
  readonly #warn: (text: string) => void
  #memory: Memory | undefined

  /** @throws RangeError for a state of another model, code or memory, or one that is damaged: then nothing of it is taken */
  constructor(core: Core, { inputs, outputs }: Signature, options: ExperienceOptions) {
    const { criterion, kernels, evidence, fingerprint = null, memory, state } = options
    this.#model = { inputs: inputs.map(specOf), outputs: outputs.map(specOf), fingerprint }
    this.#kernels = kernels
    this.#evidence = evidence
    this.#warn = options.warn
    const archive = state === undefined ? undefined : unpack('predictor', state)
    const content = archive && contentOf(archive.content, this.#model)
    const remembered = archive?.has('memory') ? archive.take('memory', 'u1') : undefined
    archive?.end()
    this.#worth = new Worth(core, criterion, content?.worth, rowLength(outputs))
    const parts = inputs.map(size)
    const all = { ...memory, shape: rowShape(inputs), parts, outputs: rowLength(outputs), criterion }
    const remembers = memory !== false && (memory !== undefined || Memory.fits(all))
    if (remembers) this.#memory = new Memory(core, all, remembered)
    if (content?.evidence !== undefined) evidence?.load(content.evidence, rowLength(outputs))
    if (content) kernels.load(content.kernels, rowLength(outputs)) // last, since it is the codec's: nothing can be refused any more
  }

  /** Whether there is a memory, and whether it can recover something. */
  get memory(): 'none' | 'cold' | 'warm' {
    return !this.#memory ? 'none' : this.#memory.ready ? 'warm' : 'cold'
  }

  /** Queries remembered. */
  get remembered(): number {
    return this.#memory?.size ?? 0
  }

  get tolerance(): number | undefined {
    return this.#worth.tolerance
  }

  get agreements(): Agreement[] {
    return this.#worth.agreements
  }

  /** What is remembered says of a query; undefined where there is no memory, or it knows too little. */
  recall(query: Float32Array): Recollection | undefined {
    return finished(this.recalling(query))
  }

  /** The same in steps of less than a millisecond or two, between which nothing may be taught or forgotten. */
  recalling(query: Float32Array): Generator<void, Recollection | undefined> {
    return this.#guardedSteps((memory) => memory.recovering(query))
  }

  /** The surest of several recoveries of one query. */
  surest<T extends Recovered>(all: readonly T[]): { recovery: T; confidence: number | undefined } {
    return this.#worth.surest(all)
  }

  /** Which queries to ask for twice rather than send parities of all; see `Worth.leastSure`. */
  copies(remembered: readonly (Recollection | undefined)[], count: number): number[] | undefined {
    return this.#worth.leastSure(remembered, count)
  }

  /** Whether an answer is right, given the model's own; undefined until it is known how far off it may be. */
  agrees(answer: Float32Array, own: Float32Array): boolean | undefined {
    return this.#worth.agrees(answer, own)
  }

  /** Takes one of the model's own answers: how much they differ says what is a large error. */
  see(own: Float32Array): void {
    this.#worth.see(own)
  }

  /**
   * Remembers a query with the model's own answer, in steps of a few milliseconds, between which others may `recall`. The first ones
   * compare it with what was foretold.
   *
   * @param from  the worker that gave the answer, for `forget`
   */
  *teach(query: Float32Array, own: Float32Array, from?: string): Generator<'compared' | void> {
    const foretold = (yield* this.#guardedSteps((memory) => memory.take(query, own, from)))?.foretold
    if (foretold) this.#worth.rehearse({ ...foretold, missing: 1 }, own, from)
    yield 'compared'
    while (this.#guarded((memory) => memory.work())) yield
  }

  /**
   * Takes out what a worker's answers taught, as if they had never come, in steps of a few milliseconds. After the first nothing
   * of it is used any more; until the last the memory recovers nothing.
   */
  *forget(from: string): Generator<void> {
    const left = this.#guarded((memory) => memory.forget(from).left)
    this.#worth.forget(from, left)
    yield
    while (this.#guarded((memory) => memory.work())) yield
  }

  /** Solves all that teaching left to be solved, for who has the time. */
  settle(): void {
    this.#guarded((memory) => memory.settle())
  }

  /**
   * The model's own answer came to a query that was recovered: was it right? Undefined as in `agrees`.
   *
   * @param from  the worker that gave the answer, for `forget`
   */
  grade(recovered: Recovered, own: Float32Array, from?: string): boolean | undefined {
    return this.#worth.grade(recovered, own, from)
  }

  /** As `grade`, for a recovery that nobody needed: it teaches the confidence but is not counted. */
  rehearse(recovered: Recovered, own: Float32Array, from?: string): void {
    this.#worth.rehearse(recovered, own, from)
  }

  /** All that was learned, for the option `state`. */
  save(): Uint8Array {
    const evidence = this.#evidence && { evidence: this.#evidence.save() }
    const content: Content = {
      model: this.#model,
      worth: this.#worth.save(),
      kernels: this.#kernels.save(),
      ...evidence,
    }
    return pack('predictor', content, this.#memory ? { memory: this.#memory.save() } : {})
  }

  /** The user's own `features` may throw: that costs the memory, not the queries. */
  #guarded<T>(use: (memory: Memory) => T): T | undefined {
    try {
      return this.#memory && use(this.#memory)
    } catch (error) {
      this.#giveUp(error)
    }
  }

  *#guardedSteps<T>(use: (memory: Memory) => Generator<void, T>): Generator<void, T | undefined> {
    try {
      return this.#memory && (yield* use(this.#memory))
    } catch (error) {
      this.#giveUp(error)
    }
  }

  #giveUp(error: unknown): void {
    this.#memory = undefined
    this.#warn(`the memory is off from here on: ${(error as Error)?.message ?? error}`)
  }
}

const specOf = ({ name, shape }: TensorSpec): TensorSpec => ({ name, shape: [...shape] })

/** What was saved beside the memory, if it is of this model; the rest is checked by whose it is. */
function contentOf(value: unknown, own: Model): Content {
  const content = saved.object('content', value, ['model', 'worth', 'kernels', 'evidence'])
  const model = saved.object('model', content.model, ['inputs', 'outputs', 'fingerprint'])
  saved.same('model.inputs', own.inputs, model.inputs)
  saved.same('model.outputs', own.outputs, model.outputs)
  if (content.worth === undefined) throw saved.refused('worth', 'an object', 'none')
  if (model.fingerprint !== null) saved.text('model.fingerprint', model.fingerprint)
  // Where one of the two does not know the model's bytes, names and shapes have to do.
  if (model.fingerprint !== null && own.fingerprint !== null) {
    saved.same('model.fingerprint', own.fingerprint, model.fingerprint)
  }
  const { kernels, evidence } = content
  return { model: own, worth: content.worth as WorthState, kernels, evidence }
}
