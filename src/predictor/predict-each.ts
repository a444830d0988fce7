/** Predicts many queries of one caller: enough are in flight to keep all workers busy, so that other callers need not wait behind them. */

import { onAbort } from '../base/abort'
import { expected } from '../base/check'
import type { Prediction } from '../base/prediction'
import type { QueryTensors } from '../base/tensor'
import type { PredictOptions } from './options'
import type { Predictor } from './predictor'

/** The answers, in order; rejects with the first error. */
export async function predictEach(
  predictor: Predictor,
  queries: Iterable<QueryTensors>,
  options: PredictOptions,
): Promise<Prediction[]> {
  if (typeof queries?.[Symbol.iterator] !== 'function')
    throw new TypeError(expected('queries', 'an array of queries', queries))
  const predictions: Promise<Prediction>[] = []
  let failure: { error: unknown } | undefined
  const stop = new AbortController()
  const rows = Array.isArray(queries) ? queries.length : Infinity
  const many = predictor.many(options, rows, options.deadlineMs !== undefined)
  const forget = onAbort(options.signal, () => stop.abort())
  try {
    for (const query of queries) {
      if (!many.take()) await many.wait(stop.signal)
      if (failure) break
      const prediction = predictor.predictOf(many, query, options)
      const place = predictions.length
      prediction.catch((error) => {
        failure ??= { error: placed(error, place) }
        stop.abort()
      })
      predictions.push(prediction)
      if (failure || predictor.isClosed || options.signal?.aborted) break
    }
  } finally {
    forget()
    many.end()
  }
  if (failure) throw failure.error
  return Promise.all(predictions)
}

/** Adds the position of the query to its error. */
function placed(error: unknown, place: number): unknown {
  if (!(error instanceof TypeError || error instanceof RangeError)) return error
  error.message = error.message.replace(/^query\b/, `queries[${place}]`)
  return error
}
