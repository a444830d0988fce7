/** Decoders: from a survivor set to the weights that recover what is missing. */

import type { Core } from '../core/core'
import { HIT, type Scheme } from '../scheme'
import { type CodeName, unitRow } from './codes'
import { fixedKernel, type Kernels } from './kernels'
import { dot, gramOf, kriging } from './kriging'

/** What a decoder may look at. */
export interface Survivors {
  core: Core
  code: CodeName
  scheme: Scheme
  /** Coded queries that were answered, ascending. */
  have: readonly number[]
  /** Their weights over the queries, in the same order. */
  rows: readonly Float64Array[]
  /** Queries to recover. */
  wanted: readonly number[]
  /** Gram matrix of the group's queries (K², row-major); computed when first asked for. */
  gram(): Float64Array
  /** What was learned of kernels. */
  kernels: Kernels
}

export interface Decoded {
  /** For every query that is wanted, weights over the answers of `have`. */
  weights: readonly Float64Array[]
  /** For every one, how uncertain that is, in units of the answers' own variance. */
  variance?: Float64Array
}

export interface Decoder {
  /** Codes whose rows it understands. */
  codes: readonly CodeName[]
  /** Looks at the queries, so that its weights cannot be cached per survivor set. The others are asked for all queries. */
  data: boolean
  decode(survivors: Survivors): Decoded
}

/** The smoothing spline's λ; with less it interpolates noise, with more it forgets the answers. */
const SMOOTHING = 1e-4

/** Keeps least squares solvable where rows depend on each other; relative to the mean diagonal. */
const RIDGE = 1e-9

export const decoders = {
  /** The paper's: Berrut's interpolant through the survivors' nodes. */
  berrut: {
    codes: ['berrut'],
    data: false,
    decode: ({ scheme, have }) => ({ weights: scheme.decode(have) }),
  },

  /** Floater and Hormann's rational interpolant of degree 3 (Numer. Math. 107, 2007); degree 0 is Berrut's. */
  'floater-hormann': {
    codes: ['berrut'],
    data: false,
    decode: ({ scheme, have }) => ({ weights: floaterHormann(nodesOf(scheme, have), scheme.alpha, 3) }),
  },

  /** Natural cubic spline through the survivors' nodes. */
  spline: {
    codes: ['berrut'],
    data: false,
    decode: ({ core, scheme, have }) => ({ weights: spline(core, nodesOf(scheme, have), scheme.alpha, 0) }),
  },

  /** Smoothing cubic spline (LeTCC: Moradi, Tahmasebi, Maddah-Ali, NeurIPS 2024). */
  'smoothing-spline': {
    codes: ['berrut'],
    data: false,
    decode: ({ core, scheme, have }) => ({ weights: spline(core, nodesOf(scheme, have), scheme.alpha, SMOOTHING) }),
  },

  /** Least squares on the rows: exact where the model is affine. */
  'least-squares': {
    codes: ['berrut', 'systematic'],
    data: false,
    decode: ({ core, scheme, rows }) => ({ weights: leastSquares(core, rows, scheme.queries) }),
  },

  /** Ordinary kriging: the model as a Gaussian process over its inputs; its kernel is fixed. */
  kriging: {
    codes: ['berrut', 'systematic'],
    data: true,
    decode: ({ core, code, rows, wanted, gram }) =>
      kriging(core, gramOfPoints(rows, wanted, gram()), rows.length, fixedKernel(code, largestParity(rows))),
  },

  /** The same with the kernel that did best on the groups that passed. */
  'learned-kriging': {
    codes: ['systematic'],
    data: true,
    decode: ({ core, rows, wanted, gram, kernels }) =>
      kriging(core, gramOfPoints(rows, wanted, gram()), rows.length, kernels.kernel(largestParity(rows))),
  },
} satisfies Record<string, Decoder>

export type DecoderName = keyof typeof decoders

export const decoderNames = Object.keys(decoders) as DecoderName[]

const nodesOf = (scheme: Scheme, have: readonly number[]) => have.map((i) => scheme.beta[i])

/** Queries in the row that mixes most of them. */
export function largestParity(rows: readonly Float64Array[]): number {
  return Math.max(...rows.map((row) => row.reduce((count, w) => count + Number(w !== 0), 0)))
}

/** Gram matrix of the returned coded queries and then the queries that are wanted. */
function gramOfPoints(rows: readonly Float64Array[], wanted: readonly number[], gram: Float64Array): Float64Array {
  return gramOf([...rows, ...wanted.map((query) => unitRow(rows[0].length, query))], gram)
}

/** Eᵀ·pinv(U): the rows' least-squares weights for every query. */
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

function floaterHormann(nodes: readonly number[], at: readonly number[], degree: number): Float64Array[] {
  const n = nodes.length
  const d = Math.min(degree, n - 1)
  const w = nodes.map((node, k) => {
    let sum = 0
    for (let i = Math.max(0, k - d); i <= Math.min(k, n - 1 - d); i++) {
      let product = 1
      for (let j = i; j <= i + d; j++) if (j !== k) product /= Math.abs(node - nodes[j])
      sum += product
    }
    return k % 2 ? -sum : sum
  })
  return at.map((z) => {
    const hit = nodes.findIndex((node) => Math.abs(z - node) < HIT)
    const terms = nodes.map((node, k) => (hit < 0 ? w[k] / (z - node) : Number(k === hit)))
    const total = terms.reduce((sum, term) => sum + term)
    return Float64Array.from(terms, (term) => term / total)
  })
}

/**
 * Cubic spline with natural ends through (nodes, y), as weights over y at each z; linear outside. Reinsch's form
 * (Green and Silverman, Nonparametric Regression, 1994, 2.3): (R + nλ QᵀQ) γ = Qᵀ y, fitted = y - nλ Q γ.
 */
function spline(core: Core, nodes: readonly number[], at: readonly number[], lambda: number): Float64Array[] {
  const n = nodes.length
  const order = [...nodes.keys()].sort((a, b) => nodes[a] - nodes[b])
  const t = order.map((i) => nodes[i])
  if (n < 3) return at.map((z) => scatter(order, linear(t, z)))
  const h = t.slice(1).map((node, i) => node - t[i])
  const q = Array.from({ length: n }, () => new Float64Array(n - 2))
  const system = new Float64Array((n - 2) ** 2)
  for (let j = 0; j < n - 2; j++) {
    q[j][j] = 1 / h[j]
    q[j + 1][j] = -1 / h[j] - 1 / h[j + 1]
    q[j + 2][j] = 1 / h[j + 1]
    system[j * (n - 1)] = (h[j] + h[j + 1]) / 3
    if (j) system[j * (n - 1) - 1] = system[(j - 1) * (n - 1) + 1] = h[j] / 6
  }
  const columns = Array.from({ length: n - 2 }, (_, j) => q.map((row) => row[j]))
  columns.forEach((a, i) => {
    columns.forEach((b, j) => {
      system[i * (n - 2) + j] += n * lambda * dot(a, b)
    })
  })
  const inverse = core.inverse(system)
  // γ and the fitted values, both as weights over y; γ is zero at both ends.
  const gamma = Array.from({ length: n }, (_, i) =>
    i === 0 || i === n - 1
      ? new Float64Array(n)
      : Float64Array.from(q, (row) => dot(inverse.subarray((i - 1) * (n - 2), i * (n - 2)), row)),
  )
  const fitted = q.map((row, i) =>
    Float64Array.from(
      { length: n },
      (_, k) =>
        Number(i === k) -
        n *
          lambda *
          dot(
            row,
            gamma.slice(1, -1).map((g) => g[k]),
          ),
    ),
  )
  return at.map((z) => scatter(order, splineAt(t, fitted, gamma, z)))
}

/** Weights over the sorted y of the spline's value at z. */
function splineAt(t: readonly number[], fitted: Float64Array[], gamma: Float64Array[], z: number): Float64Array {
  const n = t.length
  const i = Math.min(Math.max(t.findIndex((node) => node > z) - 1, 0), n - 2)
  const last = z >= t[n - 1] ? n - 2 : i
  const h = t[last + 1] - t[last]
  const [a, b] = [(t[last + 1] - z) / h, (z - t[last]) / h]
  const inside = z >= t[0] && z <= t[n - 1]
  // Outside, the line through the end knot with the spline's slope there.
  const edge = z < t[0] ? -(z - t[0]) * (h / 6) : (z - t[n - 1]) * (h / 6)
  return Float64Array.from({ length: n }, (_, k) => {
    const line = a * fitted[last][k] + b * fitted[last + 1][k]
    const [left, right] = [gamma[last][k], gamma[last + 1][k]]
    if (inside) return line - ((a * b * h * h) / 6) * ((1 + b) * right + (1 + a) * left)
    return z < t[0] ? line + edge * right : line + edge * left
  })
}

/** Weights of the straight line through one or two points. */
function linear(t: readonly number[], z: number): Float64Array {
  if (t.length === 1) return Float64Array.of(1)
  const b = (z - t[0]) / (t[1] - t[0])
  return Float64Array.of(1 - b, b)
}

function scatter(order: readonly number[], weights: Float64Array): Float64Array {
  const out = new Float64Array(weights.length)
  order.forEach((to, i) => {
    out[to] = weights[i]
  })
  return out
}
