/** Which kernel kriging takes: fixed by measurement, or learned on line from the groups that pass, without labels. */

import type { Core } from '../core/core'
import type { CodeName } from './codes'
import { centred, covariance, type KrigingKernel } from './kriging'

/**
 * Fixed parameters, by measurement on MNIST, Fashion-MNIST and CIFAR models. A parity of two queries is near enough
 * to both for a nearly linear model; of more, it is not.
 *
 * @param most  queries in the largest parity
 */
export function fixedKernel(code: CodeName, most: number): KrigingKernel {
  if (code === 'berrut') return { mix: 0.3, scale: 1, noise: 0.003 }
  return most <= 2 ? { mix: 0.6, scale: 3, noise: 0.01 } : { mix: 0.6, scale: 1.5, noise: 0.02 }
}

/** What is tried against the fixed parameters. */
const CANDIDATES: readonly KrigingKernel[] = [0, 0.3, 0.6].flatMap((mix) =>
  [1, 1.5, 2, 3].flatMap((scale) => [0.02, 0.1].map((noise) => ({ mix, scale, noise }))),
)

/** Every group teaches until there were so many; then every EVERY-th. One lesson takes about half a millisecond. */
const EAGER = 64
const EVERY = 8
/** What a lesson leaves of the older ones, so that a stream that changes is followed. */
const FADE = 0.998
/** Standard errors by which a candidate has to lead. */
const LEAD = 2

interface Lessons {
  groups: number
  /** Per candidate, answers whose label it found and the fixed kernel did not; and the other way round. */
  wins: number[]
  losses: number[]
}

/** Plain data, by queries in the largest parity. */
export type KernelState = Record<string, Lessons>

export class Kernels {
  #lessons: KernelState = {}

  /** The kernel for parities of at most so many queries. */
  kernel(most: number): KrigingKernel {
    const lessons = this.#lessons[most]
    let [best, lead] = [fixedKernel('systematic', most), 0]
    CANDIDATES.forEach((candidate, c) => {
      const [wins, losses] = [lessons?.wins[c] ?? 0, lessons?.losses[c] ?? 0]
      if (wins - losses <= Math.max(lead, LEAD * Math.sqrt(wins + losses))) return
      best = candidate
      lead = wins - losses
    })
    return best
  }

  /**
   * Every answered query is a lost one's understudy: it is left out, predicted from the other rows, and the kernel is
   * the better the more labels (indices of the largest value) it finds. Leave-one-out needs one inverse per kernel.
   *
   * @param gram     of the answered rows
   * @param answers  to them, in the same order
   * @param own      positions of rows that are queries themselves
   */
  learn(core: Core, most: number, gram: Float64Array, answers: readonly Float32Array[], own: readonly number[]): void {
    if (answers.length < 3) return // one row says nothing of another
    this.#lessons[most] ??= { groups: 0, wins: CANDIDATES.map(() => 0), losses: CANDIDATES.map(() => 0) }
    const lessons = this.#lessons[most]
    if (lessons.groups++ >= EAGER && lessons.groups % EVERY) return
    const labels = own.map((i) => largest(answers[i]))
    const found = (kernel: KrigingKernel) => {
      const guesses = leaveOneOut(core, gram, answers, own, kernel)
      return guesses.map((guess, i) => largest(guess) === labels[i])
    }
    const fixed = found(fixedKernel('systematic', most))
    CANDIDATES.forEach((candidate, c) => {
      lessons.wins[c] *= FADE
      lessons.losses[c] *= FADE
      found(candidate).forEach((hit, i) => {
        if (hit && !fixed[i]) lessons.wins[c]++
        if (!hit && fixed[i]) lessons.losses[c]++
      })
    })
  }

  save(): KernelState {
    return structuredClone(this.#lessons)
  }

  load(state: KernelState): void {
    this.#lessons = structuredClone(state)
  }
}

/**
 * Answers of ordinary kriging to rows left out one by one: y_i - [Q y]_i / Q_ii with Q = A⁻¹ - A⁻¹ 1 1ᵀ A⁻¹ / 1ᵀ A⁻¹ 1
 * (Dubrule, "Cross validation of kriging in a unique neighborhood", Math. Geology 15, 1983).
 */
function leaveOneOut(
  core: Core,
  gram: Float64Array,
  answers: readonly Float32Array[],
  out: readonly number[],
  kernel: KrigingKernel,
): Float64Array[] {
  const n = answers.length
  const a = covariance(centred(gram, n, n), n, n, kernel)
  for (let i = 0; i < n; i++) a[i * n + i] += kernel.noise
  const inverse = core.inverse(a)
  const sums = Array.from({ length: n }, (_, i) =>
    inverse.subarray(i * n, (i + 1) * n).reduce((sum, value) => sum + value, 0),
  )
  const total = sums.reduce((sum, value) => sum + value, 0)
  return out.map((i) => {
    const q = Array.from({ length: n }, (_, j) => inverse[i * n + j] - (sums[i] * sums[j]) / total)
    return Float64Array.from(
      answers[i],
      (value, c) => value - q.reduce((sum, weight, j) => sum + weight * answers[j][c], 0) / q[i],
    )
  })
}

function largest(values: ArrayLike<number>): number {
  let best = 0
  for (let i = 1; i < values.length; i++) if (values[i] > values[best]) best = i
  return best
}
