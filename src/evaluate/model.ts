/** The model under evaluation, which runs in process and in batches, and its answers. */

import { joined } from '../base/arrays'
import type { OutputHints } from '../base/output-kind'
import { allFinite, rowLength, rowShape, type Signature } from '../base/tensor'

/** Anything that runs rows of a model in batches, such as `OnnxModel`. */
export interface BatchModel {
  readonly signature: Signature
  /** What the model's file says of each output. */
  readonly hints?: readonly OutputHints[] | undefined
  /** Maps `count` concatenated rows to their concatenated output rows. */
  infer(rows: Float32Array, count: number): Promise<Float32Array>
}

/** Queries by index: an array of rows, or a file from which a row is read on demand. */
export interface Rows {
  readonly length: number
  /** Row `index`, read-only; undefined beyond the last. */
  at(index: number): Float32Array | undefined
}

/** Rows, and values in rows, that go through the model at a time: larger batches gain nothing and take memory. */
const BATCH = 64
const BATCH_VALUES = 2 ** 18

/** Bytes of answers, or of recalled answers, that are cached: those of 2,000 inputs with up to 16,000 outputs. */
const KEPT_BYTES = 128 * 2 ** 20

function batchOf({ inputs, outputs }: Signature): number {
  const values = Math.max(rowLength(inputs), rowLength(outputs))
  return Math.max(1, Math.min(BATCH, Math.floor(BATCH_VALUES / values)))
}

/** Shape and number of outputs of a query, for a memory. */
export const sizesOf = ({ signature }: BatchModel) => ({
  shape: rowShape(signature.inputs),
  outputs: rowLength(signature.outputs),
})

export async function answersOf(model: BatchModel, rows: readonly Float32Array[]): Promise<Float32Array[]> {
  const answers: Float32Array[] = []
  const width = rowLength(model.signature.outputs)
  const batch = batchOf(model.signature)
  for (let from = 0; from < rows.length; from += batch) {
    const part = rows.slice(from, from + batch)
    const out = await model.infer(joined(part, Float32Array), part.length)
    for (let i = 0; i < part.length; i++) answers.push(out.slice(i * width, (i + 1) * width))
  }
  return answers
}

/** A cache of results by input, within KEPT_BYTES; the oldest entries go first. */
export class BoundedCache<Value> {
  readonly #values = new Map<number, Value>()
  readonly #most: number

  /** @param values  floats in an entry */
  constructor(values: number) {
    this.#most = Math.floor(KEPT_BYTES / (4 * values))
  }

  get(input: number): Value | undefined {
    return this.#values.get(input)
  }

  set(input: number, value: Value): Value {
    this.#values.set(input, value)
    const [oldest] = this.#values.keys()
    if (this.#values.size > this.#most) this.#values.delete(oldest)
    return value
  }
}

/** The model's own answers to the inputs, each computed on first use. Several evaluations may share them. */
export class OwnAnswers {
  readonly #model: BatchModel
  readonly #inputs: Rows
  readonly #batch: number
  readonly #kept: BoundedCache<Float32Array>
  readonly #asked = new Set<number>()

  constructor(model: BatchModel, inputs: Rows) {
    this.#model = model
    this.#inputs = inputs
    this.#batch = batchOf(model.signature)
    this.#kept = new BoundedCache(rowLength(model.signature.outputs))
  }

  /** Number of inputs that were answered. */
  get count(): number {
    return this.#asked.size
  }

  /**
   * The answers to some of the inputs, in their order. Read-only.
   *
   * @throws RangeError for an input of the wrong length, or with values that are not finite
   */
  async of(inputs: readonly number[]): Promise<Float32Array[]> {
    const answers: Float32Array[] = []
    for (const input of inputs) answers.push(this.#kept.get(input) ?? (await this.#ask(input)))
    return answers
  }

  /** Answers an input with its neighbours: an input is always in the same batch, whichever is needed first. */
  async #ask(input: number): Promise<Float32Array> {
    const first = input - (input % this.#batch)
    const rows: Float32Array[] = []
    for (let i = first; i < Math.min(first + this.#batch, this.#inputs.length); i++) rows.push(this.#row(i))
    const answers = await answersOf(this.#model, rows)
    for (const [n, answer] of answers.entries()) {
      this.#asked.add(first + n)
      this.#kept.set(first + n, answer)
    }
    return answers[input - first]
  }

  #row(input: number): Float32Array {
    const row = this.#inputs.at(input)
    const length = rowLength(this.#model.signature.inputs)
    if (row?.length !== length)
      throw new RangeError(`inputs[${input}]: expected ${length} values, got ${row?.length ?? 'none'}`)
    if (allFinite(row)) return row
    const at = row.findIndex((value) => !Number.isFinite(value))
    throw new RangeError(`inputs[${input}]: expected finite values, got ${row[at]} at ${at}`)
  }
}
