/** A predictor on workers whose calls the test settles by hand. */

import { ApproxiferError, createPredictor, type ModelWorker, type PredictorOptions } from 'approxifer'
import { vi } from 'vitest'
import { systemClock } from '../../src/base/clock'
import { vectorOf } from '../../src/base/payload'
import type { TensorList } from '../../src/base/tensor'
import { listOf } from './vectors'

/** A worker whose calls the test settles by hand: only so can the order of events be forced. */
export class HandWorker implements ModelWorker {
  readonly signature = { inputs: [{ name: 'x', shape: [2] }], outputs: [{ name: 'y', shape: [2] }] }
  onFree: (() => void) | undefined
  /** Calls that it takes at a time: 0 for one that is down. */
  capacity = 1
  takesNext = false
  /** It tells nobody how large its answers are, and is not asked that. */
  readonly scales: readonly number[] = []
  restarts: string[] = []
  closed = 0
  gone = false
  readonly fingerprint?: string
  readonly calls: {
    row: Float32Array
    signal?: AbortSignal
    answer(y?: Float32Array): void
    fail(error: ApproxiferError): void
  }[] = []

  constructor(readonly name: string) {}

  get free() {
    return this.calls.length < this.capacity
  }

  infer(query: TensorList, { signal }: { signal?: AbortSignal } = {}): Promise<TensorList> {
    const row = vectorOf(query)
    return new Promise((resolve, reject) => {
      const end = () => {
        this.calls.splice(this.calls.indexOf(call), 1)
        this.onFree?.()
      }
      const call = {
        row,
        signal,
        answer: (y = row.map((v) => 2 * v)) => {
          resolve(listOf(y))
          end()
        },
        fail: (error: ApproxiferError) => {
          reject(error)
          end()
        },
      }
      this.calls.push(call)
      signal?.addEventListener('abort', () => reject(new ApproxiferError('ABORTED', 'aborted')))
    })
  }

  /** undefined for one on another machine. */
  restart?: (why: string) => void = (why) => this.restarts.push(why)

  async close() {
    this.closed++
    for (const call of [...this.calls]) call.fail(new ApproxiferError('CLOSED', 'closed'))
  }
}

export async function house(count: number, options: PredictorOptions) {
  const workers = Array.from({ length: count }, (_, i) => new HandWorker(`w${i}`))
  // Nobody is asked for a query by chance, where tests count who was asked.
  // On a real clock a slow machine may take longer over a few calls than the default of 5 ms allows a group to fill, and
  // one worker may seem slower than another: all answers take no time, then.
  const isReal = !vi.isFakeTimers()
  // Not the package's own clock: a memory stays in this thread, whose timers are the test's.
  const clock = isReal ? { now: () => 0, after: systemClock.after } : { ...systemClock }
  const testing = { clock, ...options.testing }
  const predictor = await createPredictor({
    workers,
    verify: { audit: 0 },
    right: 'label',
    ...(isReal && { maxWaitMs: 60_000 }),
    ...options,
    testing,
  })
  return { predictor, workers }
}

export const query = (x: number) => Float32Array.of(x, 1)
const nextTurn = globalThis.setImmediate // the real one, also where timers are made

/** Lets everything happen that needs no time. */
export const turn = () => new Promise<void>((resolve) => nextTurn(resolve))

/** What became of a promise when everything has happened that needs no time. */
export const settled = async (promise: Promise<unknown>) => {
  let state = 'open'
  promise.then(
    () => (state = 'answered'),
    () => (state = 'failed'),
  )
  await turn()
  return state
}
