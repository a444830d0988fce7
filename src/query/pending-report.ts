/** A report that comes when the last attempt has an outcome. */

import type { GroupReport } from './report'

/** A report to come: a promise only for callers that ask, since the first to do so are those with an answer. */
export class PendingReport {
  #report: GroupReport | undefined
  #promise: Promise<GroupReport> | undefined
  #resolve: ((report: GroupReport) => void) | undefined

  get promise(): Promise<GroupReport> {
    this.#promise ??= new Promise((resolve) => {
      if (this.#report) resolve(this.#report)
      else this.#resolve = resolve
    })
    return this.#promise
  }

  get isComplete(): boolean {
    return this.#report !== undefined
  }

  complete(report: GroupReport): void {
    this.#report = report
    this.#resolve?.(report)
  }
}
