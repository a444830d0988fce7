/** Codes and learns, with the numerical core: half of the package, loaded only for options that ask for it. */

import { Codec, type CodecOptions } from '../codec/codec'
import type { Core } from '../core/core'
import { loadCore } from '../core/load'
import { CodedGroup } from '../group/coded-group'
import type { ErrorBudget } from '../layers/error-budget'
import { recover } from '../layers/recover'
import { DEFAULT_BYTES } from '../memory/domain'
import { Experience, type ExperienceOptions } from '../memory/experience'
import { InlineMemory } from '../memory/inline'
import { Learning } from '../memory/learning'
import { secret, seeded } from '../random'
import type { Checked, Settings } from './settings'
import { type Coder, evidenceOf } from './tenants'
import { vectorsOf } from './vectors'

/** What a predictor codes with: the systematic code, also where workers may lie, unless the preset is named. */
export function codecFor(core: Core, scheme: Omit<CodecOptions, 'code'> = { queries: 1 }): Codec {
  return new Codec(core, { ...scheme, code: scheme.preset ? undefined : 'systematic' })
}

export async function loadCoder({ scheme: options, testing, reuse }: Checked): Promise<Coder> {
  const codec = codecFor(await loadCore(testing.core), options)
  const { code, core, scheme } = codec
  const isSystematic = code === 'systematic'
  const groups = !isSystematic || (scheme.stragglers > 0 && !scheme.byzantine)
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
      const memory = vectors ? settings.memory && { ...settings.memory, features: vectors.features } : (false as const)
      const ledger = Kind && ledgerOf(Kind, settings)
      const bytes = Math.floor(((memory || undefined)?.bytes ?? DEFAULT_BYTES) / limits.tenants)
      const learned: ExperienceOptions = {
        ...{ criterion, fingerprint, probed, evidence: evidenceOf(name, trust), ledger, warn },
        memory: isSystematic && (limits.tenants > 1 && memory !== false ? { ...memory, bytes } : memory),
      }
      const experience = taught(settings, name, (state) => new Experience(core, signature, { ...learned, state }))
      const learning = new Learning(experience, clock, warn, 1 / limits.tenants, shared.first)
      const context = {
        ...shared,
        codec,
        ledger,
        learning: isSystematic && vectors ? learning : undefined,
      }
      const newGroup = () => new CodedGroup(context)
      const { lateness, recoveries, first } = shared
      const isDoubted = () => first.doubt !== undefined
      const recovered = {
        clock,
        lateness,
        budget: recoveries,
        errors: ledger,
        isDoubted,
      }
      const { pool } = shared
      const { maxWaitMs } = settings
      if (paper) {
        const layers = [paper({ clock, codec, signature: shared.signature, pool, random, maxWaitMs })]
        return { context, learning, layers, save: () => learning.save() }
      }
      const { outputs } = signature
      const recalls = context.learning && new InlineMemory(learning)
      const layers = recalls ? [recover({ ...recovered, memory: recalls, outputs })] : []
      const save = () => learning.save()
      const own = { context, learning, memory: recalls, errors: ledger, layers, save }
      return { ...own, newGroup: groups ? newGroup : undefined }
    },
  }
}

/** What a memory may answer unasked. */
function ledgerOf(Kind: typeof ErrorBudget, { reuse, choices, testing: { coin = secret } }: Settings): ErrorBudget {
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
