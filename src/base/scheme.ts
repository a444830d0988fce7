/**
 * The paper's arithmetic: (K, S, E, points) -> N, quorum, nodes, weights.
 *
 * Soleymani, Ali, Mahdavifar, Avestimehr, "ApproxIFER: A Model-Agnostic Approach to Resilient and Robust
 * Prediction Serving Systems", AAAI 2022. Letters as there: K queries, S stragglers, E Byzantine workers,
 * N workers, α query nodes, β worker nodes. All cosines of the package live in this file.
 */

import { checkInteger, checkNames, checkWord } from './check'

/** `lobatto`: β_i = cos(iπ/(N-1)), the paper's text. `lobatto-open`: cos(iπ/N), the paper's experiments. */
export type Points = 'lobatto' | 'lobatto-open'

export const pointSets: readonly Points[] = ['lobatto-open', 'lobatto']

export interface SchemeOptions {
  /** K: queries coded together, 1 to 1000. */
  queries: number
  /** S: results that may be missing. Default 0. */
  stragglers?: number | undefined
  /** E: results that may be wrong. Default 0. */
  byzantine?: number | undefined
  /** N: coded queries. Default K + S; where E > 0, 2(K + E) + S, which the paper's code needs. At least K + 2E + S. */
  workers?: number | undefined
  /** Default 'lobatto-open'. */
  points?: Points | undefined
}

/** The largest that each may be. */
export const MOST = { queries: 1000, stragglers: 1000, byzantine: 1000, workers: 10_000 }

export const schemeOptions = ['queries', 'stragglers', 'byzantine', 'workers', 'points'] as const

/** Nodes nearer than this coincide: the interpolant takes the node's value there. */
const HIT = 1e-12

export class Scheme {
  readonly queries: number
  readonly stragglers: number
  readonly byzantine: number
  readonly workers: number
  readonly points: Points
  /** Results to wait for: N - S, which by default is K for E = 0 and 2(K + E) for E > 0. */
  readonly quorum: number
  /** K query nodes: Chebyshev points of the first kind. */
  readonly alpha: readonly number[]
  /** N worker nodes, descending. */
  readonly beta: readonly number[]
  #encode: readonly Float64Array[] | undefined

  /** @throws RangeError naming the option, what was expected and what was given */
  constructor(options: SchemeOptions) {
    checkNames('', options, schemeOptions)
    const { queries, stragglers = 0, byzantine = 0, workers, points = 'lobatto-open' } = options
    const K = checkInteger('queries', queries, 1, MOST.queries)
    const S = checkInteger('stragglers', stragglers, 0, MOST.stragglers)
    const E = checkInteger('byzantine', byzantine, 0, MOST.byzantine)
    const N = checkInteger('workers', workers ?? defaultWorkers(K, S, E), K + 2 * E + S, MOST.workers)
    this.queries = K
    this.stragglers = S
    this.byzantine = E
    this.workers = N
    this.points = checkWord('points', points, pointSets)
    this.quorum = N - S
    this.alpha = Array.from({ length: K }, (_, j) => Math.cos(((2 * j + 1) * Math.PI) / (2 * K)))
    this.beta = workerNodes(N, points)
  }

  /**
   * U, N rows of K weights: coded query i = Σ_j encode[i][j] · query j. Rows sum to 1. Computed on first use: the systematic code does not
   * need it.
   */
  get encode(): readonly Float64Array[] {
    this.#encode ??= this.beta.map((z) => berrutWeights(this.alpha, z))
    return this.#encode
  }

  /**
   * V, K rows of |have| weights: query j = Σ_i decode[j][i] · answer of coded query have[i].
   *
   * @param have  returned coded queries, ascending, at least one
   */
  decode(have: readonly number[]): Float64Array[] {
    const nodes = have.map((i) => this.beta[i])
    return this.alpha.map((z) => berrutWeights(nodes, z))
  }

  /** The scheme of a group with fewer queries: the same S, E and points, and as many spare workers. */
  shorter(queries: number): Scheme {
    const { stragglers, byzantine, points } = this
    const spare = this.workers - defaultWorkers(this.queries, stragglers, byzantine)
    const workers = Math.max(
      queries + 2 * byzantine + stragglers,
      defaultWorkers(queries, stragglers, byzantine) + spare,
    )
    return new Scheme({ queries, stragglers, byzantine, points, workers })
  }
}

/** The paper's N. */
export function defaultWorkers(K: number, S: number, E: number): number {
  return E === 0 ? K + S : 2 * (K + E) + S
}

/**
 * Workers needed if answers are proven by agreement instead of decoded: enough for a group, and enough to outvote the liars if S workers
 * are late.
 */
export function verifiedWorkers({
  queries,
  stragglers,
  byzantine,
}: Pick<Scheme, 'queries' | 'stragglers' | 'byzantine'>): number {
  return Math.max(queries + stragglers, 2 * byzantine + 1 + stragglers)
}

function workerNodes(N: number, points: Points): number[] {
  const last = points === 'lobatto' ? N - 1 : N
  return Array.from({ length: N }, (_, i) => (i === 0 ? 1 : Math.cos((i * Math.PI) / last)))
}

/**
 * Weights of the nodes in Berrut's rational interpolant at z. Signs alternate by position: by worker index, two equal signs would stand
 * beside a missing node, and weights would be five times as large.
 * Berrut, "Rational functions for guaranteed and experimentally well-conditioned global interpolation", 1988.
 */
function berrutWeights(nodes: readonly number[], z: number): Float64Array {
  const weights = new Float64Array(nodes.length)
  const hit = nodes.findIndex((node) => Math.abs(z - node) < HIT)
  if (hit >= 0) {
    weights[hit] = 1
    return weights
  }
  let sum = 0
  for (let i = 0; i < nodes.length; i++) sum += weights[i] = (i % 2 ? -1 : 1) / (z - nodes[i])
  for (let i = 0; i < nodes.length; i++) weights[i] /= sum
  return weights
}
