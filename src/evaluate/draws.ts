/** Random draws of an evaluation: which inputs form a group, which answers are lost, and which are lies. */

import { type Random, seeded } from '../base/random'
import type { Scheme } from '../base/scheme'
import { parseAttack } from '../testing/faults'
import type { EvaluateSettings, Experiment } from './experiment'

/** Rows of a group: those without an answer, those with one, and the lies among these. */
export interface Losses {
  gone: number[]
  have: number[]
  liars: number[]
}

/**
 * All draws for the groups of an evaluation; the same seed gives the same draws.
 *
 * @param from     indices of the inputs that groups are drawn from
 * @param drawing  the generator that shuffled `from`
 */
export function drawsOf(experiment: Experiment, from: readonly number[], drawing: Random, settings: EvaluateSettings) {
  const { seed, attack, grouping, sets } = settings
  const { codec, inputs } = experiment
  const { workers, stragglers, queries } = codec.scheme
  const [losing, lying] = [seeded(seed + 0x51ed270b), seeded(seed + 0x2c1b3c6d)]
  const lie = parseAttack(attack)
  const drawn: number[] = []
  return {
    /** The inputs of the next group. */
    group(): number[] {
      if (!drawn.length) {
        const chosen = drawing.choose(from.length, (grouping?.groups ?? 1) * queries).map((i) => from[i])
        const order = grouping?.order(chosen.map((input) => inputs.at(input) as Float32Array))
        drawn.push(...(order?.map((i) => chosen[i]) ?? chosen))
      }
      return drawn.splice(0, queries)
    },
    /** Survivor sets that are tried in every group. */
    sets: survivorSets(workers, stragglers, sets, losing),
    /** @param rows  number of rows that were sent */
    losses: (rows: number) => lossesOf({ ...codec.scheme, workers: rows }, losing),
    /** One query of a group. */
    lost: () => losing.below(queries),
    /** The answers to all rows, with lies in place of the liars' answers. */
    withLies(honest: readonly Float32Array[], liars: readonly number[]): readonly Float32Array[] {
      if (!liars.length) return honest
      const lies = lie(
        liars.map((row) => honest[row]),
        lying,
      )
      return honest.map((answer, row) => lies[liars.indexOf(row)] ?? answer)
    },
  }
}
export type Draws = ReturnType<typeof drawsOf>

/** All sets of N - S survivors if there are at most `most`, else `most` random ones. */
function survivorSets(N: number, S: number, most: number, random: Random): number[][] {
  if (!most) return []
  const all = combinations(N, S, most + 1)
  const missing = all.length > most ? Array.from({ length: most }, () => random.choose(N, S)) : all
  return missing.map((gone) => without(gone, N))
}

type Lossy = Pick<Scheme, 'workers' | 'stragglers' | 'byzantine'>

function lossesOf({ workers, stragglers, byzantine }: Lossy, random: Random): Losses {
  const gone = random.choose(workers, Math.min(stragglers, workers))
  const have = without(gone, workers)
  return { gone, have, liars: random.choose(have.length, byzantine).map((at) => have[at]) }
}

/** The numbers 0 .. n-1 without those in `gone`. */
function without(gone: readonly number[], n: number): number[] {
  return Array.from({ length: n }, (_, i) => i).filter((i) => !gone.includes(i))
}

/** Subsets of `size` out of 0 .. n-1, at most `most` of them. */
function combinations(n: number, size: number, most: number): number[][] {
  if (size === 0) return [[]]
  const found: number[][] = []
  for (let last = size - 1; last < n && found.length < most; last++) {
    for (const rest of combinations(last, size - 1, most)) found.push([...rest, last])
  }
  return found.slice(0, most)
}
