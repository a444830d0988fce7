/** A batch of any size as single queries: as many under way as there is room for, each with an outcome of its own. */

import { aborted, onAbort } from '../abort'
import type { Clock } from '../clock'
import { heldBytes } from '../element'
import { ApproxiferError, asError } from '../errors'
import { turn } from '../oip/json'
import type { PredictOptions } from '../predictor/options'
import type { Predictor } from '../predictor/predictor'
import type { Prediction } from '../query/prediction'
import type { QueryTensor, QueryTensors } from '../tensor'
import { isMisuse, messageOf } from './refusal'

export type RowOutcome = { prediction: Prediction } | { error: ApproxiferError }

/** Ids by which answers may be recalled, one a row, where any has one. */
export const recallIds = (rows: readonly (Prediction | undefined)[]) =>
  rows.some((row) => row?.id !== undefined) && { recall_id: rows.map((row) => row?.id ?? null) }

export class RowError extends Error {
  constructor(
    readonly row: number,
    override readonly cause: unknown,
  ) {
    super(`row ${row}: ${messageOf(cause)}`)
  }
}

export interface BatchOptions extends PredictOptions {
  /** Whether rows may fail one by one, rather than all with the first. */
  partial: boolean
  /** Of the whole batch; where there is none, each row has the predictor's own from when it is sent. */
  deadlineMs?: number
  clock: Clock
  /** What is kept of an answer, where that is not all. */
  keep?: (prediction: Prediction) => Prediction
}

/** How long a row waits until there is room for it, where the batch has no deadline. */
const MOST_WAIT_MS = 60_000
/** Bytes sent before whatever else waits has its turn. */
const SLICE = 2 ** 21

/**
 * @param queries  a single one is given away; several, which may be views of one body, are copied: one that is kept would hold on to all
 * @throws RowError for the first row that failed, unless rows may; always for a malformed one, and where all failed
 */
export async function predictBatch(
  predictor: Predictor,
  queries: readonly QueryTensors[],
  options: BatchOptions,
): Promise<RowOutcome[]> {
  if (queries.length === 1) return [await predictOne(predictor, queries[0], options)]
  const { signal } = options
  const batch = new RowBatch(predictor, options)
  const forget = onAbort(signal, () => batch.stop.abort(signal?.reason))
  try {
    if (!signal?.aborted) await batch.send(queries)
  } finally {
    forget()
    batch.stop.abort() // no row waits for room any more
  }
  if (signal?.aborted) throw new RowError(0, aborted(signal))
  if (batch.failure) throw batch.failure
  const { outcomes } = batch
  const [first] = outcomes
  if ('error' in first && outcomes.every((outcome) => 'error' in outcome)) throw new RowError(0, first.error)
  return outcomes
}

/** Most batches are of one, which waits for no room, and whose end stops nobody: where it failed all did. */
async function predictOne(
  predictor: Predictor,
  query: QueryTensors,
  { partial: _, clock: __, keep = whole, ...choices }: BatchOptions,
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
  /** Fires when nothing more is to be sent, and takes back what was. */
  readonly stop = new AbortController()
  readonly #predictor: Predictor
  readonly #options: BatchOptions
  readonly #end: number

  constructor(predictor: Predictor, options: BatchOptions) {
    this.#predictor = predictor
    this.#options = options
    this.#end = options.clock.now() + (options.deadlineMs ?? MOST_WAIT_MS)
  }

  /** Resolves when each has its outcome, or the batch was stopped. */
  async send(queries: readonly QueryTensors[]): Promise<void> {
    const { signal } = this.stop
    const sent: Promise<void>[] = []
    const late = this.#late()
    let bytes = 0
    for (const [row, query] of queries.entries()) {
      while (!this.#predictor.hasRoom && !signal.aborted && this.#leftMs > 0) {
        await Promise.race([this.#predictor.room(signal), late])
      }
      if (signal.aborted) break
      sent.push(this.#predict(row, query))
      bytes += bytesOf(query)
      if (bytes < SLICE) continue
      bytes = 0
      await turn()
    }
    await Promise.all(sent)
  }

  get #leftMs(): number {
    return this.#end - this.#options.clock.now()
  }

  /** Resolves at the end of the batch, and leaves no timer where it was stopped. */
  #late(): Promise<void> {
    return new Promise((resolve) => {
      const cancel = this.#options.clock.after(this.#leftMs, resolve)
      this.stop.signal.addEventListener('abort', cancel)
    })
  }

  async #predict(row: number, query: QueryTensors): Promise<void> {
    const { partial, clock: _, keep = whole, deadlineMs, ...choices } = this.#options
    const left = this.#leftMs
    const own = deadlineMs === undefined ? {} : { deadlineMs: left }
    try {
      if (left <= 0) {
        const code = deadlineMs === undefined ? 'OVERLOADED' : 'DEADLINE'
        throw new ApproxiferError(code, `no room for it within ${deadlineMs ?? MOST_WAIT_MS} ms`)
      }
      const options = { ...choices, ...own, signal: this.stop.signal }
      this.outcomes[row] = { prediction: keep(await this.#predictor.predict(query, options)) }
    } catch (error) {
      this.outcomes[row] = { error: asError(error, 'WORKER') }
      if (this.failure || (partial && !isMisuse(error))) return
      this.failure = new RowError(row, error)
      this.stop.abort()
    }
  }
}

export const whole = (prediction: Prediction) => prediction

/** Of a query, or an answer. */
export function bytesOf(query: QueryTensors): number {
  if (isTensor(query)) return heldBytes('data' in query ? query.data : query)
  return Object.values(query).reduce((sum, tensor) => sum + bytesOf(tensor), 0)
}

/** As a request's queries are: values, alone or with their shape. */
function isTensor(query: QueryTensors): query is QueryTensor {
  return ArrayBuffer.isView(query) || Array.isArray(query) || Array.isArray((query as { shape?: unknown }).shape)
}
