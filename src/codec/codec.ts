/** Codes: which rows a group of queries becomes, and how answers to the rows become answers to the queries. */

import { append } from '../arrays'
import { checkInteger, checkNames, checkWord, expected } from '../check'
import { type Core, type CoreOptions, loadCore } from '../core/core'
import { type Criterion, criterionFor } from '../criterion'
import { ApproxiferError } from '../errors'
import { Scheme, type SchemeOptions, schemeOptions } from '../scheme'
import { type CodeName, codeNames, codes, parities, unitRow } from './codes'
import { type Decoded, type Decoder, type DecoderName, decoderNames, decoders, type Survivors } from './decoders'
import { Kernels, MOST_ROWS } from './kernels'
import { gramOf } from './kriging'
import { type LocatorName, locatorNames, locators, resultsNeeded } from './locators'
import { NEIGHBOURS, neighbourhood, TOGETHER } from './nearby'

export interface CodecOptions extends SchemeOptions {
  /** 'aaai22': the paper's code, decoder and locator, where the options do not name others. */
  preset?: 'aaai22' | undefined
  /**
   * Which rows. Default of `createPredictor`: 'systematic', also where workers may lie, unless a preset is named. Default of a `Codec` alone: 'systematic', but
   * 'berrut', the paper's, with byzantine > 0, since without workers that can be asked again a liar can only be located.
   */
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
  /** Its weights over the group's queries. Shared: read-only. */
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

/** Sizes of groups whose weights are kept. */
const SIZES = 64

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
  readonly #weights = new Map<number, readonly Float64Array[]>()
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
    this.weightsFor(this.scheme.queries) // now, rather than while the first group waits
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

  /** The weights of all rows of a group that closed with this many queries. Shared: read-only. */
  weightsFor(queries: number): readonly Float64Array[] {
    const weights = this.#weights.get(queries) ?? codes[this.code](this.schemeFor(queries))
    if (this.#weights.size >= SIZES) this.#weights.clear()
    this.#weights.set(queries, weights)
    return weights
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

/** What no parity is made of, and no query was asked for again. */
const NONE: never[] = Object.freeze([]) as never[]

/** A row, and what its group knows of it. */
interface OwnRow extends CodedRow {
  /** Known when the number of queries is. */
  weights: Float64Array
  answer: Float32Array | undefined
  /** Its answer was taken for a lie. */
  dropped: boolean
}

/**
 * One coded group: open while queries join, then closed, then fed with answers. A small state machine
 * without a clock: when to close, to locate and to recover is the caller's affair.
 */
export class Group {
  readonly #codec: Codec
  #size = 0
  /** The queries; none with the systematic code, of which they are the first rows. */
  #apart: Float32Array[] | undefined
  /** Of the code, in their order; and those that ask for a query again. */
  #rows: OwnRow[] = NONE
  #repeats: OwnRow[] | undefined
  /** Queries that the parities are made of: those unanswered when the group closed. */
  #mixed: readonly number[] = NONE
  /** Of an answer. */
  #length: number | undefined
  #scheme: Scheme | undefined
  #gram: Float64Array | undefined

  constructor(codec: Codec) {
    this.#codec = codec
  }

  /** Queries that joined. */
  get size(): number {
    return this.#size
  }

  /** The scheme of the closed group, for as many queries as joined. */
  get scheme(): Scheme {
    if (!this.#scheme) throw new TypeError('group: expected a closed group, got an open one')
    return this.#scheme
  }

  /** Answers that came and were not dropped. */
  get survivors(): number[] {
    const survivors: number[] = []
    for (const rows of [this.#rows, this.#repeats ?? NONE]) {
      for (const row of rows) if (counts(row)) survivors.push(row.index)
    }
    return survivors
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
    const length = this.#size ? this.#query(0).length : query.length
    if (query.length !== length) throw new RangeError(`query: expected ${length} values, got ${query.length}`)
    const number = this.#size++
    if (this.#codec.code === 'systematic') this.#rows = append(this.#rows, newRow(number, UNKNOWN, number, query))
    else {
      this.#apart ??= []
      this.#apart.push(query)
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
    if (mix) this.#mixed = mix.length ? [...new Set(mix)] : NONE
    else this.#mixed = systematic ? this.missing() : this.#numbers()
    const all = this.#codec.weightsFor(K)
    for (const row of this.#rows) row.weights = all[row.index]
    if (before && !this.#mixed.length) return []
    const others = this.#encodeRows().slice(before)
    const mixed = others.filter((weights) => unit(weights) === undefined)
    const data = this.#combined(mixed)
    for (const weights of others) {
      const query = unit(weights)
      const sent = query === undefined ? data[mixed.indexOf(weights)] : this.#query(query)
      this.#rows = append(this.#rows, newRow(this.#rows.length, weights, query, sent))
    }
    return this.#rows.slice(before)
  }

  /** Weighted sums of the queries; of the systematic code's parities each from those that it mixes, which are few of many. */
  #combined(rows: readonly Float64Array[]): Float32Array[] {
    const { core, code } = this.#codec
    if (!rows.length) return []
    if (code !== 'systematic') return core.combine(flat(rows), this.#queries())
    return rows.flatMap((weights) => {
      const some = this.#numbers().filter((query) => weights[query])
      const own = Float32Array.from(some, (query) => weights[query])
      return core.combine(own, some.map((query) => this.#query(query))) // biome-ignore format: one line
    })
  }

  /** Whether a parity tells of a query. */
  mixes(query: number): boolean {
    return this.#mixed.includes(query)
  }

  /** All N rows of weights; the systematic code's parities only mix the queries that need it. */
  #encodeRows(): readonly Float64Array[] {
    const { queries: K, workers: N } = this.scheme
    const all = this.#codec.weightsFor(K)
    if (this.#mixed.length === K) return all
    const spread = (weights: Float64Array) => {
      const row = new Float64Array(K)
      this.#mixed.forEach((query, i) => {
        row[query] = weights[i]
      })
      return row
    }
    return [...all.slice(0, K), ...parities(this.#mixed.length, N - K).map(spread)]
  }

  /** One more row that asks for a query itself, at any time; repeats are numbered from N on, whether the group is full or not. */
  repeat(query: number): CodedRow {
    checkInteger('query', query, 0, this.size - 1)
    this.#repeats ??= []
    const index = this.#codec.scheme.workers + this.#repeats.length
    const row = newRow(index, unitRow(this.size, query), query, this.#query(query))
    this.#repeats.push(row)
    return row
  }

  #query(number: number): Float32Array {
    return this.#apart?.[number] ?? this.#rows[number].data
  }

  #queries(): Float32Array[] {
    return this.#numbers().map((number) => this.#query(number))
  }

  #numbers(): number[] {
    return Array.from({ length: this.#size }, (_, number) => number)
  }

  #row(index: number): OwnRow | undefined {
    const { workers } = this.#codec.scheme
    return index < workers ? this.#rows[index] : this.#repeats?.[index - workers]
  }

  /** Takes the answer to a row, once, and keeps it. Values must be finite; that is not checked here. */
  add(row: CodedRow, answer: Float32Array): void {
    const own = this.#row(row.index)
    if (own !== row) throw new RangeError(`row: expected one of this group, got ${row.index}`)
    const length = this.#length ?? answer.length
    if (!(answer instanceof Float32Array) || answer.length !== length) {
      throw new TypeError(expected('answer', `a Float32Array of ${length}`, answer))
    }
    if (own.answer) throw new RangeError(`row ${row.index}: expected one answer, got a second`)
    own.answer = answer
    this.#length = length
  }

  /** Forgets all answers and verdicts, so that another survivor set can be tried on the same rows. */
  forget(): void {
    this.#length = undefined
    for (const row of [...this.#rows, ...(this.#repeats ?? NONE)]) {
      row.answer = undefined
      row.dropped = false
    }
  }

  /** The model's own answer to a query, if a row that equals it was answered and not dropped. Read-only. */
  exact(query: number): Float32Array | undefined {
    return this.#exactRow(query)?.answer
  }

  /** The first row that equals a query, was answered and not dropped. */
  #exactRow(query: number): OwnRow | undefined {
    const own = this.#rows[query]
    if (own?.query === query && counts(own)) return own // the systematic code's first
    for (const rows of [this.#rows, this.#repeats ?? NONE]) {
      for (const row of rows) if (row.query === query && counts(row)) return row
    }
  }

  /** Queries without an exact answer. */
  missing(): number[] {
    const exact = new Array<boolean>(this.size)
    for (const rows of [this.#rows, this.#repeats ?? NONE]) {
      for (const row of rows) if (row.query !== undefined && counts(row)) exact[row.query] = true
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
    const answers = this.#answersOf(have)
    const evidence = { core, scheme: this.scheme, have, answers, gram: () => this.#gramOf(have) }
    return locators[locator](evidence, most).map(({ position, score }) => ({ row: this.#rows[have[position]], score }))
  }

  /** Takes the answer to a row for a lie. */
  drop(row: CodedRow): void {
    const own = this.#row(row.index)
    if (own) own.dropped = true
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
      const rest = this.#numbers().filter((query) => !others.includes(query))
      const exact = rest.map((query) => (this.#exactRow(query) as OwnRow).index)
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
    if (have.length > MOST_ROWS) return
    const own = [...have.keys()].filter((at) => this.#rows[have[at]].query !== undefined)
    if (own.length === have.length || !own.length) return // without a parity there is nothing to learn
    const answers = this.#answersOf(have)
    const most = this.#largestParity(have)
    yield* kernels.learn(core, most, this.#gramOf(have), answers, own, criterion ?? criterionFor(answers[0].length))
  }

  /** Every query's answer, in order: exact ones as they came (read-only), the others recovered. Throws as `recover`. */
  answers(): { query: number; answer: Float32Array; exact: boolean }[] {
    const recovered = new Map(this.recover().map((each) => [each.query, each]))
    return this.#numbers().map((query) => {
      const answer = this.exact(query)
      return answer ? { query, answer, exact: true } : { ...(recovered.get(query) as Recovery), exact: false }
    })
  }

  /** Queries recovered from the rows `have`, where `missing` have no exact answer. */
  #decode(queries: readonly number[], missing: number, have = this.#coded()): Recovery[] {
    const { core } = this.#codec
    const { quorum } = this.scheme
    if (!queries.length) return []
    const came = have.length + this.#rows.filter(({ dropped }) => dropped).length
    if (came < quorum) throw new ApproxiferError('QUORUM', expected('results', `>= ${quorum}`, came))
    const { data }: Decoder = decoders[this.#codec.decoder]
    if (data && have.length > NEIGHBOURS) return this.#decodeNearby(queries, missing, have)
    const rows = have.map((i) => (this.#row(i) as CodedRow).weights)
    const wanted = data ? queries : this.#numbers()
    const survivors = { ...this.#survivors(have), rows, wanted, gram: () => this.#gramOfQueries() }
    const { weights, variance } = this.#codec.decode(survivors, `${this.size}:${this.#mixed}:${have}`)
    const answers = core.combine(flat(data ? weights : queries.map((query) => weights[query])), this.#answersOf(have))
    return queries.map((query, i) => recovery(query, answers[i], missing, variance?.[data ? i : query]))
  }

  /** The same of many rows: a few queries at a time, each few from the rows that are nearest. */
  #decodeNearby(queries: readonly number[], missing: number, have: readonly number[]): Recovery[] {
    const { core } = this.#codec
    const rows = have.map((i) => this.#row(i) as CodedRow)
    const recovered: Recovery[] = []
    for (let from = 0; from < queries.length; from += TOGETHER) {
      const some = queries.slice(from, from + TOGETHER)
      const { near, ...told } = neighbourhood(core, rows, some, some.map((query) => this.#query(query))) // biome-ignore format: one line
      const own = near.map((at) => have[at])
      const { weights, variance } = this.#codec.decode({ ...this.#survivors(have), ...told, have: own }, '')
      const answers = core.combine(flat(weights), this.#answersOf(own))
      recovered.push(...some.map((query, i) => recovery(query, answers[i], missing, variance?.[i])))
    }
    return recovered
  }

  #survivors(have: readonly number[]) {
    const { core, code, kernels } = this.#codec
    return { core, code, scheme: this.scheme, have, most: this.#largestParity(have), kernels }
  }

  /** Queries in the row that mixes most of them. */
  #largestParity(have: readonly number[]): number {
    const mixed = have.map((i) => this.#row(i) as CodedRow).filter(({ query }) => query === undefined)
    return Math.max(1, ...mixed.map(({ weights }) => weights.reduce((count, w) => count + Number(w !== 0), 0)))
  }

  /** Survivors among the coded rows, without repeats: those that have a node. */
  #coded(): number[] {
    return this.survivors.filter((i) => i < this.scheme.workers)
  }

  #answersOf(rows: readonly number[]): Float32Array[] {
    return rows.map((i) => this.#row(i)?.answer as Float32Array)
  }

  #gramOfQueries(): Float64Array {
    this.#gram ??= this.#codec.core.gram(this.#queries())
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

function newRow(index: number, weights: Float64Array, query: number | undefined, data: Float32Array): OwnRow {
  return { index, weights, query, data, answer: undefined, dropped: false }
}

function recovery(query: number, answer: Float32Array, missing: number, variance: number | undefined): Recovery {
  return { query, answer, source: 'code', missing, ...(variance !== undefined && { variance }) }
}

/** Whether a row was answered, and its answer not dropped. */
function counts({ answer, dropped }: OwnRow): boolean {
  return answer !== undefined && !dropped
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
