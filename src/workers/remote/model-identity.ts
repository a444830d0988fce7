/** Which model a server has, as far as can be told from outside: its signature, and its answer to one query. */

import { seeded } from '../../random'
import { rmsDifference, rootMeanSquare } from '../../stats'
import { rowLength, type Signature, size } from '../../tensor'

export interface ModelIdentity {
  readonly signature: Signature
  /** To the probe query. */
  readonly answer: Float32Array
}

/** An output whose root mean square is below this counts as zeros. */
const NEGLIGIBLE = 1e-6

/** The probe query: numbers from 0 to 1, as those of pixels are, the same for all servers. */
export function probeRow({ inputs }: Signature): Float32Array {
  const random = seeded(1)
  return Float32Array.from({ length: rowLength(inputs) }, () => random.next())
}

/**
 * @param rounding  how far answers of one model may differ: the root mean square of the difference, over that of each output. Infinity:
 *   only signatures are compared
 */
export function isSameModel(a: ModelIdentity, b: ModelIdentity, rounding: number): boolean {
  if (JSON.stringify(a.signature) !== JSON.stringify(b.signature)) return false
  if (rounding === Number.POSITIVE_INFINITY) return true // times an output of zeros it would be NaN
  let at = 0
  return a.signature.outputs.every((spec) => {
    const from = at
    at += size(spec)
    const [own, other] = [a.answer.subarray(from, at), b.answer.subarray(from, at)]
    return rmsDifference(own, other) <= rounding * rootMeanSquare(own) + NEGLIGIBLE
  })
}
