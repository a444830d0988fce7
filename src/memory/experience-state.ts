/**
 * The saved state of all that was learned, also of a predictor that learns nothing. A file of its own, since `Experience` imports the whole memory.
 */

import { type Criterion, judgedOf } from '../base/criterion'
import type * as saved from '../base/saved'
import { RunningDeviation } from '../base/stats'
import { type Signature, type TensorSpec, typed } from '../base/tensor'
import type { ConfidenceState } from './confidence-state'
import { pack } from './pack'

/** Something else that is saved with it. */
export interface Persistent {
  save(): unknown
  /** @throws RangeError for a state that `save` never made; nothing is changed then */
  load(state: unknown): void
}

/** The model that gave the answers; its fingerprint is null if unknown. */
export type LearnedModel = Signature & { fingerprint: string | null; probed?: unknown }

/** What tells the model from others of the same signature, if known. */
export interface ModelMarks {
  fingerprint?: string | undefined
  probed?: saved.Probed | undefined
}

/** Saved beside the memory. */
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

/** A state of what was learned, and of what others learn. */
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

/** What an experience saves that has learned nothing. @param evidence  saved with it */
export function saveNothing(model: LearnedModel, criterion: Criterion, evidence: Persistent | undefined): Uint8Array {
  const outcomes = { code: [], memory: [] }
  const spread = judgedOf(criterion).map(() => new RunningDeviation().save()) // as of `Deviations`, which pages need not load
  return packed(model, { worth: { criterion, workers: [], agreements: [], outcomes, spread } }, { evidence })
}
