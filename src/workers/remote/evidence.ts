/** Which model a server runs, as far as can be told from outside: its metadata, and its answer to one query. */

import { seeded } from '../../random'
import { rmsDifference, rootMeanSquare } from '../../stats'
import { rowLength, type Signature, size } from '../../tensor'

export interface Evidence {
  signature: Signature
  answer: Float32Array
}

/** Below this an output counts as zeros. */
const NOTHING = 1e-6

/** The query that all are asked: numbers from 0 to 1, as pixels and the like are. */
export function probeRow({ inputs }: Signature): Float32Array {
  const random = seeded(1)
  return Float32Array.from({ length: rowLength(inputs) }, () => random.next())
}

/** @param rounding  how far answers may differ, root mean square, over the size of each output */
export function alike(a: Evidence, b: Evidence, rounding: number): boolean {
  if (JSON.stringify(a.signature) !== JSON.stringify(b.signature)) return false
  let at = 0
  return a.signature.outputs.every((spec) => {
    const from = at
    at += size(spec)
    const [own, other] = [a.answer.subarray(from, at), b.answer.subarray(from, at)]
    return rmsDifference(own, other) <= rounding * rootMeanSquare(own) + NOTHING
  })
}
