/** Codes: which rows a group of queries becomes, and how answers to the rows become answers to the queries. */

import { type Core, type CoreOptions, loadCore } from '../core/core'
import { type Criterion, criterionFor } from '../criterion'
import { ApproxiferError, checkInteger, checkNames, checkWord, expected } from '../errors'
import { Scheme, type SchemeOptions, schemeOptions } from '../scheme'
import { type CodeName, codeNames, codes, unitRow } from './codes'
import {
  type Decoded,
  type Decoder,
  type DecoderName,
  decoderNames,
  decoders,
  largestParity,
  type Survivors,
} from './decoders'
import { Kernels } from './kernels'
import { gramOf } from './kriging'
import { type LocatorName, locatorNames, locators, resultsNeeded } from './locators'

export interface CodecOptions extends SchemeOptions {
  /** 'aaai22': the paper's code, decoder and locator, where the options do not name others. */
  preset?: 'aaai22' | undefined
  /** Which rows. Default: 'systematic' where nobody lies, so that answers that come are exact; else 'berrut', the paper's. */
  code?: CodeName | undefined
  /** How missing answers are recovered. Default: 'berrut' for the code of that name, else 'learned-kriging'. */
  decoder?: DecoderName | undefined
  /** Who lies. Default 'residual' where byzantine > 0 ('vote' with the preset), else 'none'. */
  locator?: LocatorName | undefined
}

export const codecOptions = [...schemeOptions, 'preset', 'code', 'decoder', 'locator'] as const

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

/** A row whose answer may be a lie; scores compare within one locator and group only. */
export interface Suspect {
  row: CodedRow
  score: number
}

/** A query's answer, recovered from the answers to other rows. The caller owns `answer`. */
export interface Recovery {
  query: number
  answer: Float32Array
  /** It was recovered from the answers to the group's other rows. */
  source: 'code'
  /** How many queries had no exact answer, this one included. */
  missing: number
  /** How uncertain the answer is, from 0 to about 1, where the decoder knows (kriging). */
  variance?: number | undefined
}

/** Survivor sets whose decode weights are kept; all of them for N = 12, S = 3. */
const CACHE = 512

/** Sets of queries whose loss is rehearsed in a group. */
const REHEARSALS = 8

/** A code with its decoder and locator; makes groups. Holds no queries and no time. */
export class Codec {
  readonly core: Core
  readonly scheme: Scheme
  readonly code: CodeName
  readonly decoder: DecoderName
  readonly locator: LocatorName
  /** Whether liars are located as the paper does it: always as many as there may be. */
  readonly published: boolean
  /** What 'learned-kriging' has learned. */
  readonly kernels = new Kernels()
  readonly #options: CodecOptions
  readonly #schemes = new Map<number, Scheme>()
  readonly #decoded = new Map<string, Decoded>()

  /** @throws RangeError for an option out of range, or a locator that the scheme gives too few results */
  constructor(core: Core, options: CodecOptions) {
    checkNames('', options, codecOptions)
    const { preset, code, decoder: chosen, locator: who, ...scheme } = options
    this.core = core
    this.#options = options
    this.scheme = new Scheme(scheme)
    if (preset !== undefined) checkWord('preset', preset, ['aaai22'])
    this.published = preset !== undefined
    const liars = this.scheme.byzantine > 0
    this.code = checkWord('code', code ?? (preset || liars ? 'berrut' : 'systematic'), codeNames)
    const matching = this.code === 'berrut' ? 'berrut' : 'learned-kriging'
    this.decoder = checkWord('decoder', chosen ?? matching, decoderNames)
    const decoder: Decoder = decoders[this.decoder]
    if (!decoder.codes.includes(this.code)) {
      const others = decoderNames.filter((name) => (decoders[name] as Decoder).codes.includes(this.code))
      throw new RangeError(
        `decoder: expected one for code '${this.code}', ${others.join(' | ')}, got '${this.decoder}'`,
      )
    }
    const fallback = liars ? (preset ? 'vote' : 'residual') : 'none'
    this.locator = checkWord('locator', who ?? fallback, locatorNames)
    if (this.code === 'systematic' && this.locator.startsWith('vote')) {
      throw new RangeError(`locator: expected residual | none for code 'systematic', got '${this.locator}'`)
    }
    const needed = resultsNeeded(this.locator, this.scheme)
    if (this.scheme.quorum < needed) {
      const { quorum } = this.scheme
      throw new RangeError(`locator: '${this.locator}' needs ${needed} results, got a quorum of ${quorum}; set workers`)
    }
  }

  /** Another of the same options, which has learned nothing. */
  another(): Codec {
    return new Codec(this.core, this.#options)
  }

  static async create(options: CodecOptions & { core?: CoreOptions | undefined }): Promise<Codec> {
    checkNames('', options, [...codecOptions, 'core'])
    const { core, ...rest } = options
    return new Codec(await loadCore(core), rest)
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

  /**
   * Decode weights of a survivor set. Cached where they do not depend on the queries; shared: read-only.
   *
   * @param key  says which rows were coded and which of them survived
   */
  decode(survivors: Survivors, key: string): Decoded {
    const decoder: Decoder = decoders[this.decoder]
    if (decoder.data) return decoder.decode(survivors)
    const decoded = this.#decoded.get(key) ?? decoder.decode(survivors)
    this.#decoded.delete(key) // and in again, as the youngest
    const oldest = this.#decoded.keys().next().value
    if (this.#decoded.size >= CACHE && oldest !== undefined) this.#decoded.delete(oldest)
    this.#decoded.set(key, decoded)
    return decoded
  }
}

/** The weights of a row while its group is open. */
const UNKNOWN = new Float64Array()

/** A row while its group is open: its weights are known when the number of queries is. */
type OpenRow = { -readonly [Key in keyof CodedRow]: CodedRow[Key] }

/**
 * One coded group: open while queries join, then closed, then fed with answers. A small state machine
 * without a clock: when to close, to locate and to recover is the caller's affair.
 */
export class Group {
  readonly #codec: Codec
  readonly #queries: Float32Array[] = []
  readonly #answers = new Map<number, Float32Array>()
  /** Rows whose answers were dropped. */
  #dropped: number[] = []
  readonly #rows: OpenRow[] = []
  readonly #repeats: CodedRow[] = []
  /** Queries that the parities are made of: those unanswered when the group closed. */
  #mixed: number[] = []
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
    return [...this.#answers.keys()].filter((i) => !this.#dropped.includes(i)).sort((a, b) => a - b)
  }

  /**
   * Adds a query. The group keeps the row and does not write to it. Values must be finite; that is not checked here.
   *
   * @returns the query's number in the group
   */
  join(query: Float32Array): number {
    if (this.#scheme) throw new TypeError('group: expected an open group, got a closed one')
    if (!(query instanceof Float32Array)) throw new TypeError(expected('query', 'Float32Array', query))
    const most = this.#codec.scheme.queries
    if (this.size === most) throw new RangeError(`group: expected at most ${most} queries, got one more`)
    const length = this.#queries[0]?.length ?? query.length
    if (query.length !== length) throw new RangeError(`query: expected ${length} values, got ${query.length}`)
    const number = this.#queries.push(query) - 1
    if (this.#codec.code === 'systematic') {
      this.#rows.push({ index: number, weights: UNKNOWN, query: number, data: query })
    }
    return number
  }

  /** Rows that can be sent already: with the systematic code the queries that have joined. */
  get ready(): readonly CodedRow[] {
    return this.#scheme ? [] : this.#rows
  }

  /**
   * Encodes.
   *
   * @param mix  the queries that parities are made of, where the others are known well enough without; only with the
   *   systematic code and byzantine 0. Default: all that were not answered by now. Fewer queries in a parity mean that
   *   it says more about each of them
   * @returns the rows that were not `ready` before, for as many different workers; with the systematic code the parities
   */
  close(mix?: readonly number[]): readonly CodedRow[] {
    if (this.#scheme || !this.size) throw new TypeError(`group: expected an open group with queries, got ${this.size}`)
    const K = this.size
    const scheme = this.#codec.schemeFor(K)
    const systematic = this.#codec.code === 'systematic' && !scheme.byzantine
    if (mix && !systematic) throw new RangeError("mix: expected none but with code 'systematic' and byzantine 0")
    mix?.forEach((query, i) => checkInteger(`mix[${i}]`, query, 0, K - 1))
    this.#scheme = scheme
    const before = this.#rows.length
    this.#mixed = mix ? [...new Set(mix)] : systematic ? this.missing() : [...this.#queries.keys()]
    for (const row of this.#rows) row.weights = unitRow(K, row.index)
    if (before && !this.#mixed.length) return []
    const parities = this.#encodeRows().slice(before)
    const mixed = parities.filter((weights) => unit(weights) === undefined)
    const data = mixed.length ? this.#codec.core.combine(flat(mixed), this.#queries) : []
    for (const weights of parities) {
      const query = unit(weights)
      const sent = query === undefined ? data[mixed.indexOf(weights)] : this.#queries[query]
      this.#rows.push({ index: this.#rows.length, weights, query, data: sent })
    }
    return this.#rows.slice(before)
  }

  /** Whether a parity tells of a query. */
  mixes(query: number): boolean {
    return this.#mixed.includes(query)
  }

  /** All N rows of weights; the systematic code's parities only mix the queries that need it. */
  #encodeRows(): readonly Float64Array[] {
    const { queries: K, workers: N } = this.scheme
    const code = codes[this.#codec.code]
    if (this.#mixed.length === K) return code(this.scheme)
    const k = this.#mixed.length
    const parities = code(new Scheme({ queries: k, workers: k + N - K })).slice(k)
    const spread = (weights: Float64Array) => {
      const row = new Float64Array(K)
      this.#mixed.forEach((query, i) => {
        row[query] = weights[i]
      })
      return row
    }
    return [...Array.from({ length: K }, (_, i) => unitRow(K, i)), ...parities.map(spread)]
  }

  /** One more row that asks for a query itself, at any time; repeats are numbered from N on, whether the group is full or not. */
  repeat(query: number): CodedRow {
    checkInteger('query', query, 0, this.size - 1)
    const index = this.#codec.scheme.workers + this.#repeats.length
    const row = { index, weights: unitRow(this.size, query), query, data: this.#queries[query] }
    this.#repeats.push(row)
    return row
  }

  #row(index: number): CodedRow | undefined {
    const { workers } = this.#codec.scheme
    return index < workers ? this.#rows[index] : this.#repeats[index - workers]
  }

  /** Takes the answer to a row, once, and keeps it. Values must be finite; that is not checked here. */
  add(row: CodedRow, answer: Float32Array): void {
    if (this.#row(row.index) !== row) throw new RangeError(`row: expected one of this group, got ${row.index}`)
    const length = this.#answers.values().next().value?.length ?? answer.length
    if (!(answer instanceof Float32Array) || answer.length !== length) {
      throw new TypeError(expected('answer', `a Float32Array of ${length}`, answer))
    }
    if (this.#answers.has(row.index)) throw new RangeError(`row ${row.index}: expected one answer, got a second`)
    this.#answers.set(row.index, answer)
  }

  /** Forgets all answers and verdicts, so that another survivor set can be tried on the same rows. */
  forget(): void {
    this.#answers.clear()
    this.#dropped = []
  }

  /** The model's own answer to a query, if a row that equals it was answered and not dropped. Read-only. */
  exact(query: number): Float32Array | undefined {
    const index = this.#exactRow(query)
    return index === undefined ? undefined : this.#answers.get(index)
  }

  /** The first row that equals a query, was answered and not dropped. */
  #exactRow(query: number): number | undefined {
    let first: number | undefined
    for (const index of this.#answers.keys()) {
      const own = this.#row(index)?.query === query && !this.#dropped.includes(index)
      if (own && (first === undefined || index < first)) first = index
    }
    return first
  }

  /** Queries without an exact answer. */
  missing(): number[] {
    const exact = new Uint8Array(this.size)
    for (const index of this.#answers.keys()) {
      const query = this.#row(index)?.query
      if (query !== undefined && !this.#dropped.includes(index)) exact[query] = 1
    }
    const missing: number[] = []
    for (let query = 0; query < exact.length; query++) if (!exact[query]) missing.push(query)
    return missing
  }

  /** Finds up to `limit` liars among the answers that came, and drops their answers. */
  locate(limit: number = this.scheme.byzantine): Suspect[] {
    const suspects = this.scores(limit).slice(0, limit)
    for (const { row } of suspects) this.drop(row)
    return suspects
  }

  /** A score for every answer that came, up to `limit` that would be dropped first, the strongest in front. */
  scores(limit: number = this.scheme.byzantine): Suspect[] {
    const { core, locator } = this.#codec
    const have = this.#coded()
    const most = Math.min(limit, have.length - 1)
    if (!(most >= 1)) return []
    const answers = have.map((i) => this.#answers.get(i) as Float32Array)
    const evidence = { core, scheme: this.scheme, have, answers, gram: () => this.#gramOf(have) }
    return locators[locator](evidence, most).map(({ position, score }) => ({ row: this.#rows[have[position]], score }))
  }

  /** Takes the answer to a row for a lie. */
  drop(row: CodedRow): void {
    if (!this.#dropped.includes(row.index)) this.#dropped.push(row.index)
  }

  /**
   * Answers for all that is missing, from the answers that came.
   *
   * @throws ApproxiferError QUORUM where fewer came than the code can decode from
   */
  recover(): Recovery[] {
    const missing = this.missing()
    return this.#decode(missing, missing.length)
  }

  /**
   * What other queries' recoveries would have been, had they been lost in the place of `lost`. For a group whose
   * answers have all come in the end: it shows what recovered answers are worth several times over.
   *
   * @param lost       queries that were missing when the group was decoded
   * @param survivors  rows that it was decoded from
   * @returns the recoveries of as many others at a time, decoded when they are asked for
   */
  *rehearse(lost: readonly number[], survivors: readonly number[]): Generator<Recovery[]> {
    const mixed = this.#mixed.length
    const parities = survivors.filter((i) => this.#row(i)?.query === undefined)
    const open = this.missing().length > 0 || lost.some((query) => !this.#mixed.includes(query))
    if (open || this.#codec.code !== 'systematic') return
    if (this.size - lost.length + parities.length < this.scheme.quorum) return
    for (let shift = 1; shift < Math.min(REHEARSALS, mixed); shift++) {
      const others = lost.map((query) => this.#mixed[(this.#mixed.indexOf(query) + shift) % mixed])
      const rest = [...this.#queries.keys()].filter((query) => !others.includes(query))
      const exact = rest.map((query) => this.#exactRow(query) as number)
      yield this.#decode(others, lost.length, [...exact, ...parities])
    }
  }

  /**
   * What the group teaches 'learned-kriging': which kernel would have done best on the answers that came. Bounded work, in
   * steps of less than a millisecond that are done as the iterator is asked for the next.
   *
   * @param criterion  when an answer is right. Default: when the largest of all its values is the model's
   */
  *lessons(criterion?: Criterion): Generator<void> {
    const { core, code, decoder, kernels } = this.#codec
    if (decoder !== 'learned-kriging' || code !== 'systematic') return
    const have = this.#coded()
    const own = [...have.keys()].filter((at) => this.#rows[have[at]].query !== undefined)
    if (own.length === have.length || !own.length) return // without a parity there is nothing to learn
    const most = largestParity(have.map((i) => (this.#row(i) as CodedRow).weights))
    const answers = have.map((i) => this.#answers.get(i) as Float32Array)
    yield* kernels.learn(core, most, this.#gramOf(have), answers, own, criterion ?? criterionFor(answers[0].length))
  }

  /** Every query's answer, in order: exact ones as they came (read-only), the others recovered. Throws as `recover`. */
  answers(): { query: number; answer: Float32Array; exact: boolean }[] {
    const recovered = new Map(this.recover().map((each) => [each.query, each]))
    return this.#queries.map((_, query) => {
      const answer = this.exact(query)
      return answer ? { query, answer, exact: true } : { ...(recovered.get(query) as Recovery), exact: false }
    })
  }

  /** Queries recovered from the rows `have`, where `missing` have no exact answer. */
  #decode(queries: readonly number[], missing: number, have = this.#coded()): Recovery[] {
    const { core } = this.#codec
    const { quorum } = this.scheme
    if (!queries.length) return []
    const came = have.length + this.#dropped.length
    if (came < quorum) throw new ApproxiferError('QUORUM', expected('results', `>= ${quorum}`, came))
    const rows = have.map((i) => (this.#row(i) as CodedRow).weights)
    const all = [...this.#queries.keys()]
    const { data }: Decoder = decoders[this.#codec.decoder]
    const survivors = {
      core,
      code: this.#codec.code,
      scheme: this.scheme,
      have,
      rows,
      wanted: data ? queries : all,
      gram: () => this.#gramOfQueries(),
      kernels: this.#codec.kernels,
    }
    const { weights, variance } = this.#codec.decode(survivors, `${this.size}:${this.#mixed}:${have}`)
    const answers = core.combine(
      flat(data ? weights : queries.map((query) => weights[query])),
      have.map((i) => this.#answers.get(i) as Float32Array),
    )
    return queries.map((query, i) => ({
      query,
      answer: answers[i],
      source: 'code',
      missing,
      ...(variance && { variance: variance[data ? i : query] }),
    }))
  }

  /** Survivors among the coded rows, without repeats: those that have a node. */
  #coded(): number[] {
    return this.survivors.filter((i) => i < this.scheme.workers)
  }

  #gramOfQueries(): Float64Array {
    this.#gram ??= this.#codec.core.gram(this.#queries)
    return this.#gram
  }

  /** U G Uᵀ for the rows `have`: the coded queries' Gram matrix from that of the queries. */
  #gramOf(have: readonly number[]): Float64Array {
    return gramOf(
      have.map((i) => (this.#row(i) as CodedRow).weights),
      this.#gramOfQueries(),
    )
  }
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
