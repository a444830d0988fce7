/** What a memory has learned of the model before a run begins: in one run there are too few answers for that. */

import { criterionOf } from '../../src/base/criterion'
import { seeded } from '../../src/base/random'
import { loadCore } from '../../src/core/load'
import { Experience } from '../../src/memory/experience'
import { ownAnswer, signature } from './model'

const PAIRS = 300

async function learn(): Promise<Uint8Array> {
  const criterion = criterionOf(signature.outputs, 'label')
  const experience = new Experience(await loadCore(), signature, { criterion, warn() {} })
  const random = seeded(1)
  for (let i = 0; i < PAIRS; i++) {
    const query = Float32Array.of(random.gauss(), random.gauss())
    Array.from(experience.train(query, ownAnswer(query, 0)))
  }
  return experience.save()
}

let state: Promise<Uint8Array> | undefined

/** For the option `memory.state`. */
export function learned(): Promise<Uint8Array> {
  state ??= learn()
  return state
}
