/** What is drawn at random: which inputs form a group, who survives, and who lies. */

import { type Random, seeded } from '../random'
import type { Scheme } from '../scheme'
import { type Attack, parseAttack } from '../testing/faults'
import type { Experiment } from './experiment'
import { Likeness } from './likeness'
import type { EvaluateSettings } from './options'

/** A group's rows whose answers are missing, those whose answers came, and those of these that lie. */
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
  const { scheme } = experiment.codec
  const { workers, stragglers, queries } = scheme
  const [losing, lying] = [seeded(seed + 0x51ed270b), seeded(seed + 0x2c1b3c6d)]
  const lie = parseAttack(attack)
  return {
    /** Which inputs form the next group. */
    group: groupsOf(experiment, grouping, from, drawing),
    /** Survivors that are tried in every group. */
    sets: survivorSets(workers, stragglers, sets, losing),
    losses: () => lossesOf(scheme, losing),
    /** One query of a group. */
    lost: () => losing.below(queries),
    withLies: (honest: readonly Float32Array[], liars: readonly number[]) => withLies(honest, liars, lie, lying),
  }
}
export type Draws = ReturnType<typeof drawsOf>

/** Each call draws another group of K. @param grouping  'random', or 'likeness:P': pools of P groups, ordered by likeness and cut */
function groupsOf(
  { codec, inputs }: Experiment,
  grouping: string,
  from: readonly number[],
  random: Random,
): () => number[] {
  const { core, scheme } = codec
  const K = scheme.queries
  const pool = grouping === 'random' ? 1 : Number(/^likeness:([1-9]\d*)$/.exec(grouping)?.[1])
  if (!pool || pool * K > from.length) {
    const most = Math.floor(from.length / K)
    throw new RangeError(`grouping: expected random or likeness:P with P up to ${most}, got ${grouping}`)
  }
  const row = (input: number) => inputs.at(input) as Float32Array
  const likeness = pool === 1 ? undefined : new Likeness(core, row(from[0]).length, pool * K)
  const drawn: number[][] = []
  return () => {
    if (!drawn.length) {
      const chosen = random.choose(from.length, pool * K).map((i) => from[i])
      const path = likeness?.order(chosen.map(row)).map((i) => chosen[i]) ?? chosen
      for (let at = 0; at < path.length; at += K) drawn.push(path.slice(at, at + K))
    }
    return drawn.shift() as number[]
  }
}

/** All sets of N - S survivors if there are at most `most`, else `most` at random. */
function survivorSets(N: number, S: number, most: number, random: Random): number[][] {
  if (!most) return []
  const all = combinations(N, S, most + 1)
  const missing = all.length > most ? Array.from({ length: most }, () => random.choose(N, S)) : all
  return missing.map((gone) => without(gone, N))
}

export function lossesOf({ workers, stragglers, byzantine }: Scheme, random: Random): Losses {
  const gone = random.choose(workers, stragglers)
  const have = without(gone, workers)
  return { gone, have, liars: random.choose(have.length, byzantine).map((at) => have[at]) }
}

/** The answers to all rows, those of the liars by lies. */
export function withLies(
  honest: readonly Float32Array[],
  liars: readonly number[],
  attack: Attack,
  random: Random,
): readonly Float32Array[] {
  if (!liars.length) return honest
  const lies = attack(
    liars.map((row) => honest[row]),
    random,
  )
  return honest.map((answer, row) => (liars.includes(row) ? lies[liars.indexOf(row)] : answer))
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
