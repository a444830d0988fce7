/** Workers whose runs of several rows the test settles by hand, and pools of them. */

import type { ModelWorker } from 'approxifer'
import { ApproxiferError } from '../../src/base/errors'
import { acceptAnswers, type Payload, vectorOf } from '../../src/base/payload'
import type { TensorList } from '../../src/base/tensor'
import type { Attempt, Owner, Submission } from '../../src/pool/attempt'
import { Pool } from '../../src/pool/pool'
import { VirtualClock } from '../../src/testing/virtual-clock'
import { query } from './hand-predictor'
import { listOf, payloadOf } from './vectors'

export const signature = { inputs: [{ name: 'x', shape: [2] }], outputs: [{ name: 'y', shape: [2] }] }
export const accept = acceptAnswers(signature, true)
export const nobody: Owner = { began() {}, settled() {} }
/** What a worker takes over one row. */
export const MS = 10
export const died = new ApproxiferError('WORKER', 'went down')

interface Run {
  /** The first value of each row. */
  rows: number[]
  signals: readonly (AbortSignal | undefined)[]
  answer(i?: number, y?: Float32Array): void
  fail(error: ApproxiferError, i?: number): void
}

/** Runs are settled by hand, as a whole or row by row. */
export class BatchWorker implements ModelWorker {
  readonly signature = signature
  readonly runs: Run[] = []
  maxBatch = 8
  capacity = 1
  takesNext = false
  roundTripMs: number | undefined
  onFree: (() => void) | undefined
  restarts = 0

  constructor(readonly name = 'w') {}

  get free() {
    return this.runs.length < this.capacity
  }

  infer(query: TensorList, { signal }: { signal?: AbortSignal } = {}) {
    return this.inferBatch([query], { signals: signal ? [signal] : [] })[0]
  }

  inferBatch(queries: readonly TensorList[], { signals = [] }: { signals?: readonly AbortSignal[] } = {}) {
    const rows = queries.map(vectorOf)
    let open = rows.length
    const settles: { resolve(y: Float32Array): void; reject(error: ApproxiferError): void }[] = []
    const answers = rows.map((_, i) => {
      return new Promise<TensorList>((resolve, reject) => {
        const end = () => {
          settles[i] = { resolve() {}, reject() {} }
          if (--open) return
          this.runs.splice(this.runs.indexOf(run), 1)
          this.onFree?.()
        }
        settles[i] = { resolve: (y) => [resolve(listOf(y)), end()], reject: (error) => [reject(error), end()] }
        signals[i]?.addEventListener('abort', () => settles[i].reject(new ApproxiferError('ABORTED', 'aborted')))
      })
    })
    const each = (i: number | undefined) => (i === undefined ? rows.keys() : [i])
    const run: Run = {
      rows: rows.map(([x]) => x),
      signals,
      answer: (i, y) => [...each(i)].forEach((at) => settles[at].resolve(y ?? rows[at].map((v) => 2 * v))),
      fail: (error, i) => [...each(i)].forEach((at) => settles[at].reject(error)),
    }
    this.runs.push(run)
    return answers
  }

  restart() {
    this.restarts++
    const { capacity } = this
    this.capacity = 0
    for (const run of [...this.runs]) run.fail(new ApproxiferError('WORKER', 'was restarted'))
    this.capacity = capacity
  }

  async close() {}
}

/** A row of its own group, to be submitted. */
export function row(x: number, rest: Partial<Submission<Payload>> = {}): Submission<Payload> {
  return { payload: payloadOf(query(x)), owner: nobody, apart: [], priority: 'normal', ...rest }
}

/** A pool in simulated time whose workers are known to take 10 ms, and are at work on row 0. */
export async function busy(
  workers: BatchWorker[],
  options: { hangMs?: number; lateMs?: number; maxBatch?: number } = {},
) {
  const clock = new VirtualClock()
  const { hangMs = 30_000, lateMs, maxBatch } = options
  const settings = { clock, hangMs, accept, lateMs: () => lateMs, ...(maxBatch && { maxBatch }) }
  const pool = new Pool<Payload, Payload>(workers, settings)
  const pass = (ms: number) => clock.run(clock.now() + ms)
  for (let round = 0; round < 2; round++) {
    for (const _ of workers) pool.submit(row(0))
    await pass(MS)
    if (round === 0) for (const { runs } of workers) runs[0].answer()
    await pass(0)
  }
  return { clock, pool, pass, put: (...all: Submission<Payload>[]) => all.map((each) => pool.submit(each)) }
}

/** The rows of each run that a worker has. */
export const runsOf = (worker: BatchWorker) => worker.runs.map(({ rows }) => rows)
/** What became of an attempt. */
export const answerOf = ({ outcome }: Attempt<unknown, Payload>) =>
  outcome?.kind === 'answered' ? outcome.answer.vector : undefined
export const failureOf = ({ outcome }: Attempt) => (outcome?.kind === 'failed' ? outcome : undefined)
