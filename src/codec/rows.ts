/** The rows of a group, and the answers to them. */

import { append, NONE } from '../arrays'
import { expected } from '../check'

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

/** A row, and what its group knows of it. */
interface OwnRow extends CodedRow {
  /** Known when the number of queries is. */
  weights: Float64Array
  answer: Float32Array | undefined
  /** Its answer was taken for a lie. */
  dropped: boolean
}

export class RowSet {
  readonly #workers: number
  #coded: OwnRow[] = NONE
  #repeats: OwnRow[] = NONE
  /** Of an answer. */
  #length: number | undefined

  /** @param workers  repeats are numbered from here on */
  constructor(workers: number) {
    this.#workers = workers
  }

  /** The rows of the code, in their order. */
  get coded(): readonly OwnRow[] {
    return this.#coded
  }

  /** One more row of the code. */
  add(weights: Float64Array, query: number | undefined, data: Float32Array): void {
    this.#coded = append(this.#coded, newRow(this.#coded.length, weights, query, data))
  }

  /** One more row that asks for a query itself. */
  repeat(weights: Float64Array, query: number, data: Float32Array): CodedRow {
    const row = newRow(this.#workers + this.#repeats.length, weights, query, data)
    this.#repeats = append(this.#repeats, row)
    return row
  }

  /** A row by its number. */
  at(index: number): OwnRow | undefined {
    return index < this.#workers ? this.#coded[index] : this.#repeats[index - this.#workers]
  }

  /** Takes the answer to a row, once. */
  answer(row: CodedRow, answer: Float32Array): void {
    const own = this.at(row.index)
    if (own !== row) throw new RangeError(`row: expected one of this group, got ${row.index}`)
    const length = this.#length ?? answer.length
    if (!(answer instanceof Float32Array) || answer.length !== length) {
      throw new TypeError(expected('answer', `a Float32Array of ${length}`, answer))
    }
    if (own.answer) throw new RangeError(`row ${row.index}: expected one answer, got a second`)
    own.answer = answer
    this.#length = length
  }

  /** Forgets all answers, and which were dropped. */
  forget(): void {
    this.#length = undefined
    for (const row of [...this.#coded, ...this.#repeats]) {
      row.answer = undefined
      row.dropped = false
    }
  }

  /** Rows that were answered, and their answers not dropped. */
  survivors(): OwnRow[] {
    const coded = this.#coded.filter(counts)
    return this.#repeats.length ? coded.concat(this.#repeats.filter(counts)) : coded
  }

  /** The first of these that equals a query. */
  exact(query: number): OwnRow | undefined {
    const own = this.#coded[query]
    if (own?.query === query && counts(own)) return own // the systematic code's first
    const isIts = (row: OwnRow) => row.query === query && counts(row)
    return this.#coded.find(isIts) ?? this.#repeats.find(isIts)
  }

  /** The answers to some rows, by their numbers. */
  answersOf(rows: readonly number[]): Float32Array[] {
    return rows.map((index) => this.at(index)?.answer as Float32Array)
  }

  /** Some rows, by their numbers. */
  of(rows: readonly number[]): CodedRow[] {
    return rows.map((index) => this.at(index) as CodedRow)
  }
}

function newRow(index: number, weights: Float64Array, query: number | undefined, data: Float32Array): OwnRow {
  return { index, weights, query, data, answer: undefined, dropped: false }
}

function counts({ answer, dropped }: OwnRow): boolean {
  return answer !== undefined && !dropped
}
