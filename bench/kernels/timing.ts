/** Paired timing in any runtime. Ways take turns in one run, so that a noisy machine hits all of them alike. */

const ROUNDS = 9

/** Steps of the clock in a sample, which keep its error at 5 %, and bounds of a sample in milliseconds. */
const [STEPS, LEAST_MS, MOST_MS] = [20, 4, 20]

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

const sampleMs = Math.min(MOST_MS, Math.max(LEAST_MS, STEPS * clockStep()))

/** Calls that fill a sample, once the engine has optimised the function. */
function callsOf(run: () => unknown): number {
  let calls = 0
  const start = performance.now()
  while (performance.now() - start < 3 * sampleMs) {
    run()
    calls++
  }
  return Math.max(1, Math.round((calls * sampleMs) / (performance.now() - start)))
}

export function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[values.length >> 1]
}

/** Lets a page draw. */
export const pause = () => new Promise<void>((resolve) => setTimeout(resolve, 0))

/** Microseconds a call takes in each way: the median of nine samples, in which the ways alternate. */
export async function timesOf<Way extends string>(ways: Record<Way, () => unknown>): Promise<Record<Way, number>> {
  const names = Object.keys(ways) as Way[]
  const calls = names.map((name) => callsOf(ways[name]))
  const samples = names.map((): number[] => [])
  for (let round = 0; round < ROUNDS; round++) {
    await pause()
    for (const [i, name] of names.entries()) {
      const start = performance.now()
      for (let call = 0; call < calls[i]; call++) ways[name]()
      samples[i].push((1000 * (performance.now() - start)) / calls[i])
    }
  }
  return Object.fromEntries(names.map((name, i) => [name, median(samples[i])])) as Record<Way, number>
}
