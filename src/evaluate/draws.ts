/** What is drawn at random: which inputs form a group, who survives, and who lies. */

import { type Random, seeded } from '../base/random'
import type { Scheme } from '../base/scheme'
import { parseAttack } from '../testing/faults'
import type { EvaluateSettings, Experiment } from './experiment'

/** A group's rows: those whose answers are missing, those whose answers came, and the lies among the answers. */
export interface Losses {
  gone: number[]
  have: number[]
  liars: number[]
}

/**
 * All that is drawn for the groups of an evaluation: the same seed draws the same.
 *
 * @param from     indices of the inputs that groups are drawn from
 * @param drawing  that these were drawn by
 */
export function drawsOf(experiment: Experiment, from: readonly number[], drawing: Random, settings: EvaluateSettings) {
  const { seed, attack, grouping, sets } = settings
  const { codec, inputs } = experiment
  const { workers, stragglers, queries } = codec.scheme
  const [losing, lying] = [seeded(seed + 0x51ed270b), seeded(seed + 0x2c1b3c6d)]
  const lie = parseAttack(attack)
  const drawn: number[] = []
  return {
    /** Which inputs form the next group. */
    group(): number[] {
      if (!drawn.length) {
        const chosen = drawing.choose(from.length, (grouping?.groups ?? 1) * queries).map((i) => from[i])
        const order = grouping?.order(chosen.map((input) => inputs.at(input) as Float32Array))
        drawn.push(...(order?.map((i) => chosen[i]) ?? chosen))
      }
      return drawn.splice(0, queries)
    },
    /** Survivors that are tried in every group. */
    sets: survivorSets(workers, stragglers, sets, losing),
    /** @param rows  that were sent */
    losses: (rows: number) => lossesOf({ ...codec.scheme, workers: rows }, losing),
    /** One query of a group. */
    lost: () => losing.below(queries),
    /** The answers to all rows, those of the liars by lies. */
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

/** All sets of N - S survivors if there are at most `most`, else `most` at random. */
function survivorSets(N: number, S: number, most: number, random: Random): number[][] {
  if (!most) return []
  const all = combinations(N, S, most + 1)
  const missing = all.length > most ? Array.from({ length: most }, () => random.choose(N, S)) : all
  return missing.map((gone) => without(gone, N))
}

type Lossy = Pick<Scheme, 'workers' | 'stragglers' | 'byzantine'>

export function lossesOf({ workers, stragglers, byzantine }: Lossy, random: Random): Losses {
  const gone = random.choose(workers, Math.min(stragglers, workers))
  const have = without(gone, workers)
  return { gone, have, liars: random.choose(have.length, byzantine).map((at) => have[at]) }
}

/** The numbers 0 .. n-1 that are not among the `gone`. */
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
