/** Reads the state that experience-state.ts writes, and refuses the state of another model. */

import * as saved from '../base/saved'
import type { ConfidenceState } from './confidence-state'
import type { ExperienceState, LearnedModel, ModelMarks, Persistent } from './experience-state'
import { unpack } from './unpack'

/** The parts of a state; each part is checked by what loads it. */
export interface SavedState {
  readonly memory?: Uint8Array | undefined
  readonly worth: ConfidenceState
  readonly evidence?: unknown
  readonly errorBudget?: unknown
}

interface StateOptions extends ModelMarks {
  /** Given if workers' records are loaded as well; then it warns if it is unknown whether the state is of this model. */
  evidence?: Persistent | undefined
  /** Called if it is unknown which model the state belongs to. */
  warn(text: string): void
}

/** @throws RangeError for a state that is damaged, or of another model */
export function learnedFrom(state: Uint8Array, own: LearnedModel, reading: StateOptions): SavedState {
  const archive = unpack('predictor', state)
  const { worth, evidence, errorBudget } = checked(archive.content, own, reading)
  const memory = archive.has('memory') ? archive.take('memory', 'u1') : undefined
  archive.end()
  return { memory, worth, evidence, errorBudget }
}

/** The header of a state, if the state belongs to this model. */
function checked(value: unknown, own: LearnedModel, reading: StateOptions): ExperienceState {
  const content = saved.object('content', value, ['model', 'worth', 'evidence', 'errorBudget'])
  const model = saved.object('model', content.model, ['inputs', 'outputs', 'fingerprint', 'probed'])
  saved.same('model.inputs', own.inputs, model.inputs)
  saved.same('model.outputs', own.outputs, model.outputs)
  if (content.worth === undefined) throw saved.refused('worth', 'an object', 'none')
  checkSame(model, own, reading)
  const { evidence, errorBudget } = content
  return { model: own, worth: content.worth as ConfidenceState, evidence, errorBudget }
}

/** Compares fingerprints; if they do not settle it, the answers to the probe query. Without either, equal names and shapes are enough. */
function checkSame(model: Record<string, unknown>, own: LearnedModel, { probed, evidence, warn }: StateOptions): void {
  const { fingerprint } = model
  if (fingerprint !== null) saved.text('model.fingerprint', fingerprint)
  const areKnown = fingerprint !== null && own.fingerprint !== null
  if (areKnown && fingerprint === own.fingerprint) return
  if (probed?.isOf(model.probed, evidence && !areKnown ? warn : undefined)) return
  if (areKnown) saved.same('model.fingerprint', own.fingerprint, fingerprint)
}
