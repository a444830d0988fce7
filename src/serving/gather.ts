/** Rows -> workers -> events. Goes on after the quorum: a late answer is an event too. */

import type { CodedRow } from '../codec/codec'
import { ApproxiferError, asError } from '../errors'
import { checkAnswer, rowLength } from '../tensor'
import type { ModelWorker } from '../workers/worker'

/** What became of one row; every row gets exactly one event. */
export type RowEvent = {
  row: CodedRow
  worker: ModelWorker
  /** From sending to here, waiting in the worker's queue included. */
  ms: number
} & ({ answer: Float32Array; error?: undefined } | { answer?: undefined; error: ApproxiferError })

/**
 * Sends each row to its worker and reports each outcome once, never before it returns. A call that takes
 * `hangMs` fails and has its worker restarted.
 */
export function gather(
  rows: readonly { row: CodedRow; worker: ModelWorker }[],
  { hangMs, signal }: { hangMs: number; signal: AbortSignal },
  on: (event: RowEvent) => void,
): void {
  for (const { row, worker } of rows) {
    const start = performance.now()
    const length = rowLength(worker.signature.outputs)
    let open = true
    const report = (outcome: { answer: Float32Array } | { error: ApproxiferError }) => {
      if (!open) return
      open = false
      clearTimeout(timer)
      on({ row, worker, ms: performance.now() - start, ...outcome } as RowEvent)
    }
    const timer = setTimeout(() => {
      report({ error: new ApproxiferError('WORKER', `${worker.name} hung for ${hangMs} ms`) })
      worker.restart(`hung for ${hangMs} ms`)
    }, hangMs)
    worker
      .infer(row.data, { signal })
      .then((answer) => report({ answer: checkAnswer(answer, length) }))
      .catch((error) => report({ error: asError(error, 'WORKER') }))
  }
}
