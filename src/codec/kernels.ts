/** Which kernel kriging takes: fixed by measurement, or learned on line from the groups that pass, without labels. */

import type { Core } from '../core/core'
import { balanced, type Criterion, type Labels, labelAt, sampleOf } from '../criterion'
import * as saved from '../saved'
import { rowSums } from '../stats'
import { centred, covariance, type KrigingKernel } from './kriging'
import type { CodeName } from './names'

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

/** The first EAGER groups all train, then every EVERY-th. Training on one group takes about half a millisecond. */
const EAGER = 64
const EVERY = 8
/** Older counts are multiplied by this with each group, so that a stream that changes is followed. */
const FADE = 0.998
/** Standard errors that a candidate's margin over the fixed kernel must have. */
const MARGIN = 2
/** Nothing is learned from larger groups: inverses take too long, and a parity of that many queries says little. */
export const MOST_ROWS = 33
/** Values of an answer that are compared: of a thousand and more, 256 choose the same kernel as all of them. */
const SAMPLE = 256

/** Bounds of a saved state: queries in the largest parity, and more wins or losses than counts that fade can reach. */
const MOST_QUERIES = 1000
const MOST_WINS = 1e6

interface WinCounts {
  groups: number
  /** Per candidate, answers whose label it found and the fixed kernel did not; and the other way round. */
  wins: number[]
  losses: number[]
}

/** Plain data, by queries in the largest parity. */
export type KernelState = Record<string, WinCounts>

export class Kernels {
  #counts: KernelState = {}
  /** Of the counts as they are, as far as anybody asked. */
  readonly #chosen = new Map<number, KrigingKernel>()

  /** The kernel for groups whose largest parity mixes `most` queries. */
  kernel(most: number): KrigingKernel {
    const kernel = this.#chosen.get(most) ?? this.#choose(most)
    this.#chosen.set(most, kernel)
    return kernel
  }

  #choose(most: number): KrigingKernel {
    const counts = this.#counts[most]
    let [best, margin] = [fixedKernel('systematic', most), 0]
    CANDIDATES.forEach((candidate, c) => {
      const [wins, losses] = [counts?.wins[c] ?? 0, counts?.losses[c] ?? 0]
      if (wins - losses <= Math.max(margin, MARGIN * Math.sqrt(wins + losses))) return
      best = candidate
      margin = wins - losses
    })
    return best
  }

  /**
   * Each answered query is left out in turn and predicted from the other rows. A kernel is the better the more labels it
   * finds or, where there is no single label, the smaller its errors. Leave-one-out needs one inverse per kernel. In steps
   * of less than a millisecond.
   *
   * @param gram     of the answered rows
   * @param answers  to them, in the same order
   * @param own      positions of rows that are queries themselves
   */
  *learn(
    core: Core,
    most: number,
    gram: Float64Array,
    answers: readonly Float32Array[],
    own: readonly number[],
    criterion: Criterion,
  ): Generator<void> {
    if (answers.length < 3 || answers.length > MOST_ROWS) return // one row says nothing of another
    this.#counts[most] ??= { groups: 0, wins: CANDIDATES.map(() => 0), losses: CANDIDATES.map(() => 0) }
    const counts = this.#counts[most]
    if (counts.groups++ >= EAGER && counts.groups % EVERY) return
    const { values, labels } = yield* sampled(answers, criterion)
    const n = answers.length
    const inputs = centred(gram, n, n)
    const score = (kernel: KrigingKernel) =>
      leaveOneOut(core, inputs, values, own, kernel).map((guess, i) => {
        const truth = values[own[i]]
        if (!labels) return -guess.reduce((sum, value, c) => sum + (value - truth[c]) ** 2, 0)
        return Number(labelAt(guess, labels) === labelAt(truth, labels))
      })
    const fixed = score(fixedKernel('systematic', most))
    for (const [c, candidate] of CANDIDATES.entries()) {
      yield
      this.#chosen.delete(most)
      counts.wins[c] *= FADE
      counts.losses[c] *= FADE
      score(candidate).forEach((value, i) => {
        if (value > fixed[i]) counts.wins[c]++
        if (value < fixed[i]) counts.losses[c]++
      })
    }
  }

  save(): KernelState {
    return structuredClone(this.#counts)
  }

  /** @throws RangeError for what `save` never gave; then all is as it was */
  load(state: unknown): void {
    const all = Object.entries(saved.object('kernels', state)).map(([most, counts]) => {
      const size = saved.integer('kernels: queries in a parity', Number(most), 1, MOST_QUERIES)
      return [size, savedCounts(`kernels[${size}]`, counts)]
    })
    this.#counts = Object.fromEntries(all)
    this.#chosen.clear()
  }
}

function savedCounts(field: string, value: unknown): WinCounts {
  const { groups, wins, losses } = saved.object(field, value, ['groups', 'wins', 'losses'])
  const { length } = CANDIDATES
  return {
    groups: saved.integer(`${field}.groups`, groups, 0, saved.MOST_COUNT),
    wins: saved.numbers(`${field}.wins`, wins, length, 0, MOST_WINS),
    losses: saved.numbers(`${field}.losses`, losses, length, 0, MOST_WINS),
  }
}

/**
 * Answers of ordinary kriging to rows left out one by one: y_i - [Q y]_i / Q_ii with Q = A⁻¹ - A⁻¹ 1 1ᵀ A⁻¹ / 1ᵀ A⁻¹ 1
 * (Dubrule, "Cross validation of kriging in a unique neighborhood", Math. Geology 15, 1983).
 *
 * @param inputs  their Gram matrix, centred
 */
function leaveOneOut(
  core: Core,
  inputs: Float64Array,
  answers: readonly Float32Array[],
  out: readonly number[],
  kernel: KrigingKernel,
): Float64Array[] {
  const n = answers.length
  const a = covariance(inputs, n, n, kernel)
  for (let i = 0; i < n; i++) a[i * n + i] += kernel.noise
  const inverse = core.inverse(a)
  const { sums, total } = rowSums(inverse)
  const q = (i: number, j: number) => inverse[i * n + j] - (sums[i] * sums[j]) / total
  return out.map((i) => {
    const guess = Float64Array.from(answers[i])
    for (let j = 0; j < n; j++) {
      const weight = q(i, j) / q(i, i)
      for (let c = 0; c < guess.length; c++) guess[c] -= weight * answers[j][c]
    }
    return guess
  })
}

/**
 * At most SAMPLE values of each answer, the same of all, evenly spread. Where they have one label, the scores of all labels
 * that occur are among them, so that no answer's label changes. In steps: there may be a million.
 */
function* sampled(answers: readonly Float32Array[], criterion: Criterion) {
  if (criterion.kind === 'outputs') return { values: balanced(sampleOf(answers, criterion.outputs, SAMPLE)) }
  const whole = criterion.kind === 'label' && criterion.positions === 1 ? criterion : undefined
  const count = whole?.classes ?? answers[0].length
  const labels = whole && { ...whole }
  if (count <= SAMPLE) return { values: answers, labels }
  const chosen = new Set(Array.from({ length: SAMPLE }, (_, i) => Math.floor((i * count) / SAMPLE)))
  for (const answer of whole ? answers : []) {
    chosen.add(labelAt(answer, whole as Labels))
    yield
  }
  if (labels) labels.classes = chosen.size
  return { values: answers.map((answer) => Float32Array.from(chosen, (i) => answer[i])), labels }
}
