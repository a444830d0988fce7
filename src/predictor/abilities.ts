/** What can be done with a model, judged by its inputs and outputs, and why the rest cannot. */

import { isReal } from '../base/element'
import { type OutputKind, outputKindsOf, type Right } from '../base/output-kind'
import { areReadAsVectors } from '../base/payload'
import { isOpen, isReadAsVector, type Signature, shownShape, type TensorSpec } from '../base/tensor'
import type { ModelWorker } from '../workers/worker'

export interface Abilities {
  /** Hedges, retries, deadlines, batches, workers that come and go: with any model. */
  readonly pool: true
  /** Liars can be found by comparing several workers' answers (`scheme.byzantine`). */
  readonly agreement: boolean
  /** A query that equals an earlier one can get the same answer (`reuse.exact`). */
  readonly exactReuse: boolean
  /** Queries can be mixed, and answers decoded (`scheme.stragglers`, `scheme.preset`). */
  readonly coding: boolean
  /** Lost answers can be recovered from earlier ones: by the values of queries, by features that `memory.features` computes, or not at all. */
  readonly memory: 'vector' | 'features' | false
  /** Why there is no coding; undefined if there is. */
  readonly why: string | undefined
  /** Why there is no agreement and no exact reuse; undefined if there is. */
  readonly whyNotEqual: string | undefined
  /** For each output when a recovery of it is right, and why. */
  readonly right: readonly OutputKind[]
}

/** @param model  `repeats`: whether it answers the same query twice in the same way @param said  the predictor's option `right` */
export function abilitiesOf(
  { signature, repeats = true, hints }: Pick<ModelWorker, 'signature' | 'repeats' | 'hints'>,
  said?: Right,
): Abilities {
  const why = obstacle(signature)
  return {
    pool: true,
    agreement: repeats,
    exactReuse: repeats,
    coding: !why,
    memory: areReadAsVectors(signature) ? 'vector' : isReadAsVector(signature.outputs) && 'features',
    why,
    whyNotEqual: repeats
      ? undefined
      : 'the model answered the same query in two ways, as layers with random numbers do',
    right: outputKindsOf(signature.outputs, said, hints),
  }
}

/** A classifier that gives its label beside its scores, as scikit-learn's do: the scores alone can be mixed. */
function besides(outputs: Signature['outputs']): string {
  const scores = outputs.filter(({ type }) => isReal(type)).map(({ name }) => name)
  return scores.length && scores.length < outputs.length
    ? ` (onnx.outputs ${scores.join(',')} leaves the others out)`
    : ''
}

/** Why queries and answers are not vectors of real numbers; first the reasons that no option changes. */
function obstacle({ inputs, outputs, batched = true }: Signature): string | undefined {
  const named = (kind: string) => (spec: TensorSpec) => [`${kind} '${spec.name}'`, spec] as const
  const all = [...inputs.map(named('input')), ...outputs.map(named('output'))]
  for (const [what, { type = 'float32' }] of all) {
    if (type !== 'float32')
      return `${what} is ${type}, and only float32 can be mixed${what.startsWith('output') ? besides(outputs) : ''}`
  }
  if (!batched) return 'not all that the model takes and gives has the batch in front'
  const [what, open] = all.find(([, spec]) => isOpen(spec)) ?? []
  return (
    open && `${what} has shape [${shownShape(open)}], which may differ from query to query (onnx.inputShapes fixes it)`
  )
}
