/** Decoders: the weights that recover missing answers from a survivor set. */

import type { Scheme } from '../base/scheme'
import type { Core } from '../core/core'
import { unitRow } from './codes'
import { gramOf, type KrigingKernel, kriging } from './kriging'
import type { CodeName, DecoderName } from './names'

/** Inputs of a decoder. */
export interface Survivors {
  core: Core
  code: CodeName
  scheme: Scheme
  /** Coded queries that were answered, ascending. */
  have: readonly number[]
  /** Their weights over the queries, in the same order. */
  rows: readonly Float64Array[]
  /** Number of queries in the row that mixes most. */
  most: number
  /** Queries to recover. */
  wanted: readonly number[]
  /** Gram matrix of the group's queries (K², row-major); computed on the first call. */
  gram(): Float64Array
}

export interface Decoded {
  /** For each wanted query, weights over the answers of `have`. */
  weights: readonly Float64Array[]
  /** For each wanted query, its uncertainty in units of the answers' own variance. */
  variance?: Float64Array
}

export interface Decoder {
  /** Codes whose rows it can decode. */
  codes: readonly CodeName[]
  /**
   * Whether it depends on the queries' values, so that its weights cannot be cached for a survivor set. Other decoders compute weights for
   * all queries.
   */
  data: boolean
  decode(survivors: Survivors): Decoded
}

/** Added to the diagonal, relative to its mean, so that least squares can be solved if rows are linearly dependent. */
const RIDGE = 1e-9

export const decoders = {
  /** The paper's decoder: Berrut's interpolant through the survivors' nodes. */
  berrut: { codes: ['berrut'], data: false, decode: ({ scheme, have }) => ({ weights: scheme.decode(have) }) },

  /** Least squares on the rows: exact if the model is affine. */
  'least-squares': {
    codes: ['berrut', 'systematic'],
    data: false,
    decode: ({ core, scheme, rows }) => ({ weights: leastSquares(core, rows, scheme.queries) }),
  },

  /** Ordinary kriging: the model as a Gaussian process over its inputs. */
  kriging: { codes: ['berrut', 'systematic'], data: true, decode: kriged },
} satisfies Record<DecoderName, Decoder>

/** The points are the answered coded queries, then the wanted queries. */
function kriged({ core, code, rows, most, wanted, gram }: Survivors): Decoded {
  const points = [...rows, ...wanted.map((query) => unitRow(rows[0].length, query))]
  return kriging(core, gramOf(points, gram()), rows.length, kernelFor(code, most))
}

/**
 * Kernels found by measurement on MNIST, Fashion-MNIST and CIFAR models. A parity of two queries is near enough to both for a nearly linear
 * model; a parity of more is not.
 *
 * @param most  number of queries in the largest parity
 */
export function kernelFor(code: CodeName, most: number): KrigingKernel {
  if (code === 'berrut') return { mix: 0.3, scale: 1, noise: 0.003 }
  return most <= 2 ? { mix: 0.6, scale: 3, noise: 0.01 } : { mix: 0.6, scale: 1.5, noise: 0.02 }
}

/** Eᵀ·pinv(U): least-squares weights of the rows for every query. */
function leastSquares(core: Core, rows: readonly Float64Array[], K: number): Float64Array[] {
  const f = rows.length
  const square = gramOf(
    rows,
    Float64Array.from({ length: K * K }, (_, at) => Number(at % (K + 1) === 0)),
  )
  let trace = 0
  for (let i = 0; i < f; i++) trace += square[i * f + i]
  for (let i = 0; i < f; i++) square[i * f + i] += (RIDGE * trace) / f
  const inverse = core.inverse(square)
  return Array.from({ length: K }, (_, j) =>
    Float64Array.from({ length: f }, (_, i) => rows.reduce((sum, row, r) => sum + row[j] * inverse[r * f + i], 0)),
  )
}
