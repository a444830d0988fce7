/** Two queries that tell what a model gives: any fixed values will do, as long as they are not all alike. */

import { type ElementType, filled, isEqual, isReal, realsOf } from '../../base/element'
import { hasVectors } from '../../base/payload'
import { rmsDifference, rootMeanSquare } from '../../base/stats'
import { isOpen, type Signature, type TensorList, type TensorSpec } from '../../base/tensor'

/** A query, with the batch dimension where the model has one, and the answer to it. */
export interface SampleAnswer {
  query: TensorList
  answer: TensorList
}

/** Lengths to be tried where the model leaves them open: some take no image below 32 pixels, some no text above 64 pieces. */
const LENGTHS = [32, 8, 64, 224, 1]

/**
 * The answers to two queries of equal shapes, the first one of zeros, where values are real numbers.
 *
 * @param run  one run of the model
 * @returns undefined where it answers nothing of the kind: lengths may have to fit each other, and integers may mean anything
 * @throws what the model says, where all that it takes is real numbers of shapes that are fixed
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

/** @param length  where it is open */
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

/** Integers are ones, as of a mask that hides nothing, with some zeros at first. */
function sampleData(type: ElementType, count: number, second: boolean) {
  if (type === 'string') return new Array<string>(count).fill(second ? 'a' : '')
  const real = (i: number) => (!second ? 0 : type === 'float16' ? 0.5 : ((i * 7919) % 97) / 97)
  return filled(type, count, isReal(type) ? real : (i) => Number(second || i % 2 === 1))
}

/** A batch or a longer sequence may be rounded in another order, and so may a second run: how far answers may be from each other, over their size. */
const ROUNDING = 1e-3

/** Whether two answers to the same are equal but for rounding. */
export function areAlike(outputs: Signature['outputs'], one: TensorList, other: TensorList): boolean {
  return outputs.every(({ type = 'float32' }, i) => {
    const [{ data }, { data: again }] = [one[i], other[i]]
    if (!isReal(type)) return isEqual(data, again)
    const [a, b] = [realsOf(type, data), realsOf(type, again)]
    return a.length === b.length && rmsDifference(a, b) <= ROUNDING * rootMeanSquare(a)
  })
}
