/** What bench liars measures beside its runs, a part a process: in process, without time. */

import { loadCore } from '../../src/core/load'
import { evaluateVerified, type Verified } from '../../src/evaluate/verified'
import { dataOf, type ModelName } from '../shared/models'
import { type Craft, neighbour } from './neighbours'

export type Part =
  | { kind: 'passing'; model: ModelName; attack: string }
  | { kind: 'neighbour'; model: ModelName; craft: Craft }

export function simulate(part: Part): Promise<unknown> {
  return part.kind === 'passing' ? lies(part.model, part.attack) : neighbour(part.model, part.craft)
}

/** How many of a liar's answers would be given. */
async function lies(model: ModelName, attack: string): Promise<Verified> {
  const { inputs, answers, signature } = await dataOf(model)
  const own = { of: async (which: readonly number[]) => which.map((i) => answers[i]) }
  return evaluateVerified({
    core: await loadCore(),
    model: { signature, infer: never },
    inputs,
    own,
    liars: 1,
    attack,
    memory: 1000,
  })
}

const never = () => Promise.reject(new Error('all answers are known'))
