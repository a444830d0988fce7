/** A query that no caller chooses, the same for all workers: by the answers to it models are told apart, and how large answers are. */

import { type ElementType, isReal, kindOf, type NumericData } from './element'
import { seeded } from './random'
import { type Signature, size, type TensorList, tensorOf } from './tensor'

/** Where a length may be any. */
const LENGTH = 8
/** Half floats from .5 to 1: their number, and the bits of the first, by which they are held where there is no array of them. */
const HALVES = 1024
const FIRST = 0x3800

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
    const data = type === 'string' ? new Array<string>(length).fill('text') : numbers(type, length, random.next)
    return tensorOf(spec, data, shape)
  })
}

function numbers(type: Exclude<ElementType, 'string'>, length: number, next: () => number): NumericData {
  const data = new (kindOf(type))(length)
  const half = () => Math.floor(HALVES * next())
  const real =
    type !== 'float16' ? next : data instanceof Uint16Array ? () => FIRST + half() : () => 0.5 + half() / 2 / HALVES
  for (let i = 0; i < length; i++) {
    const value = isReal(type) ? real() : 1 - (i % 2)
    data[i] = typeof data[i] === 'bigint' ? BigInt(value) : value
  }
  return data
}
