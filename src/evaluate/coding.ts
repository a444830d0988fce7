/** What an evaluation needs of a code: its size, and groups. A `Codec` has it, and so has a user's module (`module-coding.ts`). */

import type { Scheme } from '../base/scheme'
import type { CodedRow } from '../codec/decode'
import type { Core } from '../core/core'

export interface Coding {
  readonly core: Core
  /** A code's name or, of a module, its path. With 'systematic' a query's own row has the query's number. */
  readonly code: string
  readonly scheme: Pick<Scheme, 'queries' | 'stragglers' | 'byzantine' | 'workers'>
  open(): CodedGroup
}

/** A row of a group: its number, the query that it equals, if any, and its values. */
export type SentRow = Pick<CodedRow, 'index' | 'query' | 'data'>

/** The part of a `Group` that can be told of every code. */
export interface CodedGroup {
  join(query: Float32Array): number
  /** Rows that are known before the group closes. */
  readonly ready: readonly SentRow[]
  /** Codes the queries that joined. @returns the other rows */
  close(mix?: readonly number[]): readonly SentRow[]
  add(row: SentRow, answer: Float32Array): void
  /** Finds lies among the answers, and drops them. */
  locate(): readonly { row: SentRow }[]
  /** The answer to a row that equals the query. */
  exact(query: number): Float32Array | undefined
  /** Queries without such an answer. */
  missing(): readonly number[]
  /** Whether a row mixes the query with others. */
  mixes(query: number): boolean
  /** Answers to the missing queries, decoded from the rows that came. */
  recover(): readonly RecoveredQuery[]
  /** Removes all answers, so that another survivor set can be tried. */
  forget(): void
}

export interface RecoveredQuery {
  query: number
  answer: Float32Array
  source: 'code'
  missing: number
}
