/** What a model version answers queries with: its workers, what is known of them, and when an answer is right. */

import { type Criterion, criterionFrom } from '../base/criterion'
import { outputKindsOf } from '../base/output-kind'
import { acceptAnswers, hasVectors, type Payload, shapeKeyOf } from '../base/payload'
import { secret } from '../base/random'
import { FirstAnswers } from '../base/refutation'
import { isOpen, type Signature, type TensorList } from '../base/tensor'
import { Lateness } from '../layers/lateness'
import { Pool } from '../pool/pool'
import { Evidence } from '../trust/evidence'
import type { GivenAnswers } from '../trust/given-answers'
import { Reputation, type Verdict } from '../trust/reputation'
import type { Sampling, samplingOf } from '../trust/sampling'
import { identityOf, type ModelWorker } from '../workers/worker'
import type { Ended } from './caller'
import { Padding } from './padding'
import { QueryBuffers } from './query-buffers'
import type { Settings } from './settings'
import type { Coder } from './tenants'
import type { Vectors } from './vectors'

export interface Dependencies {
  readonly coder: Coder
  readonly signature: Signature
  /** Queries of equal keys may share a run of the model. Undefined if all shapes are fixed. */
  readonly shapeKeyOf: ((query: TensorList) => string) | undefined
  /** Queries as vectors, by which they are mixed, remembered and compared. Undefined if none of this is done. */
  readonly vectors: Vectors | undefined
  /** Whether queries are used as vectors, which must be finite. */
  readonly isMixed: boolean
  /** Undefined if queries are used longer than their answer takes, or if workers cannot read shared memory. */
  readonly buffers: QueryBuffers | undefined
  readonly pool: Pool<Payload, Payload>
  readonly lateness: Lateness
  readonly criterion: Criterion
  /** What speaks against the assumed meaning of outputs: while there is something, no approximate answer is given. */
  readonly first: FirstAnswers
  readonly trust: Reputation
  readonly sampled: Sampling | undefined
  /** Answers that may be recalled, of all model versions; undefined if none is. */
  readonly given: GivenAnswers | undefined
  /** Called when a caller's query has ended. */
  readonly ended: Ended
}

/** What a model version reports. */
export interface Callbacks {
  /** Workers have left. */
  fewer(): void
  judged(verdict: Verdict): void
  readonly ended: Ended
}

export type SamplingOf = ReturnType<typeof samplingOf>

interface DependencyOptions {
  /** Which workers are trusted; default: all but `byzantine` liars. */
  reputation?: typeof Reputation | undefined
  sampling?: SamplingOf | undefined
  given?: GivenAnswers | undefined
  /** The version before: its workers' records are shared. */
  before?: Dependencies | undefined
}

/** @param workers  at least one */
export function dependenciesOf(
  coder: Coder,
  workers: readonly ModelWorker[],
  settings: Settings,
  callbacks: Callbacks,
  { reputation: Believed = Reputation, sampling, given, before }: DependencyOptions = {},
): Dependencies {
  const { clock, events, hangMs, limits, scheme, verify, seed, warn, coin = secret } = settings
  const [{ signature, hints }] = workers
  const outputKinds = outputKindsOf(signature.outputs, settings.right, hints)
  const criterion = criterionFrom(signature.outputs, outputKinds)
  const first = new FirstAnswers(signature.outputs, outputKinds, warn)
  const padding = limits.pad ? Padding.for(workers[0]) : undefined
  const vectors = coder.vectorsOf(signature, settings)
  // If answers are neither mixed nor compared, NaN is an answer like any other, not its worker's fault.
  const isPlain = !scheme && verify.mode === 'every' && verify.trust === 'closed'
  const keeps = coder.learns || settings.reuse.exact
  const buffers = !keeps && workers.every((each) => each.sharedMemory) ? new QueryBuffers(workers[0]) : undefined
  const lateness: Lateness = new Lateness(() => pool)
  const pool: Pool<Payload, Payload> = new Pool<Payload, Payload>(workers, {
    ...{ clock, hangMs, maxBatch: limits.batch, together: padding?.together },
    plain: (worker) => verify.trust === 'open' && !worker.trusted,
    accept: acceptAnswers(signature, vectors !== undefined && !isPlain),
    fewer: () => callbacks.fewer(),
    changed: ({ name: worker }, identity, what) =>
      events.tellOf(worker, identity, typeof what === 'number' ? { event: 'slots', slots: what } : { event: what }),
    lateMs: () => lateness.ages?.hedgeMs,
  })
  const trust = new Believed({
    ...{ pool, criterion, seed, coin, warn, ...verify, evidence: new Evidence(before?.trust.evidence) },
    signature,
    liars: coder.scheme.byzantine,
    ejects: coder.code === 'systematic',
    judged: (verdict) => callbacks.judged(verdict),
    liar: ({ name: worker }, identity) => events.tellOf(worker, identity, { event: 'lied' }),
    recall: (worker, place) => {
      const [identity, { name }] = [identityOf(worker), worker]
      for (const [tenant, all] of given?.recall(identity, place) ?? [])
        events.tellOf(name, identity, { event: 'recalled', tenant: tenant || undefined, ...all })
    },
  })
  const shapeKey = signature.inputs.some(isOpen) ? (padding?.keyOf ?? shapeKeyOf) : undefined
  const sampled = given && sampling?.({ pool, trust, given })
  const isMixed = vectors !== undefined && hasVectors(signature)
  const known = { coder, signature, shapeKeyOf: shapeKey, vectors, isMixed, buffers }
  return { ...known, pool, lateness, criterion, first, trust, sampled, given, ended: callbacks.ended }
}
