/**
 * Recovers queries from the answers to other rows. In a large group only near rows are used (a moving neighbourhood, in geostatistics):
 * kriging solves for all rows at once in cubic time, half a second for a thousand rows. Far rows hardly matter: from the nearest 64 of 80
 * to 250 rows at least as many labels were right, and errors were smaller (docs/appendix/research.md).
 */

import { expected } from '../base/check'
import { ApproxiferError } from '../base/errors'
import type { Core } from '../core/core'
import type { Codec } from './codec'
import { unitRow } from './codes'
import { type Decoder, decoders, type Survivors } from './decoders'

/** A coded query: a weighted sum of the group's queries, or one of them unchanged. */
export interface CodedRow {
  /** 0 .. N-1. */
  readonly index: number
  /** Its weights over the group's queries. Shared: read-only. */
  readonly weights: Float64Array
  /** The number of the query that it equals, if any: its answer is then exact. */
  readonly query?: number
  /** The values to send to a worker. Owned by the group: do not write or transfer them. */
  readonly data: Float32Array
}

/** A row with the group's own state. */
export interface OwnRow extends CodedRow {
  /** Set once the number of queries is known. */
  weights: Float64Array
  answer: Float32Array | undefined
  /** Whether its answer was taken for a lie. */
  dropped: boolean
}

export const answerOf = ({ answer }: OwnRow) => answer as Float32Array

/** A query's answer, recovered from the answers to other rows. The caller owns `answer`. */
export interface Recovery {
  query: number
  answer: Float32Array
  /** Recovered from the answers to the group's other rows. */
  source: 'code'
  /** Number of queries without an exact answer, this one included. */
  missing: number
  /** Uncertainty of the answer, from 0 to about 1, if the decoder knows it (kriging). */
  variance?: number | undefined
}

/** Most rows that some queries are recovered from. */
const NEIGHBOURS = 64
/** Queries that share a neighbourhood. */
const TOGETHER = 16
/** Most multiplications of the search: with many rows only some values are compared, evenly spread. */
const PRODUCTS = 2 ** 17

interface Closed extends Pick<Survivors, 'scheme' | 'gram'> {
  codec: Codec
  rows: readonly OwnRow[]
  queries: readonly Float32Array[]
  /** The queries that parities mix. */
  mixed: readonly number[]
}

/**
 * Recovers queries from the answers to the rows `have`.
 *
 * @param missing  number of queries without an exact answer
 * @throws ApproxiferError QUORUM if fewer answers came than the code needs
 */
export function decode(
  group: Closed,
  queries: readonly number[],
  missing: number,
  have: readonly number[],
): Recovery[] {
  const { codec, scheme, rows, mixed, gram } = group
  if (!queries.length) return []
  const came = have.length + rows.filter(({ dropped }) => dropped).length
  if (came < scheme.quorum) throw new ApproxiferError('QUORUM', expected('results', `>= ${scheme.quorum}`, came))
  const { data }: Decoder = decoders[codec.decoder]
  const own = have.map((index) => rows[index])
  if (data && have.length > NEIGHBOURS) return decodeNearby(group, queries, missing, own)
  const wanted = data ? queries : group.queries.map((_, query) => query)
  const { core, code } = codec
  const weightsOf = own.map(({ weights }) => weights)
  // Named one by one: a spread takes as long as the rest of this function.
  const survivors = { core, code, scheme, most: largestParity(own), gram, have, rows: weightsOf, wanted }
  const decoded = codec.decode(survivors, data ? '' : `${group.queries.length}:${mixed}:${have}`)
  const weights = data ? decoded.weights : queries.map((query) => decoded.weights[query])
  const answers = codec.core.combine(flat(weights), own.map(answerOf))
  return queries.map((query, i) => recovery(query, answers[i], missing, decoded.variance?.[data ? i : query]))
}

/** Decodes from many rows: a few queries at a time, each time from the nearest rows. */
function decodeNearby(group: Closed, queries: readonly number[], missing: number, rows: readonly OwnRow[]): Recovery[] {
  const { codec } = group
  const recovered: Recovery[] = []
  for (let from = 0; from < queries.length; from += TOGETHER) {
    const some = queries.slice(from, from + TOGETHER)
    const { near, ...told } = neighbourhood(
      codec.core,
      rows,
      some,
      some.map((query) => group.queries[query]),
    )
    const own = near.map((at) => rows[at])
    const have = own.map(({ index }) => index)
    const { core, code } = codec
    const survivors = { core, code, scheme: group.scheme, most: largestParity(rows), ...told, have }
    const { weights, variance } = codec.decode(survivors, '')
    const answers = codec.core.combine(flat(weights), own.map(answerOf))
    recovered.push(...some.map((query, i) => recovery(query, answers[i], missing, variance?.[i])))
  }
  return recovered
}

/** Number of queries in the row that mixes most. */
function largestParity(rows: readonly CodedRow[]): number {
  let most = 1
  for (const { query, weights } of rows) if (query === undefined) most = Math.max(most, mixedBy(weights))
  return most
}

function mixedBy(weights: Float64Array): number {
  let count = 0
  for (let i = 0; i < weights.length; i++) if (weights[i]) count++
  return count
}

function recovery(query: number, answer: Float32Array, missing: number, variance: number | undefined): Recovery {
  const known: Recovery = { query, answer, source: 'code', missing }
  if (variance !== undefined) known.variance = variance
  return known
}

/** Concatenates rows of weights. */
export function flat(rows: readonly Float64Array[]): Float32Array {
  const out = new Float32Array(rows.length * rows[0].length)
  rows.forEach((row, i) => {
    out.set(row, i * row.length)
  })
  return out
}

/**
 * Rows that mix the queries, and the nearest other rows.
 *
 * @param queries  numbers in the group, at most TOGETHER
 * @param data     their values
 * @returns positions of these rows, and the decoder's inputs for a group made of these rows and the queries
 */
function neighbourhood(
  core: Core,
  rows: readonly CodedRow[],
  queries: readonly number[],
  data: readonly Float32Array[],
) {
  const near = nearest(rows, queries, data)
  const points = [...near.map((at) => rows[at].data), ...data]
  const units = near.map((_, i) => unitRow(points.length, i))
  return { near, rows: units, wanted: queries.map((_, i) => near.length + i), gram: () => core.gram(points) }
}

/** Positions of rows, ascending; each query gets equally many. */
function nearest(rows: readonly CodedRow[], queries: readonly number[], data: readonly Float32Array[]): number[] {
  const mixing = rows.flatMap(({ weights }, at) => (queries.some((query) => weights[query]) ? at : []))
  const chosen = new Set(mixing.length > NEIGHBOURS / 2 ? [] : mixing) // with the paper's code every row mixes all queries
  const ranked = data.map((query) => closest(rows, query, data.length))
  for (let rank = 0; rank < NEIGHBOURS; rank++) {
    for (const order of ranked) {
      if (chosen.size < NEIGHBOURS) chosen.add(order[rank])
    }
  }
  return [...chosen].sort((a, b) => a - b)
}

/** The NEIGHBOURS closest rows, closest first. @param among  number of queries that share the limit of multiplications */
function closest(rows: readonly CodedRow[], query: Float32Array, among: number): number[] {
  const step = Math.ceil((query.length * rows.length * among) / PRODUCTS)
  const distances = Float64Array.from(rows, ({ data }) => {
    let sum = 0
    for (let i = 0; i < query.length; i += step) sum += (data[i] - query[i]) ** 2
    return sum
  })
  const farthest = distances.slice().sort()[NEIGHBOURS - 1]
  const close = [...distances.keys()].filter((at) => distances[at] <= farthest)
  return close.sort((a, b) => distances[a] - distances[b])
}
