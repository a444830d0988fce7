/** Paired timing: variants take turns in one run, so that a noisy machine hits all of them alike. */

import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

setFlagsFromString('--expose-gc')
export const collectGarbage: () => void = runInNewContext('gc')

export function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[values.length >> 1]
}

export interface Timing {
  /** Milliseconds per call. */
  min: number
  median: number
  /** Half the distance between the quartiles, over the median. */
  spread: number
}

/**
 * @param variants  functions to time; each call does the same work
 * @param rounds    samples per variant
 * @param sampleMs  length of a sample; a sample repeats its variant until it is that long
 */
export function measure(
  variants: Record<string, () => unknown>,
  { rounds = 21, sampleMs = 5 } = {},
): Record<string, Timing> {
  const repeats = new Map<string, number>()
  for (const [name, run] of Object.entries(variants)) {
    let calls = 0
    const start = performance.now()
    while (performance.now() - start < 20 * sampleMs || calls < 3) {
      run()
      calls++
    }
    repeats.set(name, Math.max(1, Math.round((calls * sampleMs) / (performance.now() - start))))
  }
  const samples = new Map(Object.keys(variants).map((name) => [name, [] as number[]]))
  for (let round = 0; round < rounds; round++) {
    for (const [name, run] of Object.entries(variants)) {
      const calls = repeats.get(name) as number
      collectGarbage() // or one variant pays for what the one before left behind
      run()
      const start = performance.now()
      for (let i = 0; i < calls; i++) run()
      samples.get(name)?.push((performance.now() - start) / calls)
    }
  }
  return Object.fromEntries([...samples].map(([name, values]) => [name, summary(values)]))
}

function summary(values: number[]): Timing {
  const sorted = values.sort((a, b) => a - b)
  const at = (share: number) => sorted[Math.round(share * (sorted.length - 1))]
  return { min: sorted[0], median: at(0.5), spread: (at(0.75) - at(0.25)) / 2 / at(0.5) }
}
