/** What the same tolerance costs without coding, or with other codes. */

import type { Recollection } from '../memory/memory'
import type { Scheme } from '../scheme'
import type { Experiment } from './experiment'
import { answersOf } from './model'
import type { Trial } from './trial'

type Redundancy = Pick<Scheme, 'queries' | 'stragglers' | 'byzantine'>

/** Every query S + 1 times; with liars 2E + 1 times, and S more that may be late. */
export function replicationWorkers({ queries, stragglers, byzantine }: Redundancy): number {
  return queries * (2 * byzantine + stragglers + 1)
}

/** ParM (Kosaian, Rashmi, Venkataraman, SOSP 2019): one trained parity model per straggler; finds no liars. */
export function parmWorkers({ queries, stragglers, byzantine }: Redundancy): number | undefined {
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

/** Answers query `lost` of a group, none of whose workers is late but that one's. */
export type Rival = (trial: Trial, lost: number) => Promise<Said> | Said

/** An answer, or what the memory says, of which it knows what it is worth. */
export type Said = Recollection | { answer: Float32Array; source?: undefined }

/** The rivals that can be measured on the model and its inputs. */
export function rivalsOf({ codec, model, experience }: Experiment): Record<string, Rival> {
  const memoryAlone: Rival = ({ remembered }, lost) => remembered[lost] as Recollection
  const sumParity: Rival = async ({ queries, own }, lost) => {
    const [sum] = await answersOf(model, codec.core.combine(new Float32Array(queries.length).fill(1), queries))
    const others = own.filter((_, query) => query !== lost)
    return { answer: sum.map((value, c) => others.reduce((rest, answer) => rest - answer[c], value)) }
  }
  return {
    ...(experience.memory === 'warm' && { memoryAlone }),
    ...(hasSumParity(codec) && { sumParity }),
  }
}

/** ParM's parity stands for one lost answer. */
export function hasSumParity({ code, scheme }: Experiment['codec']): boolean {
  return code === 'systematic' && scheme.stragglers === 1 && !scheme.byzantine
}
