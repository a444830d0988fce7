/** Codes and learns, with the numerical core: half of the package, loaded only for options that ask for it. */

import { Codec, type CodecOptions } from '../codec/codec'
import type { Core } from '../core/core'
import { loadCore } from '../core/load'
import type { ErrorBudget } from '../layers/error-budget'
import { type ParityLayer, parity } from '../layers/parity'
import { recover } from '../layers/recover'
import { DEFAULT_BYTES } from '../memory/domain'
import { Experience, type ExperienceOptions } from '../memory/experience'
import { InlineMemory } from '../memory/inline'
import { Learning } from '../memory/learning'
import { secret, seeded } from '../random'
import type { Service } from '../service'
import type { Checked, Settings } from './settings'
import { type Coder, evidenceOf, recalls } from './tenants'
import { vectorsOf } from './vectors'

/** What a predictor codes with: the systematic code, also where workers may lie, unless the preset is named. */
export function codecFor(core: Core, scheme: Omit<CodecOptions, 'code'> = { queries: 1 }): Codec {
  return new Codec(core, { ...scheme, code: scheme.preset ? undefined : 'systematic' })
}

export async function loadCoder({ scheme: options, testing, reuse }: Checked): Promise<Coder> {
  const codec = codecFor(await loadCore(testing.core), options)
  const { code, core, scheme } = codec
  const isSystematic = code === 'systematic'
  const isCoded = isSystematic && scheme.stragglers > 0 && !scheme.byzantine
  const random = seeded(testing.seed)
  const paper = isSystematic ? undefined : (await import('../layers/paper')).paper
  const Kind = reuse.maxError === undefined ? undefined : (await import('../layers/error-budget')).ErrorBudget
  return {
    ...{ code, scheme, core: core.kind, learns: true },
    vectorsOf: (signature, { memory, warn }) => vectorsOf(signature, memory, warn),
    newTenant(name, shared, settings, { fingerprint, probed }) {
      const { clock, criterion, vectors, trust } = shared
      const signature = { ...shared.signature, inputs: (vectors ?? shared.signature).inputs }
      const { limits, warn } = settings
      const choices = vectors ? settings.memory && { ...settings.memory, features: vectors.features } : (false as const)
      const errors = Kind && budgetOf(Kind, settings)
      const bytes = Math.floor(((choices || undefined)?.bytes ?? DEFAULT_BYTES) / limits.tenants)
      const learned: ExperienceOptions = {
        ...{ criterion, fingerprint, probed, evidence: evidenceOf(name, trust), ledger: errors, warn },
        memory: isSystematic && (limits.tenants > 1 && choices !== false ? { ...choices, bytes } : choices),
      }
      const experience = taught(settings, name, (state) => new Experience(core, signature, { ...learned, state }))
      const learning = new Learning(experience, clock, warn, 1 / limits.tenants, shared.first)
      const { lateness, recoveries, first, pool } = shared
      const { inputs } = shared.signature
      const { maxWaitMs } = settings
      if (paper) {
        const layers = () => ({ paper: paper({ clock, codec, signature: shared.signature, pool, random, maxWaitMs }) })
        return { errors, learning, layers, save: () => learning.save() }
      }
      const memory = new InlineMemory(learning)
      const isDoubted = () => first.doubt !== undefined
      const isProven = scheme.byzantine > 0
      const recovered = { clock, lateness, budget: recoveries, memory, errors, isDoubted, isProven }
      const coded = { clock, codec, pool, inputs, memory, maxWaitMs }
      let groups: ParityLayer | undefined
      const layers = (workers: Service) => {
        groups = isCoded ? parity({ ...coded, workers }) : undefined
        const recovers = vectors && recover({ ...recovered, outputs: signature.outputs })
        return { recallable: recalls(shared), recover: recovers, parity: groups }
      }
      return {
        ...{ errors, learning, layers, memory: vectors && memory },
        save: () => learning.save(),
        close: () => groups?.close(),
        forget: (identity) => groups?.forget(identity),
      }
    },
  }
}

/** What a memory may answer unasked. */
function budgetOf(Kind: typeof ErrorBudget, { reuse, choices, testing: { coin = secret } }: Settings): ErrorBudget {
  return new Kind({ maxError: reuse.maxError as number, coin, recovers: choices.policy !== 'retry' })
}

/** A tenant's state is taken up once: what is forgotten later stays so. One that does not fit is a warning, and nothing of it is taken. */
function taught(
  { states, warn }: Settings,
  name: string,
  make: (state: Uint8Array | undefined) => Experience,
): Experience {
  const state = Object.hasOwn(states, name) ? states[name] : undefined // one may be named __proto__
  delete states[name]
  try {
    return make(state)
  } catch (error) {
    if (state === undefined) throw error
    warn(`nothing is taken over from what was learned before: ${(error as Error).message}`)
    return make(undefined)
  }
}
