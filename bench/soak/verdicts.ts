/** What a predictor finds out about its workers, beside what they did. */

import type { PredictorStats, TensorList } from 'approxifer'
import { FaultyWorker } from 'approxifer/testing'
import type { Verdict } from '../../test/shared/heard-events'

/** A worker that counts the lies it tells. */
export class CountingWorker extends FaultyWorker {
  lies = 0

  override async infer(...call: Parameters<FaultyWorker['infer']>): Promise<TensorList> {
    const lies = this.faults.lie === 1
    const answer = await super.infer(...call)
    this.lies += Number(lies)
    return answer
  }
}

export class Verdicts {
  readonly counts = { ejected: 0, deviant: 0, readmitted: 0, kept: 0 }
  /** Workers that were found to have lied more often than they did. */
  readonly wronged = new Set<string>()
  readonly #workers: readonly CountingWorker[]

  constructor(workers: readonly CountingWorker[]) {
    this.#workers = workers
  }

  hear({ worker, kind, evidence }: Verdict): void {
    this.counts[kind]++
    if (kind !== 'readmitted') this.#compare(worker, evidence.lies + Number(kind === 'kept')) // that lie is not in its record
  }

  /** What a predictor holds against its workers at its end, and checked answers with values that are not the model's, by worker. */
  check({ workers }: PredictorStats, doctored: Readonly<Record<string, number>>): void {
    for (const { worker, lies } of workers) this.#compare(worker, Math.max(lies, doctored[worker] ?? 0))
  }

  /** Whether a verdict is the reason for a warning. */
  explains(warning: string): boolean {
    const { ejected, kept } = this.counts
    return (ejected > 0 && / lied, with proof /.test(warning)) || (kept > 0 && warning.startsWith('workers disagree'))
  }

  #compare(name: string, lies: number): void {
    const worker = this.#workers.find((each) => each.name === name)
    if (!worker || lies > worker.lies) this.wronged.add(name)
  }
}
