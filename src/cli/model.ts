/** The user's model, as the commands load it and speak of it. */

import { ApproxiferError } from '../errors'
import type { TensorSpec } from '../tensor'
import { OnnxModel, type OnnxOptions } from '../workers/onnx/model'
import { asModelError } from '../workers/onnx/model-file'

export type ModelOptions = Pick<OnnxOptions, 'inputShapes' | 'outputs'>

/** @throws ApproxiferError MODEL for one that cannot be coded, in a sentence that names the command's options */
export async function loadModel(
  path: string,
  bytes: Uint8Array,
  { inputShapes, outputs }: ModelOptions,
): Promise<OnnxModel> {
  try {
    return await OnnxModel.load(bytes, { inputShapes, outputs })
  } catch (cause) {
    const error = asModelError(cause, path, bytes) as Error
    throw new ApproxiferError('MODEL', asOptions(error.message), { cause: error })
  }
}

function asOptions(message: string): string {
  return message
    .replace(/inputShapes: \{ "(.*)": \[\.\.\.\] \}/, '--input-shapes $1=AxBxC')
    .replace(/^(inputShapes|outputs):/, (_, name) => (name === 'outputs' ? '--outputs:' : '--input-shapes:'))
    .replace(/option outputs/, 'option --outputs')
    .trim()
}

export function shapes(specs: readonly TensorSpec[]): string {
  return specs.map(({ name, shape }) => `${name} ${shape.join('x') || '1'}`).join(', ')
}
