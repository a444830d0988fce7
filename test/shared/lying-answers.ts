/** What liars say of a model of two values. */

import type { Random } from '../../src/base/random'

/** The model. */
export const truth = (row: Float32Array) =>
  Float32Array.of(Math.sin(3 * row[0]) + row[1], Math.cos(2 * row[1]) - row[0])

/** undefined: it says nothing. */
export type Lie = (own: Float32Array, random: Random, row: Float32Array) => Float32Array | undefined
/** A lie that all liars tell alike, and others. */
export const lies: Record<string, Lie> = {
  'the same lie': (own) => Float32Array.of(own[1] + 1, own[0]),
  noise: (own, random) => own.map((value) => value + random.gauss()),
  'values scaled': (own) => own.map((value) => 0.9 * value),
  flip: (own) => own.map((value) => -value),
  constant: () => Float32Array.of(0, 20),
  'near the tolerance': (own, random) => own.map((value) => value + 0.003 * (random.next() < 0.5 ? 1 : -1)),
}

/** Lies that are not always told, or are no proof: of these nobody need be ejected, and no honest worker may be. */
export const sly: Record<string, Lie> = {
  'silent, or a lie': (own, random) => (random.next() < 0.5 ? undefined : own.map((value) => value + 1)),
  'right where its friends are asked as well, else just beyond rounding': (own, _, row) => {
    return row[0] > 0 ? own : own.map((value) => value + 0.0015)
  },
  'an answer to another query': (_, random) => truth(Float32Array.of(random.gauss(), random.gauss())),
}
