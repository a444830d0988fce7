/** The digits of the package, and what its model answers to them. */

import { fileURLToPath } from 'node:url'
import { answersOf } from '../../evaluate/model'
import type { Digits } from '../../film/digits'
import { readModel } from '../../workers/onnx/model-file'
import { loadModel } from '../files'
import { loadInputs } from '../npy'

const file = (name: string) => fileURLToPath(new URL(`../../../models/${name}`, import.meta.url))

/** The file of the model. */
export const MODEL = file('mnist-lenet.onnx')

export async function loadDigits(): Promise<Digits> {
  const model = await loadModel(MODEL, await readModel(MODEL), {})
  const images = await loadInputs(file('mnist-digits.npy'), model.signature.inputs[0].shape)
  return { images, answers: await answersOf(model, images), signature: model.signature }
}
