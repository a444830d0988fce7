/** A query that no caller chooses, the same for all workers: by the answers to it models are told apart, and how large answers are. */

import { filled, isReal } from './element'
import { seeded } from './random'
import { type Signature, size, type TensorList, tensorOf } from './tensor'

/** Where a length may be any. */
const LENGTH = 8
/** Half floats from .5 to 1. */
const HALVES = 1024

/**
 * Real numbers from 0 to 1, as those of pixels are, half floats from .5; integers of 1 and 0 in turns, which are
 * tokens of any vocabulary, and masks; texts.
 *
 * @returns a fresh one
 */
export function probeQuery({ inputs }: Pick<Signature, 'inputs'>): TensorList {
  const random = seeded(1)
  return inputs.map((spec) => {
    const { type = 'float32' } = spec
    const shape = spec.shape.map((n) => (n < 0 ? LENGTH : n))
    const length = size({ shape })
    if (type === 'string') return tensorOf(spec, new Array<string>(length).fill('text'), shape)
    const half = () => 0.5 + Math.floor(HALVES * random.next()) / 2 / HALVES
    const value = isReal(type) ? (type === 'float16' ? half : random.next) : (i: number) => 1 - (i % 2)
    return tensorOf(spec, filled(type, length, value), shape)
  })
}
