/** Codes: which rows a group of queries becomes, and how answers to the rows become answers to the queries. */

import { type Core, type CoreOptions, loadCore } from '../core/core'
import { ApproxiferError, checkWord, expected } from '../errors'
import { Scheme, type SchemeOptions } from '../scheme'
import { type DecoderName, decoderNames, decoders } from './decoders'
import { type LocatorName, locatorNames, locators, resultsNeeded } from './locators'

export type CodeName = 'berrut'

export const codeNames: readonly CodeName[] = ['berrut']

export interface CodecOptions extends SchemeOptions {
  /** Which rows. Default 'berrut', the paper's. */
  code?: CodeName
  /** How missing answers are recovered. Default 'berrut'. */
  decoder?: DecoderName
  /** Who lies. Default 'residual' where byzantine > 0, else 'none'. */
  locator?: LocatorName
}

/** One coded query: a weighted sum of the group's queries, or one of them as it is. */
export interface CodedRow {
  /** 0 .. N-1 as encoded; repeats count on from N. */
  readonly index: number
  /** Its weights over the group's queries. */
  readonly weights: Float64Array
  /** The query that it equals, if it equals one: its answer is then exact. */
  readonly query?: number
  /** What a worker is asked. Owned by the group: read, do not write or transfer. */
  readonly data: Float32Array
}

/** A row whose answer was dropped as a lie. */
export interface Suspect {
  row: CodedRow
  score: number
}

/** A query's answer, recovered from the answers to other rows. The caller owns `answer`. */
export interface Recovery {
  query: number
  answer: Float32Array
}

/** Survivor sets whose decode weights are kept; all of them for N = 12, S = 3. */
const CACHE = 512

/** A code with its decoder and locator; makes groups. Holds no queries and no time. */
export class Codec {
  readonly core: Core
  readonly scheme: Scheme
  readonly code: CodeName
  readonly decoder: DecoderName
  readonly locator: LocatorName
  readonly #schemes = new Map<number, Scheme>()
  readonly #weights = new Map<string, Float32Array>()

  /** @throws RangeError for an option out of range, or a locator that the scheme gives too few results */
  constructor(core: Core, options: CodecOptions) {
    this.core = core
    this.scheme = new Scheme(options)
    this.code = checkWord('code', options.code ?? 'berrut', codeNames)
    this.decoder = checkWord('decoder', options.decoder ?? 'berrut', decoderNames)
    const fallback = this.scheme.byzantine ? 'residual' : 'none'
    this.locator = checkWord('locator', options.locator ?? fallback, locatorNames)
    const needed = resultsNeeded(this.locator, this.scheme)
    if (this.scheme.quorum < needed) {
      const { quorum } = this.scheme
      throw new RangeError(`locator: '${this.locator}' needs ${needed} results, got a quorum of ${quorum}; set workers`)
    }
  }

  static async create(options: CodecOptions & { core?: CoreOptions }): Promise<Codec> {
    return new Codec(await loadCore(options.core), options)
  }

  /** A new, empty group. */
  open(): Group {
    return new Group(this)
  }

  /** The scheme of a group that closed with this many queries. */
  schemeFor(queries: number): Scheme {
    if (queries === this.scheme.queries) return this.scheme
    const scheme = this.#schemes.get(queries) ?? this.scheme.shorter(queries)
    this.#schemes.set(queries, scheme)
    return scheme
  }

  /** Decode weights of a survivor set (K x |have|, row-major), rounded once to f32. Shared: read-only. */
  decodeWeights(scheme: Scheme, have: readonly number[]): Float32Array {
    const key = `${scheme.queries}:${have}`
    let weights = this.#weights.get(key)
    if (!weights) {
      weights = flat(decoders[this.decoder](scheme, have))
      const oldest = this.#weights.keys().next().value
      if (this.#weights.size >= CACHE && oldest !== undefined) this.#weights.delete(oldest)
    } else this.#weights.delete(key) // and in again, as the youngest
    this.#weights.set(key, weights)
    return weights
  }
}

/**
 * One coded group: open while queries join, then closed, then fed with answers. A small state machine
 * without a clock: when to close, to locate and to recover is the caller's affair.
 */
export class Group {
  readonly #codec: Codec
  readonly #queries: Float32Array[] = []
  readonly #answers = new Map<number, Float32Array>()
  readonly #dropped = new Set<number>()
  #rows: CodedRow[] = []
  #scheme: Scheme | undefined
  #gram: Float64Array | undefined

  constructor(codec: Codec) {
    this.#codec = codec
  }

  /** Queries that joined. */
  get size(): number {
    return this.#queries.length
  }

  /** The scheme of the closed group, for as many queries as joined. */
  get scheme(): Scheme {
    if (!this.#scheme) throw new TypeError('group: expected a closed group, got an open one')
    return this.#scheme
  }

  /** Answers that came and were not dropped. */
  get survivors(): number[] {
    return this.#rows.map((row) => row.index).filter((i) => this.#answers.has(i) && !this.#dropped.has(i))
  }

  /**
   * Adds a query. The group keeps the row and does not write to it.
   *
   * @returns the query's number in the group
   */
  join(query: Float32Array): number {
    if (this.#scheme) throw new TypeError('group: expected an open group, got a closed one')
    const most = this.#codec.scheme.queries
    if (this.size === most) throw new RangeError(`group: expected at most ${most} queries, got one more`)
    const length = this.#queries[0]?.length ?? query.length
    if (query.length !== length) throw new RangeError(`query: expected ${length} values, got ${query.length}`)
    return this.#queries.push(query) - 1
  }

  /** Encodes. The rows are for N different workers, in any order. */
  close(): readonly CodedRow[] {
    if (this.#scheme || !this.size) throw new TypeError(`group: expected an open group with queries, got ${this.size}`)
    this.#scheme = this.#codec.schemeFor(this.size)
    const { encode } = this.#scheme
    const data = this.#codec.core.combine(flat(encode), this.#queries)
    this.#rows = encode.map((weights, index) => ({ index, weights, query: unit(weights), data: data[index] }))
    return this.#rows.slice()
  }

  /** One more row that asks for a query itself. */
  repeat(query: number): CodedRow {
    const weights = Float64Array.from(this.#queries, (_, j) => (j === query ? 1 : 0))
    const row = { index: Math.max(this.#rows.length, this.scheme.workers), weights, query, data: this.#queries[query] }
    this.#rows.push(row)
    return row
  }

  /** Takes the answer to a row, once. Malformed answers must not get here. The group keeps it. */
  add(row: CodedRow, answer: Float32Array): void {
    if (this.#rows[row.index] !== row) throw new RangeError(`row: expected one of this group, got ${row.index}`)
    if (this.#answers.has(row.index)) throw new RangeError(`row ${row.index}: expected one answer, got a second`)
    this.#answers.set(row.index, answer)
  }

  /** Forgets all answers and verdicts, so that another survivor set can be tried on the same rows. */
  forget(): void {
    this.#answers.clear()
    this.#dropped.clear()
  }

  /** The model's own answer to a query, if a row that equals it was answered and not dropped. Read-only. */
  exact(query: number): Float32Array | undefined {
    const index = this.survivors.find((i) => this.#rows[i].query === query)
    return index === undefined ? undefined : this.#answers.get(index)
  }

  /** Queries without an exact answer. */
  missing(): number[] {
    return [...this.#queries.keys()].filter((query) => !this.exact(query))
  }

  /** Finds up to `limit` liars among the answers that came, and drops their answers. */
  locate(limit: number = this.scheme.byzantine): Suspect[] {
    const { core, locator } = this.#codec
    const have = this.#coded()
    if (limit < 1 || have.length < 2) return []
    const answers = have.map((i) => this.#answers.get(i) as Float32Array)
    const evidence = { core, scheme: this.scheme, have, answers, gram: () => this.#gramOf(have) }
    return locators[locator](evidence, limit).map(({ position, score }) => {
      const row = this.#rows[have[position]]
      this.#dropped.add(row.index)
      return { row, score }
    })
  }

  /**
   * Answers for all that is missing, from the answers that came.
   *
   * @throws ApproxiferError QUORUM where fewer came than the code can decode from
   */
  recover(): Recovery[] {
    const { core } = this.#codec
    const { quorum } = this.scheme
    const missing = this.missing()
    if (!missing.length) return []
    const have = this.#coded()
    const came = have.length + this.#dropped.size
    if (came < quorum) throw new ApproxiferError('QUORUM', expected('results', `>= ${quorum}`, came))
    const all = this.#codec.decodeWeights(this.scheme, have)
    const weights = new Float32Array(missing.length * have.length)
    missing.forEach((j, i) => {
      weights.set(all.subarray(j * have.length, (j + 1) * have.length), i * have.length)
    })
    const answers = core.combine(
      weights,
      have.map((i) => this.#answers.get(i) as Float32Array),
    )
    return missing.map((query, i) => ({ query, answer: answers[i] }))
  }

  /** Survivors among the coded rows, without repeats: those that have a node. */
  #coded(): number[] {
    return this.survivors.filter((i) => i < this.scheme.workers)
  }

  /** U G Uᵀ for the rows `have`: the coded queries' Gram matrix from that of the queries. */
  #gramOf(have: readonly number[]): Float64Array {
    this.#gram ??= this.#codec.core.gram(this.#queries)
    const gram = this.#gram
    const k = this.size
    const rows = have.map((i) => this.#rows[i].weights)
    const half = rows.map((u) => Float64Array.from({ length: k }, (_, j) => dot(u, gram.subarray(j * k, (j + 1) * k))))
    return Float64Array.from(rows.flatMap((u) => half.map((v) => dot(u, v))))
  }
}

function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0
  for (let i = 0; i < a.length; i++) sum += a[i] * b[i]
  return sum
}

function flat(rows: readonly Float64Array[]): Float32Array {
  const out = new Float32Array(rows.length * rows[0].length)
  rows.forEach((row, i) => {
    out.set(row, i * row.length)
  })
  return out
}

function unit(weights: Float64Array): number | undefined {
  const at = weights.indexOf(1)
  return at >= 0 && weights.every((w, j) => j === at || w === 0) ? at : undefined
}
