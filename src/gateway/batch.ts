/** Predicts a batch of any size as single queries, as many at a time as there is room for. */

import { aborted, onAbort } from '../base/abort'
import { isMisuse } from '../base/check'
import { heldBytes } from '../base/element'
import { type ApproxiferError, asError } from '../base/errors'
import type { Prediction } from '../base/prediction'
import type { QueryTensor, QueryTensors } from '../base/tensor'
import { turn } from '../oip/json'
import type { QueryBatch } from '../predictor/batch-admission'
import type { PredictOptions } from '../predictor/options'
import type { Predictor } from '../predictor/predictor'
import { messageOf } from './refusal'

export type RowOutcome = { prediction: Prediction } | { error: ApproxiferError }

/** The parameter `recall_id` of a reply: for each row the id by which its answer may be recalled; left out if no row has one. */
export const recallIds = (rows: readonly (Prediction | undefined)[]) =>
  rows.some((row) => row?.id !== undefined) && { recall_id: rows.map((row) => row?.id ?? null) }

/** The error of a row, with the row's index. */
export class RowError extends Error {
  constructor(
    readonly row: number,
    override readonly cause: unknown,
  ) {
    super(`row ${row}: ${messageOf(cause)}`)
  }
}

export interface BatchOptions extends PredictOptions {
  /** Whether rows may fail individually; otherwise the first failure fails the batch. */
  partial: boolean
  /** The deadline of the whole batch, from its arrival. Default: the predictor's own. */
  deadlineMs?: number
  /** Reduces a prediction to what the reply needs. */
  keep?: (prediction: Prediction) => Prediction
}

/** Bytes of queries that are submitted before the event loop gets a turn. */
const SLICE = 2 ** 21

/**
 * Predicts all queries of a batch.
 *
 * @param queries  a single query becomes the predictor's own; several are copied, since they may be views of one body, which a query in
 *   the memory would keep alive as a whole
 * @throws RowError for the first row that failed, unless `partial`; always for a malformed row, and where all rows failed; ApproxiferError
 *   OVERLOADED where the last row could not be answered in time: then no row is asked
 */
export async function predictBatch(
  predictor: Predictor,
  queries: readonly QueryTensors[],
  options: BatchOptions,
): Promise<RowOutcome[]> {
  if (queries.length === 1) return [await predictOne(predictor, queries[0], options)]
  const { renewals } = predictor
  const batch = new RowBatch(predictor, options)
  await answered(batch, queries)
  if (predictor.renewals !== renewals) await askAgain(batch, queries)
  return batch.outcomes
}

/**
 * Called where the model was replaced during the batch: asks the new model again what the old one answered, so that all rows are of one
 * model. Where that fails, or no time is left, the old answer stays; the reply has the model's fingerprint for each row.
 */
async function askAgain({ predictor, options, outcomes, older, ageMs }: RowBatch, queries: readonly QueryTensors[]) {
  const { deadlineMs } = options
  const isOlder = (outcome: RowOutcome) =>
    'prediction' in outcome && outcome.prediction.fingerprint === older?.fingerprint
  const rows = [...outcomes.keys()].filter((row) => isOlder(outcomes[row]))
  if (outcomes.every((outcome) => 'error' in outcome || isOlder(outcome))) return
  const left = deadlineMs !== undefined && { deadlineMs: Math.max(0, deadlineMs - ageMs) }
  const again = new RowBatch(predictor, { ...options, ...left, partial: true })
  const asked = rows.map((row) => queries[row])
  await answered(again, asked).catch(() => {})
  for (const [i, outcome] of again.outcomes.entries()) {
    if (outcome && 'prediction' in outcome) outcomes[rows[i]] = outcome
  }
}

/** Resolves when each row has its outcome. @throws as `predictBatch` */
async function answered(batch: RowBatch, queries: readonly QueryTensors[]): Promise<void> {
  const { signal } = batch.options
  const forget = onAbort(signal, () => batch.stop.abort(signal?.reason))
  try {
    if (!signal?.aborted) await batch.send(queries)
  } finally {
    forget()
    batch.end()
  }
  if (signal?.aborted) throw new RowError(0, aborted(signal))
  if (batch.failure) throw batch.failure
  const { outcomes } = batch
  const [first] = outcomes
  if ('error' in first && outcomes.every((outcome) => 'error' in outcome)) throw new RowError(0, first.error)
}

/** A batch of one query, as most are: it need not wait for room, and its failure is the batch's. */
async function predictOne(
  predictor: Predictor,
  query: QueryTensors,
  { partial: _, keep = whole, ...choices }: BatchOptions,
): Promise<RowOutcome> {
  try {
    return { prediction: keep(await predictor.predictGiven(query, choices)) }
  } catch (error) {
    throw new RowError(0, error)
  }
}

class RowBatch {
  readonly outcomes: RowOutcome[] = []
  failure: RowError | undefined
  /** Aborts the queries under way, and stops sending. */
  readonly stop = new AbortController()
  /** The fingerprint of the model that answered first. */
  older: Pick<Prediction, 'fingerprint'> | undefined
  #many: QueryBatch | undefined
  readonly #choices: PredictOptions

  constructor(
    readonly predictor: Predictor,
    readonly options: BatchOptions,
  ) {
    const { partial: _, keep: __, ...choices } = options
    this.#choices = { ...choices, signal: this.stop.signal }
  }

  get ageMs(): number {
    return this.#many?.ageMs ?? 0
  }

  /** Sends all queries; resolves when each has its outcome, or the batch was stopped. @throws ApproxiferError OVERLOADED; RowError for wrong options */
  async send(queries: readonly QueryTensors[]): Promise<void> {
    const { signal } = this.stop
    const many = this.#open(queries.length)
    const sent: Promise<void>[] = []
    let bytes = 0
    for (const [row, query] of queries.entries()) {
      let late: unknown
      try {
        if (!many.take()) await many.wait(signal)
      } catch (error) {
        if ((error as ApproxiferError).code === 'OVERLOADED') throw error
        late = error
      }
      if (signal.aborted) break
      sent.push(this.#predict(many, row, query, late))
      bytes += bytesOf(query)
      if (bytes < SLICE) continue
      bytes = 0
      await turn()
    }
    await Promise.all(sent)
  }

  #open(rows: number): QueryBatch {
    try {
      this.#many = this.predictor.many(this.#choices, rows)
      return this.#many
    } catch (error) {
      throw new RowError(0, error)
    }
  }

  async #predict(many: QueryBatch, row: number, query: QueryTensors, late: unknown): Promise<void> {
    const { partial, keep = whole } = this.options
    try {
      if (late) throw late
      const prediction = await this.predictor.predictOf(many, query, this.#choices)
      this.older ??= { fingerprint: prediction.fingerprint }
      this.outcomes[row] = { prediction: keep(prediction) }
    } catch (error) {
      this.outcomes[row] = { error: asError(error, 'WORKER') }
      if (this.failure || (partial && !isMisuse(error))) return
      this.failure = new RowError(row, error)
      this.stop.abort()
    }
  }

  /** Gives back the batch's admission, and aborts what is still under way. */
  end(): void {
    this.#many?.end()
    this.stop.abort()
  }
}

export const whole = (prediction: Prediction) => prediction

/** The bytes of a query's or an answer's values. */
export function bytesOf(query: QueryTensors): number {
  if (isTensor(query)) return heldBytes('data' in query ? query.data : query)
  return Object.values(query).reduce((sum, tensor) => sum + bytesOf(tensor), 0)
}

/** Whether it is a single tensor (values alone, or with a shape), rather than tensors by name. */
function isTensor(query: QueryTensors): query is QueryTensor {
  return ArrayBuffer.isView(query) || Array.isArray(query) || Array.isArray((query as { shape?: unknown }).shape)
}
