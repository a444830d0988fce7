/** Locators: find lies among the returned answers. */

import type { Scheme } from '../base/scheme'
import type { AnswerRows, Core } from '../core/core'
import { covariance, type KrigingKernel } from './kriging'
import type { LocatorName } from './names'

/** Inputs of a locator. Positions are indices of `have`. */
export interface Results {
  core: Core
  scheme: Scheme
  /** Returned coded queries, ascending. */
  have: readonly number[]
  /** Their answers, in the same order. */
  answers: AnswerRows
  /** Gram matrix of the returned coded queries (|have|², row-major); computed on the first call. */
  gram(): Float64Array
}

/** A position in `have` and its score. Scores can be compared only within a locator and a group. */
export interface Accusation {
  position: number
  score: number
}

/** Scores all positions: first up to `limit` accused ones, the most suspected first. */
export type Locator = (results: Results, limit: number) => Accusation[]

/**
 * The residual locator's kernel: RBF of this scale on inputs scaled to mean square length 1, not centred, with noise on the diagonal. Found
 * by measurement on MNIST, Fashion-MNIST and CIFAR models.
 */
export const LocatorKernel: KrigingKernel = { mix: 0, scale: 1, noise: 0.01 }

export const locators = {
  /** Leave-one-out residuals: drops the answer that the others explain worst, then repeats on the rest. */
  residual({ core, have, answers, gram }, limit) {
    const rounds = Math.min(limit, have.length - 1)
    const { order, scores } = core.residual(
      answers,
      covariance(gram(), have.length, have.length, LocatorKernel),
      LocatorKernel.noise,
      rounds,
    )
    const others = [...scores.keys()].filter((position) => !order.includes(position))
    return [...order, ...others].map((position) => ({ position, score: scores[position] }))
  },

  /** The paper's vote, with Q(0) = 1. It cannot find a lie at a node β = 0. */
  vote: (results) => mostVoted(results, false),

  /** The same vote with a solution of unit length, which has no blind spot. */
  'vote-unit': (results) => mostVoted(results, true),

  /** Accuses no row. */
  none: () => [],
} satisfies Record<LocatorName, Locator>

/** Results that a locator needs: with fewer it has more unknowns than equations. */
export function resultsNeeded(name: LocatorName, scheme: Scheme): number {
  if (!name.startsWith('vote') || !scheme.byzantine) return 1
  return 2 * (scheme.queries + scheme.byzantine) - Number(name === 'vote')
}

function mostVoted({ core, scheme, have, answers }: Results, unit: boolean): Accusation[] {
  const nodes = have.map((i) => scheme.beta[i])
  const votes = core.vote(answers, chebyshev(nodes, scheme.queries + scheme.byzantine), scheme.byzantine, unit)
  return Array.from(votes, (score, position) => ({ position, score })).sort((a, b) => b.score - a.score)
}

/** T_0 .. T_(degree-1) at each node: [j * nodes + i]. */
export function chebyshev(nodes: readonly number[], degree: number): Float64Array {
  const f = nodes.length
  const basis = new Float64Array(degree * f)
  for (let i = 0; i < f; i++) {
    for (let j = 0; j < degree; j++) {
      basis[j * f + i] =
        j === 0 ? 1 : j === 1 ? nodes[i] : 2 * nodes[i] * basis[(j - 1) * f + i] - basis[(j - 2) * f + i]
    }
  }
  return basis
}
