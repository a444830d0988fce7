/** A coded group: how its queries are encoded, which of its answers are lies, and what is recovered from the others. */

import { append, NONE } from '../base/arrays'
import { checkInteger, expected } from '../base/check'
import type { Scheme } from '../base/scheme'
import type { Codec } from './codec'
import { parities } from './codes'
import { answerOf, type CodedRow, decode, flat, type OwnRow, type Recovery } from './decode'
import { gramOf } from './kriging'
import { locators } from './locators'

/** A row whose answer may be a lie. Scores can be compared only within a locator and a group. */
export interface Suspect {
  row: CodedRow
  score: number
}

/** Number of sets of queries whose loss is rehearsed in a group. */
const REHEARSALS = 8

/** A row's weights while its group is open. */
const UNKNOWN = new Float64Array()

/**
 * A coded group: queries join while it is open, then it is closed, then it gets answers. A state machine without a clock: the caller
 * decides when to close, to locate and to recover.
 */
export class Group {
  readonly #codec: Codec
  #rows: OwnRow[] = NONE
  #queries: Float32Array[] = NONE
  /** Queries that the parities mix: those unanswered when the group closed. */
  #mixed: readonly number[] = NONE
  /** Set when the group is closed. */
  #scheme: Scheme | undefined
  #gram: Float64Array | undefined
  /** Whether lies were looked for since the last answer came. */
  #isLocated = false

  constructor(codec: Codec) {
    this.#codec = codec
  }

  /** Number of queries that joined. */
  get size(): number {
    return this.#queries.length
  }

  /** The scheme of the closed group, for the number of queries that joined. */
  get scheme(): Scheme {
    if (!this.#scheme) throw new TypeError('group: expected a closed group, got an open one')
    return this.#scheme
  }

  /** Indices of rows that were answered and not dropped. */
  get survivors(): number[] {
    return this.#rows.filter(counts).map(({ index }) => index)
  }

  /**
   * Adds a query. The group keeps the array and does not write to it. Values must be finite; this is not checked here.
   *
   * @returns the query's number in the group
   */
  join(query: Float32Array): number {
    if (this.#scheme) throw new TypeError('group: expected an open group, got a closed one')
    if (!(query instanceof Float32Array)) throw new TypeError(expected('query', 'Float32Array', query))
    const most = this.#codec.scheme.queries
    if (this.size === most) throw new RangeError(`group: expected at most ${most} queries, got one more`)
    const { length } = this.#queries[0] ?? query
    if (query.length !== length) throw new RangeError(`query: expected ${length} values, got ${query.length}`)
    const number = this.size
    this.#queries = append(this.#queries, query)
    if (this.#codec.code === 'systematic') this.#addRow(UNKNOWN, number, query)
    return number
  }

  /** Rows that can be sent before the group closes: with the systematic code the queries that have joined. */
  get ready(): readonly CodedRow[] {
    return this.#scheme ? [] : this.#rows
  }

  /**
   * Closes the group and encodes its queries.
   *
   * @param mix  the queries that parities mix; only with the systematic code and byzantine 0. Default: all that are unanswered. With fewer
   * queries a parity says more about each
   * @returns the rows that were not `ready` before, each for a worker of its own; with the systematic code the parities
   */
  close(mix?: readonly number[]): readonly CodedRow[] {
    if (this.#scheme || !this.size) throw new TypeError(`group: expected an open group with queries, got ${this.size}`)
    const K = this.size
    const scheme = this.#codec.schemeFor(K)
    const systematic = this.#codec.code === 'systematic' && !scheme.byzantine
    if (mix && !systematic) throw new RangeError("mix: expected none but with code 'systematic' and byzantine 0")
    for (const [i, query] of mix?.entries() ?? []) checkInteger(`mix[${i}]`, query, 0, K - 1)
    this.#scheme = scheme
    const before = this.#rows.length
    if (mix) this.#mixed = mix.length ? [...new Set(mix)] : NONE
    else this.#mixed = systematic ? this.missing() : this.#numbers()
    const all = this.#codec.weightsFor(K)
    for (const row of this.#rows) row.weights = all[row.index]
    if (before && !this.#mixed.length) return []
    const others = this.#encodeRows().slice(before)
    const data = this.#combined(others.filter((weights) => unit(weights) === undefined)).values()
    for (const weights of others) {
      const query = unit(weights)
      this.#addRow(weights, query, query === undefined ? (data.next().value as Float32Array) : this.#queries[query])
    }
    return this.#rows.slice(before)
  }

  #addRow(weights: Float64Array, query: number | undefined, data: Float32Array): void {
    const { length: index } = this.#rows
    this.#rows = append(this.#rows, { index, weights, query, data, answer: undefined, dropped: false })
  }

  /** Weighted sums of the queries. A parity of the systematic code is computed from the queries that it mixes, which are few of many. */
  #combined(rows: readonly Float64Array[]): Float32Array[] {
    const { core, code } = this.#codec
    if (!rows.length) return []
    if (code !== 'systematic') return core.combine(flat(rows), this.#queries)
    return rows.flatMap((weights) => {
      const some = this.#numbers().filter((query) => weights[query])
      const own = Float32Array.from(some, (query) => weights[query])
      return core.combine(
        own,
        some.map((query) => this.#queries[query]),
      )
    })
  }

  /** Whether a parity mixes the query. */
  mixes(query: number): boolean {
    return this.#mixed.includes(query)
  }

  /** All N rows of weights; the systematic code's parities mix only unanswered queries. */
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

  #numbers(): number[] {
    return Array.from({ length: this.size }, (_, number) => number)
  }

  row(index: number): CodedRow | undefined {
    return this.#rows[index]
  }

  /** Keeps the answer to a row; each row takes one. Values must be finite; this is not checked here. */
  add(row: CodedRow, answer: Float32Array): void {
    const own = this.#rows[row.index]
    if (own !== row) throw new RangeError(`row: expected one of this group, got ${row.index}`)
    const { length } = this.#rows.find((each) => each.answer)?.answer ?? answer
    if (!(answer instanceof Float32Array) || answer.length !== length) {
      throw new TypeError(expected('answer', `a Float32Array of ${length}`, answer))
    }
    if (own.answer) throw new RangeError(`row ${row.index}: expected one answer, got a second`)
    own.answer = answer
    this.#isLocated = false
  }

  /** Removes all answers and verdicts, so that another survivor set can be tried on the same rows. */
  forget(): void {
    for (const row of this.#rows) {
      row.answer = undefined
      row.dropped = false
    }
  }

  /** The model's own answer to a query, if a row that equals it was answered and not dropped. Read-only. */
  exact(query: number): Float32Array | undefined {
    return this.#exact(query)?.answer
  }

  #exact(query: number): OwnRow | undefined {
    const isIts = (row: OwnRow) => row.query === query && counts(row)
    const own = this.#rows[query] // first in the systematic code
    return own && isIts(own) ? own : this.#rows.find(isIts)
  }

  /** Queries without an exact answer. */
  missing(): number[] {
    return this.#numbers().filter((query) => !this.#exact(query))
  }

  /** Finds up to `byzantine` lies among the answers, and drops them. */
  locate(): Suspect[] {
    this.#isLocated = true
    const { core, locator } = this.#codec
    const { scheme, survivors: have } = this
    const most = Math.min(scheme.byzantine, have.length - 1)
    if (most < 1) return []
    const rows = have.map((index) => this.#rows[index])
    const evidence = { core, scheme, have, answers: rows.map(answerOf), gram: () => this.#gramOf(rows) }
    const accused = locators[locator](evidence, most).slice(0, scheme.byzantine)
    for (const { position } of accused) rows[position].dropped = true
    return accused.map(({ position, score }) => ({ row: rows[position], score }))
  }

  /**
   * Recovers all missing answers from the answers that came.
   *
   * @throws ApproxiferError QUORUM if fewer came than the code needs
   */
  recover(): Recovery[] {
    const missing = this.missing()
    return this.#decode(missing, missing.length, this.survivors)
  }

  /**
   * Recoveries of other queries, as if they had been lost instead of `lost`. If all answers of a group have come, each shows once more how
   * good recoveries are.
   *
   * @param lost       queries that were missing when the group was decoded
   * @param survivors  rows that it was decoded from
   * @returns sets of as many recoveries as were lost, each decoded on demand
   */
  *rehearse(lost: readonly number[], survivors: readonly number[]): Generator<Recovery[]> {
    const mixed = this.#mixed.length
    const parities = survivors.filter((i) => this.#rows[i]?.query === undefined)
    const open = this.missing().length > 0 || lost.some((query) => !this.#mixed.includes(query))
    if (open || this.#codec.code !== 'systematic') return
    if (this.size - lost.length + parities.length < this.scheme.quorum) return
    const exact = this.#numbers().map((query) => (this.#exact(query) as CodedRow).index)
    for (let shift = 1; shift < Math.min(REHEARSALS, mixed); shift++) {
      const others = lost.map((query) => this.#mixed[(this.#mixed.indexOf(query) + shift) % mixed])
      const rest = exact.filter((_, query) => !others.includes(query))
      yield this.#decode(others, lost.length, [...rest, ...parities])
    }
  }

  /** Every query's answer, in order: exact ones as they came (read-only), the others recovered. Lies are dropped first, unless `locate` has done so. Throws as `recover`. */
  answers(): { query: number; answer: Float32Array; exact: boolean }[] {
    if (!this.#isLocated) this.locate()
    const recovered = new Map(this.recover().map((each) => [each.query, each]))
    return this.#numbers().map((query) => {
      const answer = this.exact(query)
      return answer ? { query, answer, exact: true } : { ...(recovered.get(query) as Recovery), exact: false }
    })
  }

  /** Recovers queries from the rows `have`. @param missing  number of queries without an exact answer */
  #decode(queries: readonly number[], missing: number, have: readonly number[]): Recovery[] {
    const [rows, mixed] = [this.#rows, this.#mixed]
    const group = { codec: this.#codec, scheme: this.scheme, rows, mixed, queries: this.#queries }
    return decode({ ...group, gram: () => this.#gramOfQueries() }, queries, missing, have)
  }

  #gramOfQueries(): Float64Array {
    this.#gram ??= this.#codec.core.gram(this.#queries)
    return this.#gram
  }

  /** U G Uᵀ: the Gram matrix of coded queries, from that of the queries. */
  #gramOf(rows: readonly CodedRow[]): Float64Array {
    return gramOf(
      rows.map(({ weights }) => weights),
      this.#gramOfQueries(),
    )
  }
}

function counts({ answer, dropped }: OwnRow): boolean {
  return answer !== undefined && !dropped
}

function unit(weights: Float64Array): number | undefined {
  const at = weights.indexOf(1)
  return at >= 0 && weights.every((w, j) => j === at || w === 0) ? at : undefined
}
