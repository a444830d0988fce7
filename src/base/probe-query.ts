/** A fixed query, the same for all workers. The answers to it tell models apart, and show how large answers are. */

import { filled, isReal } from './element'
import { seeded } from './random'
import { type Signature, size, type TensorList, tensorOf } from './tensor'

/** Used for lengths that may vary. */
const LENGTH = 8
/** Number of half floats from .5 to 1. */
const HALVES = 1024

/**
 * Real numbers from 0 to 1 like pixels, half floats from .5 on; integers 1 and 0 in turns, which are valid tokens and masks; texts.
 *
 * @returns a new query
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
