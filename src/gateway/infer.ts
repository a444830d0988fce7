/** A batch of any size as single queries: so many under way as there is room for, each with an outcome of its own. */

import { aborted, onAbort } from '../abort'
import type { Clock } from '../clock'
import { ApproxiferError, asError } from '../errors'
import { turn } from '../oip/json'
import type { PredictOptions } from '../predictor/options'
import type { Predictor } from '../predictor/predictor'
import type { Prediction } from '../query/ticket'
import type { Query } from '../tensor'
import { isMisuse } from './refusal'

export type Outcome = { prediction: Prediction } | { error: ApproxiferError }

/** Why a batch came to nothing. */
export class RowError extends Error {
  constructor(
    readonly row: number,
    override readonly cause: unknown,
  ) {
    super(`row ${row}: ${cause instanceof Error ? cause.message : cause}`)
  }
}

export interface BatchOptions extends PredictOptions {
  /** Whether rows may fail one by one, rather than all with the first. */
  partial: boolean
  /** Of the whole batch; where there is none, each row has the predictor's own from when it is sent. */
  deadlineMs?: number
  clock: Clock
}

/** How long a row waits until there is room for it, where the batch has no deadline. */
const MOST_WAIT_MS = 60_000
/** Values sent before whatever else waits has its turn. */
const SLICE = 2 ** 19

/**
 * @param queries  one that is alone is given away; of several, which may be views of one body, each is copied: one that is
 *   kept would hold on to all
 * @throws RowError for the first row that failed, unless rows may; always for a malformed one, and where all failed
 */
export async function predictBatch(
  predictor: Predictor,
  queries: readonly Query[],
  options: BatchOptions,
): Promise<Outcome[]> {
  if (queries.length === 1) return [await predictOne(predictor, queries[0], options)]
  const { partial, deadlineMs, clock, signal, ...choices } = options
  const outcomes: Outcome[] = []
  const stop = new AbortController()
  const end = clock.now() + (deadlineMs ?? MOST_WAIT_MS)
  let failure: RowError | undefined
  const failed = (row: number, error: unknown) => {
    outcomes[row] = { error: asError(error, 'WORKER') }
    if (failure || (partial && !isMisuse(error))) return
    failure = new RowError(row, error)
    stop.abort()
  }
  const send = (row: number): Promise<void> => {
    const left = end - clock.now()
    const own = deadlineMs === undefined ? {} : { deadlineMs: left }
    return predictor.predict(queries[row], { ...choices, ...own, signal: stop.signal }).then(
      (prediction) => {
        outcomes[row] = { prediction }
      },
      (error) => failed(row, error),
    )
  }
  const forget = onAbort(signal, () => stop.abort(signal?.reason))
  const late = new Promise<void>((resolve) => {
    const cancel = clock.after(end - clock.now(), resolve)
    stop.signal.addEventListener('abort', cancel)
  })
  const sent: Promise<void>[] = []
  let values = 0
  try {
    for (let row = 0; row < queries.length && !failure && !signal?.aborted; row++) {
      const mayWait = () => !failure && !signal?.aborted && clock.now() < end
      while (!predictor.hasRoom && mayWait()) await Promise.race([predictor.room(stop.signal), late])
      if (failure || signal?.aborted) break
      if (clock.now() < end) sent.push(send(row))
      else failed(row, expired(deadlineMs))
      values += valuesOf(queries[row])
      if (values < SLICE) continue
      values = 0
      await turn()
    }
    await Promise.all(sent)
  } finally {
    forget()
    stop.abort() // nobody waits for room any more
  }
  if (signal?.aborted) throw new RowError(0, aborted(signal))
  if (failure) throw failure
  const [first] = outcomes
  if ('error' in first && outcomes.every((outcome) => 'error' in outcome)) throw new RowError(0, first.error)
  return outcomes
}

/** Most batches are of one, which waits for no room, and whose end stops nobody: where it failed all did. */
async function predictOne(
  predictor: Predictor,
  query: Query,
  { partial: _, clock: __, ...choices }: BatchOptions,
): Promise<Outcome> {
  try {
    return { prediction: await predictor.predictGiven(query, choices) }
  } catch (error) {
    throw new RowError(0, error)
  }
}

function expired(deadlineMs: number | undefined): ApproxiferError {
  if (deadlineMs !== undefined) return new ApproxiferError('DEADLINE', `no room for it within ${deadlineMs} ms`)
  return new ApproxiferError('OVERLOADED', `no room for it within ${MOST_WAIT_MS} ms`)
}

function valuesOf(query: Query): number {
  if (query instanceof Float32Array) return query.length
  return Object.values(query).reduce((sum, tensor) => sum + (tensor as Float32Array).length, 0)
}
