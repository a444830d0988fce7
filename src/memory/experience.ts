/** All that is learned from proven answers: the memory, and the confidence of recoveries. Bounded, without a clock. */

import type { Core } from '../core/core'
import type { Criterion } from '../criterion'
import * as saved from '../saved'
import { rowLength, rowShape, type Signature, size } from '../tensor'
import { unpack } from './archive'
import { Confidence } from './confidence'
import type { ConfidenceState } from './confidence-state'
import {
  type ExperienceState,
  type LearnedModel,
  learnedModel,
  type ModelMarks,
  type Persistent,
} from './experience-state'
import { Memory, type MemoryOptions, type Recollection } from './memory'
import { pack } from './pack'
import { finished } from './steps'

export interface ExperienceOptions extends ModelMarks {
  criterion: Criterion
  /** What is known of workers, unless another tenant's experience saves it. */
  evidence?: Persistent | undefined
  /** What counts its answers that were given unasked. */
  ledger?: Persistent | undefined
  /** Default: on, unless queries or answers are too large for it. */
  memory?: false | Pick<MemoryOptions, 'bytes' | 'features'> | undefined
  /** Of `save`. */
  state?: Uint8Array | undefined
  /** Called once if the memory has to be given up, since the user's own `features` throw, or where nothing says whose the state is. */
  warn: (text: string) => void
}

export class Experience {
  /** How likely recovered answers are right. Replaced here alone, by `renew`. */
  confidence: Confidence
  /** A memory and a confidence that know nothing yet. */
  readonly #anew: () => { confidence: Confidence; memory: Memory }
  readonly #model: LearnedModel
  readonly #evidence: Persistent | undefined
  readonly #ledger: Persistent | undefined
  readonly #warn: (text: string) => void
  #memory: Memory | undefined

  /** @throws RangeError for a state that is damaged, or of another model, code or memory: nothing of it is taken */
  constructor(core: Core, { inputs, outputs }: Signature, options: ExperienceOptions) {
    const { criterion, evidence, ledger, memory, state } = options
    this.#model = learnedModel({ inputs, outputs }, options)
    this.#evidence = evidence
    this.#ledger = ledger
    this.#warn = options.warn
    const archive = state === undefined ? undefined : unpack('predictor', state)
    const content = archive && checked(archive.content, this.#model, options)
    const remembered = archive?.has('memory') ? archive.take('memory', 'u1') : undefined
    archive?.end()
    this.confidence = new Confidence(core, criterion, content?.worth, rowLength(outputs) || undefined)
    const parts = inputs.map(size)
    const all = { ...memory, shape: rowShape(inputs), parts, outputs: rowLength(outputs), criterion }
    const remembers = memory !== false && (memory !== undefined || Memory.fits(all))
    if (remembers) this.#memory = new Memory(core, all, remembered)
    this.#anew = () => ({
      confidence: new Confidence(core, criterion, undefined, rowLength(outputs) || undefined),
      memory: new Memory(core, all),
    })
    if (content?.evidence !== undefined) evidence?.load(content.evidence)
    if (content?.ledger !== undefined) ledger?.load(content.ledger)
  }

  /** Whether there is a memory, and whether it can recover something. */
  get memory(): 'none' | 'cold' | 'warm' {
    return !this.#memory ? 'none' : this.#memory.ready ? 'warm' : 'cold'
  }

  /** Queries remembered. */
  get remembered(): number {
    return this.#memory?.size ?? 0
  }

  /** What the memory recovers for a query; undefined where there is none, or it knows too little. */
  recall(query: Float32Array): Recollection | undefined {
    return finished(this.recalling(query))
  }

  /** The same in steps of less than a millisecond or two, between which nothing may be trained or forgotten. */
  *recalling(query: Float32Array): Generator<void, Recollection | undefined> {
    return yield* this.#guarded((memory) => memory.recovering(query))
  }

  /**
   * Remembers a query with the model's own answer, in steps of a few milliseconds, between which others may `recall`.
   * The first ones compare it with what the memory predicts.
   *
   * @param from  the identity of the worker that gave the answer, for `forget`
   */
  // biome-ignore lint/suspicious/noConfusingVoidType: other steps tell nothing
  *train(query: Float32Array, own: Float32Array, from?: string): Generator<'compared' | void> {
    const remembered = yield* this.#guarded((memory) => memory.remembering(query, own, from))
    const predicted = remembered?.predicted
    yield 'compared'
    if (predicted) yield* this.confidence.rehearsing({ ...predicted, missing: 1 }, own, from)
    yield* this.confidence.renew()
    yield* this.#guarded(working)
  }

  /**
   * Takes out what was learned from a worker's answers, as if they had never come, in steps of a few milliseconds.
   * After the first nothing of it is used any more; until the last the memory recovers nothing.
   */
  *forget(from: string): Generator<void> {
    // biome-ignore lint/correctness/useYield: it takes one step
    const left = yield* this.#guarded(function* (memory) {
      return memory.forget(from).left
    })
    this.confidence.forget(from)
    yield
    if (left) yield* this.confidence.differ(left)
    yield* this.confidence.renew()
    yield* this.#guarded(working)
  }

  /** Forgets all pairs, and how often recoveries were right: the model is another. */
  renew(): void {
    const { confidence, memory } = this.#anew()
    this.confidence = confidence
    if (this.#memory) this.#memory = memory
  }

  /** Solves all that training left to be solved. */
  settle(): void {
    finished(this.#guarded(working))
    this.#memory?.settle()
  }

  /** All that was learned, for the option `state`. */
  save(): Uint8Array {
    const content: ExperienceState = {
      model: this.#model,
      worth: this.confidence.save(),
      ...(this.#evidence && { evidence: this.#evidence.save() }),
      ...(this.#ledger && { ledger: this.#ledger.save() }),
    }
    return pack('predictor', content, this.#memory ? { memory: this.#memory.save() } : {})
  }

  /** The user's own `features` may throw: that costs the memory, not the queries. */
  *#guarded<T>(use: (memory: Memory) => Generator<void, T>): Generator<void, T | undefined> {
    try {
      return this.#memory && (yield* use(this.#memory))
    } catch (error) {
      this.#memory = undefined
      this.#warn(`the memory is off from here on: ${(error as Error)?.message ?? error}`)
    }
  }
}

function* working(memory: Memory): Generator<void> {
  while (memory.work()) yield
}

/** What was saved beside the memory, if it is of this model; each part is checked where it is used. */
function checked(value: unknown, own: LearnedModel, options: ExperienceOptions): ExperienceState {
  const content = saved.object('content', value, ['model', 'worth', 'evidence', 'ledger'])
  const model = saved.object('model', content.model, ['inputs', 'outputs', 'fingerprint', 'probed'])
  saved.same('model.inputs', own.inputs, model.inputs)
  saved.same('model.outputs', own.outputs, model.outputs)
  if (content.worth === undefined) throw saved.refused('worth', 'an object', 'none')
  checkSame(model, own, options)
  const { evidence, ledger } = content
  return { model: own, worth: content.worth as ConfidenceState, evidence, ledger }
}

/** Equal fingerprints are one model's. Others say less than the answers to one query; where nothing can be compared, names and shapes have to do. */
function checkSame(model: Record<string, unknown>, own: LearnedModel, options: ExperienceOptions): void {
  const { probed, evidence, warn } = options
  const { fingerprint } = model
  if (fingerprint !== null) saved.text('model.fingerprint', fingerprint)
  const areKnown = fingerprint !== null && own.fingerprint !== null
  if (areKnown && fingerprint === own.fingerprint) return
  if (probed?.isOf(model.probed, evidence && !areKnown ? warn : undefined)) return
  if (areKnown) saved.same('model.fingerprint', own.fingerprint, fingerprint)
}
