/** The queries of forecasts: by their numbers, where only time counts, and as the vectors that a memory or a code sees. */

import { seeded } from '../base/random'
import type { Experience } from '../memory/experience'
import { type Experiment, right } from './experiment'
import type { QueryStream } from './forecast'
import { answersOf, type BatchModel, type Rows } from './model'

/** Queries by their numbers: a worker's answer is the number. @param alone  for each query 1 if the model's own answer is right, else 0 */
export function numbered(alone: ArrayLike<number>): QueryStream {
  const number = [{ name: 'number', shape: [1] }]
  return {
    signature: { inputs: number, outputs: number },
    length: alone.length,
    query: (index) => Float32Array.of(index),
    answer: (query) => query.slice(),
    alone,
    right: (index) => alone[index],
  }
}

/** Queries as vectors. @param own  the model's own answers to the first inputs: only these are asked */
export function vectors(
  { model, inputs }: { model: BatchModel; inputs: Rows },
  own: readonly Float32Array[],
  judge: Pick<Experiment, 'criterion' | 'labels'> & { experience: Experience },
): QueryStream {
  const random = seeded(1)
  const first = inputs.at(0) as Float32Array
  const weights = Float64Array.from(first, () => random.next())
  const keyOf = (row: Float32Array) => row.reduce((sum, value, i) => sum + value * weights[i], 0)
  const rightness = (input: number, answer: Float32Array, isOwn: boolean) =>
    isOwn && !judge.labels ? 1 : right(judge, answer, { input, own: own[input] })
  const known = new Map(own.map((answer, i) => [keyOf(inputs.at(i) as Float32Array), answer]))
  return {
    signature: model.signature,
    hints: model.hints,
    alone: own.map((answer, i) => rightness(i, answer, true)),
    length: own.length,
    query: (index) => inputs.at(index) as Float32Array,
    answer: (query) => known.get(keyOf(query))?.slice() ?? answersOf(model, [query]).then(([answer]) => answer),
    right: rightness,
  }
}
