/** The memory of a tenant: where it runs, and what it loads of a saved state. */

import { type Signature, size } from '../base/tensor'
import type { Core } from '../core/core'
import type { ErrorBudget } from '../layers/error-budget'
import { DEFAULT_BYTES, type OwnFeatures, sampleFeatures } from '../memory/domain'
import { type ExperienceOptions, memoryOf } from '../memory/experience'
import { learnedModel, type ModelMarks } from '../memory/experience-state'
import { HostedMemory } from '../memory/hosted'
import { learnedFrom } from '../memory/learned'
import { Memory } from '../memory/memory'
import type { MemoryThread } from '../memory/thread'
import type { Settings } from './settings'
import { evidenceOf, type Shared } from './tenants'

interface TenantMemoryOptions {
  readonly core: Core
  /** One thread for all tenants; undefined if the runtime has none. */
  readonly thread: MemoryThread | undefined
  /** The vectors that queries are compared by. */
  readonly signature: Signature
  /** The error budget of the memory's answers; saved with it. */
  readonly errors: ErrorBudget | undefined
  readonly marks: ModelMarks
  readonly choices: ExperienceOptions['memory']
}

export function memoryFor(
  name: string,
  { clock, criterion, trust, first }: Shared,
  settings: Settings,
  { core, thread, signature, errors, marks, choices }: TenantMemoryOptions,
): HostedMemory {
  const { limits, warn } = settings
  const bytes = Math.floor(((choices || undefined)?.bytes ?? DEFAULT_BYTES) / limits.tenants)
  const remembering = limits.tenants > 1 && choices !== false ? { ...choices, bytes } : choices
  const remembered = memoryOf(signature, criterion, remembering)
  const features = typeof remembered?.features === 'function' ? remembered.features : undefined
  const memory = features && remembering ? givenFeatures(remembering, features, signature) : remembering
  const evidence = evidenceOf(name, trust)
  const model = learnedModel(signature, marks)
  return taught(settings, name, (state) => {
    const learned = state && learnedFrom(state, model, { ...marks, evidence, warn })
    const checked = thread && memoryOf(signature, criterion, memory)
    if (checked) Memory.check(checked, learned?.memory) // else the memory is made here, which checks the state
    const made = new HostedMemory({
      ...{ core, clock, warn, model, features, thread, first, part: 1 / limits.tenants },
      plan: { core: core.kind, signature, criterion, memory, learned },
      remembers: remembered !== undefined,
      saved: { evidence, errorBudget: errors },
    })
    try {
      if (learned?.evidence !== undefined) evidence?.load(learned.evidence)
      if (learned?.errorBudget !== undefined) errors?.load(learned.errorBudget)
    } catch (error) {
      made.close() // else its thread would stay
      throw error
    }
    return made
  })
}

/** The user's function runs here: the memory gets the features that it returns. */
function givenFeatures(
  memory: Exclude<ExperienceOptions['memory'], false | undefined>,
  features: OwnFeatures,
  { inputs }: Signature,
): ExperienceOptions['memory'] {
  const values = inputs.reduce((sum, input) => sum + size(input), 0)
  return { ...memory, features: { sample: sampleFeatures(features, values) } }
}

/** A tenant's state is loaded once: what is forgotten later stays forgotten. A state that does not fit is a warning, and nothing of it is loaded. */
function taught(
  { states, warn }: Settings,
  name: string,
  make: (state: Uint8Array | undefined) => HostedMemory,
): HostedMemory {
  const state = Object.hasOwn(states, name) ? states[name] : undefined // a tenant may be named __proto__
  delete states[name]
  try {
    return make(state)
  } catch (error) {
    if (state === undefined) throw error
    warn(`nothing is taken over from what was learned before: ${(error as Error).message}`)
    return make(undefined)
  }
}
