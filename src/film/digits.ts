/** The digits of the package, and what its model answers to them. */

import { labelAt } from '../base/criterion'
import type { Signature } from '../base/tensor'

export interface Digits {
  /** Values from 0 to 1, a vector each. */
  readonly images: readonly Float32Array[]
  /** The model's answer to each image: ten logits. */
  readonly answers: readonly Float32Array[]
  readonly signature: Signature
}

/** The digit that an answer says. */
export const labelOf = (answer: Float32Array) => labelAt(answer, { classes: answer.length })
