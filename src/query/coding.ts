/** What a group does for a query that joined it; the paper's scheme does not all of it. */

import type { ApproxiferError } from '../errors'
import type { Payload } from '../payload'
import type { Apart, Identity } from '../pool/attempt'
import type { GroupReport } from '../prediction'
import type { ModelWorker } from '../workers/worker'
import { type Asked, answerOf, workerOf } from './asked'
import type { Context } from './context'
import type { Query } from './query'

export interface Coding extends Apart {
  readonly report: PendingReport
  /** Whether a recovery may come yet; and whether the query waits for nothing else, since it has no attempt of its own. */
  readonly isDecodable: boolean
  readonly isOnlyWay: boolean
  /** Whether a worker had one of the rows that are no query's own. */
  readonly wasAsked: boolean
  /** A number for one attempt more of a query: its own for the first, others count on from N. */
  nextRow(query: Query): number
  /** The model's own answer to a query. @param row  of the attempt */
  answered?(query: Query, answer: Payload, row: number): void
  /** A query is late, lost or due: what can be decoded is decoded and offered. */
  press(query: Query, now: number): void
  /** A recovery is given to its caller. @returns the workers whose answers it was made of */
  given(): ModelWorker[]
  /** The model's own answer showed whether a recovery was right. */
  graded?(): void
  /** Whether an identity's answers are among those that it was decoded from. */
  isMadeOf?(identity: Identity): boolean
  /** Why a query cannot be recovered. @param own  its attempts */
  failure(own: readonly Asked[]): ApproxiferError
  /** The caller left, before there was an answer. */
  left(query: Query): void
  /** An attempt of a query has an outcome. @param identity  of the worker that failed on it, and is to blame */
  failed?(identity: Identity | undefined): void
  /** There are fewer workers. */
  reconsider(): void
  /** An attempt of a query came to nothing. */
  lost?(): void
  /** The caller of a query waits no more. @param isAnswered  by a worker */
  closed(isAnswered: boolean): void
  /** The last attempt of a query has an outcome. */
  done(): void
}

/** A group's report to come. */
export class PendingReport {
  isComplete = false
  #resolve: (report: GroupReport) => void = () => {}
  readonly promise = new Promise<GroupReport>((resolve) => {
    this.#resolve = resolve
  })

  complete(report: GroupReport): void {
    this.isComplete = true
    this.#resolve(report)
  }
}

/** What is learned of a group, unless by then some of its answers are a stranger's and unproven: they may be lies. */
export function* provenOnly(
  { sampled }: Context,
  group: { readonly all: readonly Asked[] },
  lesson: Generator<void>,
): Generator<void> {
  const isUnproven = (asked: Asked) => answerOf(asked) && sampled?.worth(workerOf(asked)) !== 'exact'
  if (!sampled || !group.all.some(isUnproven)) yield* lesson
}
