/** The saved state of all that was learned. It has no import of the memory, since a predictor without one saves a state as well. */

import { type Criterion, judgedOf } from '../base/criterion'
import type * as saved from '../base/saved'
import { RunningDeviation } from '../base/stats'
import { type Signature, type TensorSpec, typed } from '../base/tensor'
import type { ConfidenceState } from './confidence-state'
import { pack } from './pack'

/** Something that is saved with the memory. */
export interface Persistent {
  save(): unknown
  /** @throws RangeError for a state that `save` never made; then nothing changes */
  load(state: unknown): void
}

/** The model that gave the answers; the fingerprint is null if it is unknown. */
export type LearnedModel = Signature & { fingerprint: string | null; probed?: unknown }

/** What distinguishes models of the same signature, if it is known. */
export interface ModelMarks {
  fingerprint?: string | undefined
  probed?: saved.Probed | undefined
}

/** The header of a saved state; the memory follows as an array. */
export interface ExperienceState {
  model: LearnedModel
  worth: ConfidenceState
  evidence?: unknown
  errorBudget?: unknown
}

export function learnedModel({ inputs, outputs }: Signature, { fingerprint, probed }: ModelMarks): LearnedModel {
  const specOf = ({ name, shape, type }: TensorSpec): TensorSpec => typed(name, [...shape], type)
  const model = { inputs: inputs.map(specOf), outputs: outputs.map(specOf) }
  return { ...model, fingerprint: fingerprint ?? probed?.fingerprint ?? null, ...(probed && { probed: probed.saved }) }
}

/** The bytes of a saved state. */
export function packed(
  model: LearnedModel,
  { worth, memory }: { worth: ConfidenceState; memory?: Uint8Array | undefined },
  { evidence, errorBudget }: { evidence?: Persistent | undefined; errorBudget?: Persistent | undefined },
): Uint8Array {
  const others = {
    ...(evidence && { evidence: evidence.save() }),
    ...(errorBudget && { errorBudget: errorBudget.save() }),
  }
  const content: ExperienceState = { model, worth, ...others }
  return pack('predictor', content, memory ? { memory } : {})
}

/** The saved state of a predictor that learns nothing but workers' records. */
export function saveNothing(model: LearnedModel, criterion: Criterion, evidence: Persistent | undefined): Uint8Array {
  const outcomes = { code: [], memory: [] }
  const spread = judgedOf(criterion).map(() => new RunningDeviation().save()) // as `Deviations`, which would make pages larger
  return packed(model, { worth: { criterion, workers: [], agreements: [], outcomes, spread } }, { evidence })
}
