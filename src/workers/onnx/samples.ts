/** Two fixed sample queries, by which a model's outputs are learned at load. */

import { type ElementType, filled, isEqual, isReal, realsOf } from '../../base/element'
import { hasVectors } from '../../base/payload'
import { rmsDifference, rootMeanSquare } from '../../base/stats'
import { isOpen, type Signature, type TensorList, type TensorSpec } from '../../base/tensor'

/** A query, with the batch dimension if the model has one, and its answer. */
export interface SampleAnswer {
  query: TensorList
  answer: TensorList
}

/** Values tried for dynamic dimensions: some models accept no images below 32 pixels, some no texts above 64 tokens. */
const LENGTHS = [32, 8, 64, 224, 1]

/**
 * Runs two queries of equal shapes; the real values of the first one are zeros.
 *
 * @param run  runs the model
 * @returns undefined if no query works: dynamic dimensions may depend on each other, and integers may have a special meaning
 * @throws the model's error, if all inputs are real-valued with fixed shapes
 */
export async function samples(
  signature: Signature,
  run: (batch: TensorList) => Promise<TensorList>,
): Promise<readonly SampleAnswer[] | undefined> {
  const isCertain = hasVectors({ ...signature, outputs: [] })
  const hasOpen = signature.inputs.some(isOpen)
  for (const length of hasOpen ? LENGTHS : LENGTHS.slice(0, 1)) {
    try {
      const tried: SampleAnswer[] = []
      for (const second of [false, true]) {
        const query = sampleOf(signature, length, second)
        tried.push({ query, answer: await run(query) })
      }
      return tried
    } catch (error) {
      if (isCertain) throw error
    }
  }
}

/** @param length  of dynamic dimensions */
function sampleOf({ inputs, batched = true }: Signature, length: number, second: boolean): TensorList {
  return inputs.map(({ type = 'float32', shape: own }: TensorSpec) => {
    const shape = [...(batched ? [1] : []), ...own.map((n) => (n < 0 ? length : n))]
    return {
      data: sampleData(
        type,
        shape.reduce((product, n) => product * n, 1),
        second,
      ),
      shape,
      type,
    }
  })
}

/** Integers are ones, valid as a mask of a full sequence; in the first query every second one is zero. */
function sampleData(type: ElementType, count: number, second: boolean) {
  if (type === 'string') return new Array<string>(count).fill(second ? 'a' : '')
  const real = (i: number) => (!second ? 0 : type === 'float16' ? 0.5 : ((i * 7919) % 97) / 97)
  return filled(type, count, isReal(type) ? real : (i) => Number(second || i % 2 === 1))
}

/** Tolerated relative difference between two runs: a batch, a padded sequence or a second run may round differently. */
const ROUNDING = 1e-3

/** Whether two answers to the same query are equal up to rounding. */
export function areAlike(outputs: Signature['outputs'], one: TensorList, other: TensorList): boolean {
  return outputs.every(({ type = 'float32' }, i) => {
    const [{ data }, { data: again }] = [one[i], other[i]]
    if (!isReal(type)) return isEqual(data, again)
    const [a, b] = [realsOf(type, data), realsOf(type, again)]
    return a.length === b.length && rmsDifference(a, b) <= ROUNDING * rootMeanSquare(a)
  })
}
