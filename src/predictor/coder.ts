/** Coding and learning, with the numerical core: half of the package, loaded only if an option needs it. */

import { platform } from '#platform'
import { systemClock } from '../base/clock'
import { secret, seeded } from '../base/random'
import { Codec, type CodecOptions } from '../codec/codec'
import type { Core } from '../core/core'
import { loadCore } from '../core/load'
import type { ErrorBudget } from '../layers/error-budget'
import { type ParityLayer, parity } from '../layers/parity'
import { recover } from '../layers/recover'
import { MemoryThread, type Spawn } from '../memory/thread'
import type { Service } from '../service'
import type { Checked, Settings } from './settings'
import { memoryFor } from './tenant-memory'
import { type Coder, recalls } from './tenants'
import { vectorsOf } from './vectors'

/** The codec of a predictor: the systematic code, unless the preset is named. */
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
    fallback: platform.isPage && platform.threads ? core.fallback : undefined, // edges that take the pages’ build have no WebAssembly from bytes
    ready: async () => (testing.memoryThread ? undefined : thread?.ready()), // simulated time must not wait for a real thread
    vectorsOf: (signature, { memory, warn }) => vectorsOf(signature, memory, warn),
    newTenant(name, shared, settings, { fingerprint, probed }) {
      const { clock, vectors } = shared
      const signature = { ...shared.signature, inputs: (vectors ?? shared.signature).inputs }
      const errors = Kind && budgetOf(Kind, settings)
      const memory = memoryFor(name, shared, settings, {
        ...{ core, thread, signature, errors, marks: { fingerprint, probed } },
        choices:
          isSystematic && vectors ? settings.memory && { ...settings.memory, features: vectors.features } : false,
      })
      const { lateness, recoveries, first, pool } = shared
      const { inputs } = shared.signature
      const { maxWaitMs } = settings
      if (paper) {
        const layers = () => ({ paper: paper({ clock, codec, signature: shared.signature, pool, random, maxWaitMs }) })
        return { errors, learned: memory, layers, save: () => memory.save() }
      }
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
        ...{ errors, learned: memory, layers, memory: vectors && memory },
        save: () => memory.save(),
        close: () => groups?.close(),
        forget: (identity) => groups?.forget(identity),
      }
    },
  }
}

/** The thread for all tenants' memories; undefined if the runtime has none, or time is simulated. */
function threadFor({ testing, onnx }: Checked): MemoryThread | undefined {
  const { clock = systemClock, memoryThread } = testing
  if (memoryThread) return new MemoryThread(clock, memoryThread as Spawn)
  if (!platform.threads || clock !== systemClock) return undefined
  return new MemoryThread(clock, (onDeath) => platform.spawn(onnx.createWorker, onDeath))
}

function budgetOf(Kind: typeof ErrorBudget, { reuse, choices, testing: { coin = secret } }: Settings): ErrorBudget {
  return new Kind({ maxError: reuse.maxError as number, coin, recovers: choices.policy !== 'retry' })
}
