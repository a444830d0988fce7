/** Paired timing in any runtime. Ways take turns in one run, so that a noisy machine hits all of them alike. */

import { median } from '../../src/base/stats'

/** Of a call of more than SLOW_MS fewer: nobody waits for minutes. */
const [ROUNDS, FEWER_ROUNDS, SLOW_MS] = [9, 3, 50]

/** Steps of the clock in a sample, which keep its error at 5 %, and bounds of a sample in milliseconds. */
const [STEPS, LEAST_MS, MOST_MS] = [20, 1, 20]
/** A round takes the fastest of so many short samples: other programs interrupt some of them, and rarely all. */
const [SAMPLES, SHORT_MS] = [4, 5]
/** Until the engine has optimised a function. */
const [WARM_UP_MS, WARM_UP_PARTS] = [20, 4]

/** Milliseconds between two values of the clock: browsers round it. */
function clockStep(): number {
  let least = Number.POSITIVE_INFINITY
  for (let i = 0; i < 10; i++) {
    const start = performance.now()
    let now = start
    while (now === start) now = performance.now()
    least = Math.min(least, now - start)
  }
  return least
}

const STEP_MS = clockStep()
const sampleMs = Math.min(MOST_MS, Math.max(LEAST_MS, STEPS * STEP_MS))

/** Calls that fill a sample, of a function that is optimised, and milliseconds of a call: those of the fastest part of the warm-up, since another program may hold up the rest. */
function callsOf(run: () => unknown): { calls: number; ms: number } {
  let least = Number.POSITIVE_INFINITY
  for (let part = 0; part < WARM_UP_PARTS; part++) {
    let calls = 0
    const start = performance.now()
    let ms = 0
    while (ms < WARM_UP_MS / WARM_UP_PARTS) {
      run()
      calls++
      ms = performance.now() - start
    }
    least = Math.min(least, ms / calls)
  }
  return { calls: Math.max(1, Math.round(sampleMs / least)), ms: least }
}

/** Milliseconds of a call, as one round has it. A sample takes a step of the clock at least: of 0 there is no ratio. */
function round(run: () => unknown, calls: number): number {
  let least = Number.POSITIVE_INFINITY
  for (let sample = 0, ms = 0; sample < SAMPLES && ms < SHORT_MS; sample++) {
    const start = performance.now()
    for (let call = 0; call < calls; call++) run()
    ms = Math.max(STEP_MS, performance.now() - start)
    least = Math.min(least, ms / calls)
  }
  return least
}

/** Lets a page draw. */
export const pause = () => new Promise<void>((resolve) => setTimeout(resolve, 0))

/** Microseconds a call takes in each way: the median of nine rounds, in which the ways alternate. */
export async function timesOf<Way extends string>(ways: Record<Way, () => unknown>): Promise<Record<Way, number>> {
  const names = Object.keys(ways) as Way[]
  const calls = names.map((name) => callsOf(ways[name]))
  const rounds = calls.some(({ ms }) => ms > SLOW_MS) ? FEWER_ROUNDS : ROUNDS
  const samples = names.map((): number[] => [])
  for (let i = 0; i < rounds; i++) {
    await pause()
    for (const [at, name] of names.entries()) samples[at].push(1000 * round(ways[name], calls[at].calls))
  }
  return Object.fromEntries(names.map((name, i) => [name, median(samples[i]) as number])) as Record<Way, number>
}
