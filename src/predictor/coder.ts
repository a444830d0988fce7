/** Codes and learns, with the numerical core: half of the package, loaded only for options that ask for it. */

import { Codec, type CodecOptions } from '../codec/codec'
import type { Core } from '../core/core'
import { loadCore } from '../core/load'
import { PaperGroup } from '../group/aaai22'
import { CodedGroup } from '../group/coded-group'
import { DEFAULT_BYTES } from '../memory/domain'
import { Experience, type ExperienceOptions } from '../memory/experience'
import { Extras } from '../query/budget'
import { Learning } from '../query/learning'
import { seeded } from '../random'
import type { Signature } from '../tensor'
import type { Checked, Settings } from './settings'
import { type Coder, NOBODY } from './tenants'

/** What a predictor codes with: the systematic code unless the scheme names another or the preset, also where workers may lie. */
export function codecFor(core: Core, scheme: CodecOptions = { queries: 1 }): Codec {
  const { preset, code = preset ? undefined : 'systematic' } = scheme
  return new Codec(core, { ...scheme, code })
}

export async function loadCoder({ scheme: options, testing }: Checked): Promise<Coder> {
  const first = codecFor(await loadCore(testing.core), options)
  const { code, core, scheme } = first
  const isSystematic = code === 'systematic'
  const groups = !isSystematic || (scheme.stragglers > 0 && !scheme.byzantine)
  const random = seeded(testing.seed)
  const copies = new Extras()
  return {
    ...{ code, scheme, core: core.kind },
    newTenant(name, shared, { signature, fingerprint, evidence }, settings) {
      const { limits, warn } = settings
      const codec = first.another()
      const learned = {
        ...{ criterion: shared.criterion, fingerprint, kernels: codec.kernels, warn },
        evidence: name === NOBODY ? evidence : undefined, // it is nobody's in particular
        memory: isSystematic && memoryOf(settings),
      }
      const experience = newExperience(codec, signature, settings, learned, name)
      const learning = new Learning(experience, shared.clock, warn, 1 / limits.tenants)
      const context = { ...shared, codec, copies, learning: isSystematic ? learning : undefined }
      const newGroup = () => (isSystematic ? new CodedGroup(context) : new PaperGroup(context, random))
      return { context, learning, save: () => learning.save(), newGroup: groups ? newGroup : undefined }
    },
  }
}

/** A tenant's part of the memory. */
function memoryOf({ memory, limits: { tenants } }: Settings): ExperienceOptions['memory'] {
  if (tenants === 1 || memory === false) return memory
  return { ...memory, bytes: Math.floor((memory?.bytes ?? DEFAULT_BYTES) / tenants) }
}

/** With what its state says, once: what is forgotten later stays so. */
function newExperience(
  { core }: Codec,
  signature: Signature,
  { states, unfit, warn }: Settings,
  options: ExperienceOptions,
  name: string,
): Experience {
  const state = Object.hasOwn(states, name) ? states[name] : undefined // one may be named __proto__
  delete states[name]
  try {
    return new Experience(core, signature, { ...options, state })
  } catch (error) {
    if (state === undefined || unfit === 'refuse') throw error
    warn(`nothing is taken over from what was learned before: ${(error as Error).message}`)
    return new Experience(core, signature, options)
  }
}
