/** What the same tolerance costs without coding, or with other codes. */

import type { Scheme } from '../scheme'

type Tolerance = Pick<Scheme, 'queries' | 'stragglers' | 'byzantine'>

/** Every query S + 1 times; with liars 2E + 1 times, and S more that may be late. */
export function replicationWorkers({ queries, stragglers, byzantine }: Tolerance): number {
  return queries * (2 * byzantine + stragglers + 1)
}

/** ParM (Kosaian, Rashmi, Venkataraman, SOSP 2019): one trained parity model per straggler; finds no liars. */
export function parmWorkers({ queries, stragglers, byzantine }: Tolerance): number | undefined {
  return byzantine ? undefined : queries + stragglers
}

/**
 * Accuracy of not coding: the same share S / N of answers is lost and guessed, and the share E / N is lies.
 *
 * @param base    the model's accuracy
 * @param chance  that a guess is right
 */
export function guessLost(base: number, { stragglers, byzantine, workers }: Scheme, chance: number): number {
  const lost = stragglers / workers
  return (1 - lost - byzantine / workers) * base + lost * chance
}
