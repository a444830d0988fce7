/** One coded group: what its queries become, which of its answers are lies, what is recovered from the others. */

import { append, NONE } from '../base/arrays'
import { checkInteger, expected } from '../base/check'
import type { Scheme } from '../base/scheme'
import type { Codec } from './codec'
import { parities } from './codes'
import { answerOf, type CodedRow, decode, flat, type OwnRow, type Recovery } from './decode'
import { gramOf } from './kriging'
import { locators } from './locators'

/** A row whose answer may be a lie; scores compare within one locator and group only. */
export interface Suspect {
  row: CodedRow
  score: number
}

/** Sets of queries whose loss is rehearsed in a group. */
const REHEARSALS = 8

/** The weights of a row while its group is open. */
const UNKNOWN = new Float64Array()

/**
 * One coded group: open while queries join, then closed, then fed with answers. A small state machine
 * without a clock: when to close, to locate and to recover is the caller's affair.
 */
export class Group {
  readonly #codec: Codec
  #rows: OwnRow[] = NONE
  #queries: Float32Array[] = NONE
  /** Queries that the parities are made of: those unanswered when the group closed. */
  #mixed: readonly number[] = NONE
  /** Of the closed group. */
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
    return this.#rows.filter(counts).map(({ index }) => index)
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
    const { length } = this.#queries[0] ?? query
    if (query.length !== length) throw new RangeError(`query: expected ${length} values, got ${query.length}`)
    const number = this.size
    this.#queries = append(this.#queries, query)
    if (this.#codec.code === 'systematic') this.#addRow(UNKNOWN, number, query)
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

  /** Weighted sums of the queries; of the systematic code's parities each from those that it mixes, which are few of many. */
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

  #numbers(): number[] {
    return Array.from({ length: this.size }, (_, number) => number)
  }

  row(index: number): CodedRow | undefined {
    return this.#rows[index]
  }

  /** Takes the answer to a row, once, and keeps it. Values must be finite; that is not checked here. */
  add(row: CodedRow, answer: Float32Array): void {
    const own = this.#rows[row.index]
    if (own !== row) throw new RangeError(`row: expected one of this group, got ${row.index}`)
    const { length } = this.#rows.find((each) => each.answer)?.answer ?? answer
    if (!(answer instanceof Float32Array) || answer.length !== length) {
      throw new TypeError(expected('answer', `a Float32Array of ${length}`, answer))
    }
    if (own.answer) throw new RangeError(`row ${row.index}: expected one answer, got a second`)
    own.answer = answer
  }

  /** Forgets all answers and verdicts, so that another survivor set can be tried on the same rows. */
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
    const own = this.#rows[query] // the systematic code's first
    return own && isIts(own) ? own : this.#rows.find(isIts)
  }

  /** Queries without an exact answer. */
  missing(): number[] {
    return this.#numbers().filter((query) => !this.#exact(query))
  }

  /** Finds up to `byzantine` liars among the answers that came, and drops their answers. */
  locate(): Suspect[] {
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
   * Answers for all that is missing, from the answers that came.
   *
   * @throws ApproxiferError QUORUM where fewer came than the code can decode from
   */
  recover(): Recovery[] {
    const missing = this.missing()
    return this.#decode(missing, missing.length, this.survivors)
  }

  /**
   * What other queries' recoveries would have been, had they been lost in the place of `lost`. For a group whose
   * answers have all come in the end: each recovery shows once more how good recovered answers are.
   *
   * @param lost       queries that were missing when the group was decoded
   * @param survivors  rows that it was decoded from
   * @returns the recoveries of others, as many as were lost at a time, decoded when they are asked for
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

  /** Every query's answer, in order: exact ones as they came (read-only), the others recovered. Throws as `recover`. */
  answers(): { query: number; answer: Float32Array; exact: boolean }[] {
    const recovered = new Map(this.recover().map((each) => [each.query, each]))
    return this.#numbers().map((query) => {
      const answer = this.exact(query)
      return answer ? { query, answer, exact: true } : { ...(recovered.get(query) as Recovery), exact: false }
    })
  }

  /** Queries recovered from the rows `have`, where `missing` have no exact answer. */
  #decode(queries: readonly number[], missing: number, have: readonly number[]): Recovery[] {
    const [rows, mixed] = [this.#rows, this.#mixed]
    const group = { codec: this.#codec, scheme: this.scheme, rows, mixed, queries: this.#queries }
    return decode({ ...group, gram: () => this.#gramOfQueries() }, queries, missing, have)
  }

  #gramOfQueries(): Float64Array {
    this.#gram ??= this.#codec.core.gram(this.#queries)
    return this.#gram
  }

  /** U G Uᵀ for some rows: the coded queries' Gram matrix from that of the queries. */
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
