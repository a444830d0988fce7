/** What can be done with a model, by what it takes and gives; and why the rest cannot. */

import { type CriterionOptions, type OutputReading, readingsOf } from '../reading'
import { isOpen, type Signature, shownShape, type TensorSpec } from '../tensor'

export interface Abilities {
  /** Hedges, retries, deadlines, batches, workers that come and go: with any model. */
  readonly pool: true
  /** Several workers' answers tell who lies (`scheme.byzantine`). */
  readonly agreement: true
  /** Queries can be mixed, and answers decoded (`scheme.stragglers`, `scheme.preset`). */
  readonly coding: boolean
  /** Lost answers can be recovered from earlier ones: 'vector', or not. */
  readonly memory: 'vector' | false
  /** Why there is no coding and no memory; undefined where there is. */
  readonly why: string | undefined
  /** When each output of a recovery is right, and why it is read like that. */
  readonly right: readonly OutputReading[]
}

export function abilitiesOf(signature: Signature, options: CriterionOptions = {}): Abilities {
  const why = obstacle(signature)
  const right = readingsOf(signature.outputs, options, 'right.')
  return { pool: true, agreement: true, coding: !why, memory: why === undefined && 'vector', why, right }
}

/** What keeps queries and answers from being vectors of real numbers. */
function obstacle({ inputs, outputs, batched = true }: Signature): string | undefined {
  const of = (kind: string, specs: readonly TensorSpec[]) =>
    specs.map((spec) => flawOf(`${kind} '${spec.name}'`, spec)).find((flaw) => flaw !== undefined)
  const flaw = of('input', inputs) ?? of('output', outputs)
  return flaw ?? (batched ? undefined : 'not all that the model takes and gives has the batch in front')
}

function flawOf(what: string, spec: TensorSpec): string | undefined {
  const { type = 'float32' } = spec
  if (type !== 'float32') return `${what} is ${type}, and only float32 can be mixed`
  if (!isOpen(spec)) return undefined
  return `${what} has shape [${shownShape(spec)}], which may differ from query to query (onnx.inputShapes fixes it)`
}
