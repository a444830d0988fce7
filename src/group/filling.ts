/** Who is in a group, and when it closes: when it is full, or when the first of its callers has waited long enough. */

import type { Group } from '../codec/group'
import type { Asked } from '../query/asked'
import { PendingReport } from '../query/coding'
import { groupReport, type undecided } from '../query/prediction'
import type { Query } from '../query/query'
import type { CodingContext } from './redundancy'

export abstract class FillingGroup {
  isOpen = true
  readonly report = new PendingReport()
  protected readonly members: Query[] = []
  protected readonly group: Group
  #closesAt = Number.POSITIVE_INFINITY
  #cancel: (() => void) | undefined

  constructor(protected readonly context: CodingContext) {
    this.group = context.codec.open()
  }

  /** A query joins, and is sent. @param maxWaitMs  how long it waits for others */
  protected take(query: Query, maxWaitMs: number): Query {
    const { clock, codec, pool } = this.context
    this.members.push(query)
    query.start()
    if (!this.isOpen) return query
    const closesAt = clock.now() + maxWaitMs
    const isFull = this.members.length === codec.scheme.queries
    if (isFull || !pool.usable || maxWaitMs < 0)
      this.close() // nobody is worth waiting for
    else if (closesAt < this.#closesAt) {
      this.#closesAt = closesAt
      this.#cancel?.()
      this.#cancel = clock.after(maxWaitMs, () => this.close())
    }
    return query
  }

  close(): void {
    if (!this.isOpen) return
    this.isOpen = false
    this.#cancel?.()
    this.closing()
  }

  /** What is to be done once, when it closes. */
  protected abstract closing(): void

  /** Drops queries whose callers left before anything was sent, which makes room for others. */
  protected tidy(): void {
    if (this.isOpen) this.members.splice(0, this.members.length, ...this.members.filter(({ caller }) => caller.isOpen))
  }

  /** @param others  attempts that are of none of its queries */
  protected complete(others: readonly Asked[], measured: typeof undecided): void {
    const { codec, core } = this.context
    const scheme = codec.schemeFor(this.members.length || codec.scheme.queries)
    this.report.complete(groupReport(this.members, others, { core, scheme, ...measured }))
  }
}
