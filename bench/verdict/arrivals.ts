/** Queries that come in real time at random moments (a Poisson process), as callers send them that know nothing of each other. */

import { Worker } from 'node:worker_threads'
import type { Random } from '../../src/base/random'

/** Runs in a thread of its own: timers of the event loop are a millisecond coarse, and queries would come in bursts. */
const CLOCKWORK = `
const { parentPort, workerData } = require('node:worker_threads')
const cell = new Int32Array(new SharedArrayBuffer(4))
let due = performance.now()
for (const gap of workerData) {
  due += gap
  const left = due - performance.now()
  if (left > 0) Atomics.wait(cell, 0, 0, left)
  parentPort.postMessage(0)
}`

/**
 * Calls `ask` at random moments and resolves once the last promise has resolved. Rejects as soon as one rejects: no further query comes then.
 *
 * @param gapMs  mean time between two queries @param count  how many are asked at most
 * @param ask  called with the query's number, from 0
 * @param isEnough  asked after each query: no further one comes once it is true
 */
export async function askAtRandom(
  { gapMs, count, random }: { gapMs: number; count: number; random: Random },
  ask: (n: number) => Promise<void>,
  isEnough = () => false,
): Promise<void> {
  const gaps = Float64Array.from({ length: count }, () => -Math.log(1 - random.next()) * gapMs)
  const thread = new Worker(CLOCKWORK, { eval: true, workerData: gaps })
  const open: Promise<void>[] = []
  try {
    await new Promise<void>((resolve, reject) => {
      thread.on('message', () => {
        if (open.length === count) return
        const asked = ask(open.length)
        asked.catch(reject)
        open.push(asked)
        if (open.length === count || isEnough()) resolve()
      })
      thread.on('error', reject)
    })
  } finally {
    thread.removeAllListeners('message')
    await thread.terminate()
  }
  await Promise.all(open)
}
