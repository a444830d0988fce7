/** Codes and learns, with the numerical core: half of the package, loaded only for options that ask for it. */

import { platform } from '#platform'
import { systemClock } from '../clock'
import { Codec, type CodecOptions } from '../codec/codec'
import type { Core } from '../core/core'
import { loadCore } from '../core/load'
import type { ErrorBudget } from '../layers/error-budget'
import { type ParityLayer, parity } from '../layers/parity'
import { recover } from '../layers/recover'
import { DEFAULT_BYTES, type OwnFeatures, sampleFeatures } from '../memory/domain'
import { type ExperienceOptions, memoryOf } from '../memory/experience'
import { learnedModel } from '../memory/experience-state'
import { HostedMemory } from '../memory/hosted'
import { learnedFrom, type SavedParts } from '../memory/learned'
import { Memory } from '../memory/memory'
import { MemoryThread } from '../memory/thread'
import { secret, seeded } from '../random'
import type { Service } from '../service'
import { type Signature, size } from '../tensor'
import type { Checked, Settings } from './settings'
import { type Coder, evidenceOf, recalls } from './tenants'
import { vectorsOf } from './vectors'

/** What a predictor codes with: the systematic code, also where workers may lie, unless the preset is named. */
export function codecFor(core: Core, scheme: Omit<CodecOptions, 'code'> = { queries: 1 }): Codec {
  return new Codec(core, { ...scheme, code: scheme.preset ? undefined : 'systematic' })
}

export async function loadCoder(given: Checked): Promise<Coder> {
  const { scheme: options, testing, reuse } = given
  const codec = codecFor(await loadCore(testing.core), options)
  const { code, core, scheme } = codec
  const thread = threadFor(given)
  const isSystematic = code === 'systematic'
  const isCoded = isSystematic && scheme.stragglers > 0 && !scheme.byzantine
  const random = seeded(testing.seed)
  const paper = isSystematic ? undefined : (await import('../layers/paper')).paper
  const Kind = reuse.maxError === undefined ? undefined : (await import('../layers/error-budget')).ErrorBudget
  return {
    ...{ code, scheme, core: core.kind, learns: true },
    ready: async () => (testing.memoryThread ? undefined : thread?.ready()), // made time has to go on meanwhile
    vectorsOf: (signature, { memory, warn }) => vectorsOf(signature, memory, warn),
    newTenant(name, shared, settings, { fingerprint, probed }) {
      const { clock, criterion, vectors, trust } = shared
      const signature = { ...shared.signature, inputs: (vectors ?? shared.signature).inputs }
      const { limits, warn } = settings
      const choices = vectors ? settings.memory && { ...settings.memory, features: vectors.features } : (false as const)
      const errors = Kind && budgetOf(Kind, settings)
      const bytes = Math.floor(((choices || undefined)?.bytes ?? DEFAULT_BYTES) / limits.tenants)
      const remembering: ExperienceOptions['memory'] =
        isSystematic && (limits.tenants > 1 && choices !== false ? { ...choices, bytes } : choices)
      const remembered = memoryOf(signature, criterion, remembering)
      const { features } = remembered ?? {}
      const own = typeof features === 'function' ? features : undefined
      const plan = own && remembering ? givenFeatures(remembering, own, signature) : remembering
      const evidence = evidenceOf(name, trust)
      const model = learnedModel(signature, { fingerprint, probed })
      const host = (learned: SavedParts | undefined) =>
        new HostedMemory({
          ...{ core: codec.core, clock, warn, model, part: 1 / limits.tenants, first: shared.first },
          plan: { core: core.kind, signature, criterion, memory: plan, learned },
          remembers: remembered !== undefined,
          features: own,
          thread,
          saved: { evidence, ledger: errors },
        })
      const learned = taught(settings, name, (state) => {
        const read = state && learnedFrom(state, model, { fingerprint, probed, evidence, warn })
        const checked = thread && memoryOf(signature, criterion, plan)
        if (checked) Memory.check(checked, read?.memory) // else it is made here, which does
        const made = host(read)
        if (read?.evidence !== undefined) evidence?.load(read.evidence)
        if (read?.ledger !== undefined) errors?.load(read.ledger)
        return made
      })
      const { lateness, recoveries, first, pool } = shared
      const { inputs } = shared.signature
      const { maxWaitMs } = settings
      if (paper) {
        const layers = () => ({ paper: paper({ clock, codec, signature: shared.signature, pool, random, maxWaitMs }) })
        return { errors, learned, layers, save: () => learned.save() }
      }
      const memory = learned
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
        ...{ errors, learned, layers, memory: vectors && memory },
        save: () => learned.save(),
        close: () => groups?.close(),
        forget: (identity) => groups?.forget(identity),
      }
    },
  }
}

/** The user's function stays here: what it makes of queries is remembered. */
function givenFeatures(
  memory: Exclude<ExperienceOptions['memory'], false | undefined>,
  features: OwnFeatures,
  { inputs }: Signature,
): ExperienceOptions['memory'] {
  const values = inputs.reduce((sum, input) => sum + size(input), 0)
  return { ...memory, features: { sample: sampleFeatures(features, values) } }
}

/** Of all tenants' memories; undefined where the runtime has none, or where time is made. */
function threadFor({ testing, onnx }: Checked): MemoryThread | undefined {
  const { clock = systemClock, memoryThread } = testing
  if (memoryThread) return new MemoryThread(clock, memoryThread)
  if (!platform.threads || clock !== systemClock) return undefined
  return new MemoryThread(clock, (onDeath) => platform.spawn(onnx.createWorker, onDeath))
}

/** What a memory may answer unasked. */
function budgetOf(Kind: typeof ErrorBudget, { reuse, choices, testing: { coin = secret } }: Settings): ErrorBudget {
  return new Kind({ maxError: reuse.maxError as number, coin, recovers: choices.policy !== 'retry' })
}

/** A tenant's state is taken up once: what is forgotten later stays so. One that does not fit is a warning, and nothing of it is taken. */
function taught(
  { states, warn }: Settings,
  name: string,
  make: (state: Uint8Array | undefined) => HostedMemory,
): HostedMemory {
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
