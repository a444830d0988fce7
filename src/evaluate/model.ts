/** A model as `evaluate` asks it: in process, in batches. */

import { rowLength, type Signature } from '../tensor'

/** Anything that runs rows of a model in batches; `OnnxModel` does. */
export interface BatchModel {
  readonly signature: Signature
  /** `count` rows one after the other -> their output rows one after the other. */
  infer(rows: Float32Array, count: number): Promise<Float32Array>
}

/** Rows sent through the model at a time. */
const BATCH = 64

/** The model's answers to rows, in batches. */
export async function answersOf(model: BatchModel, rows: readonly Float32Array[]): Promise<Float32Array[]> {
  const answers: Float32Array[] = []
  const width = rowLength(model.signature.outputs)
  for (let from = 0; from < rows.length; from += BATCH) {
    const part = rows.slice(from, from + BATCH)
    const flat = new Float32Array(part.length * part[0].length)
    part.forEach((row, i) => {
      flat.set(row, i * row.length)
    })
    const out = await model.infer(flat, part.length)
    for (let i = 0; i < part.length; i++) answers.push(out.slice(i * width, (i + 1) * width))
  }
  return answers
}
