/** A worker that notes the traceparents that come with its rows, and answers twice the row. */

import type { TensorList } from '../../src/base/tensor'
import { HandWorker } from './hand-predictor'
import { inferring } from './vectors'

export const TRACE = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'

export function traced(own = new HandWorker('traced')) {
  const seen: (string | undefined)[] = []
  const infer = inferring((row) => row.map((value) => 2 * value))
  Object.assign(own, {
    infer(query: TensorList, options?: { traceparent?: string }) {
      seen.push(options?.traceparent)
      return infer(query)
    },
  })
  return { own, seen }
}
