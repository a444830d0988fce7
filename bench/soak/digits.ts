/** What callers ask for, and what the bare model says of it. */

import { existsSync } from 'node:fs'
import { loadInputs } from '../../src/cli/npy'
import { OnnxModel } from '../../src/workers/onnx/model'
import { readModel } from '../../src/workers/onnx/model-file'

export interface Digit {
  image: Float32Array
  /** The bare model's. */
  answer: Float32Array
}

export const MODEL = 'models/mnist-lenet.onnx'

/** @param more  files of digits beside those of the package, as far as they exist */
export async function loadDigits(...more: string[]): Promise<Digit[]> {
  const paths = ['models/mnist-digits.npy', ...more].filter(existsSync)
  const images = (await Promise.all(paths.map((path) => loadInputs(path)))).flat()
  const model = await OnnxModel.load(await readModel(MODEL))
  const digits: Digit[] = []
  for (const image of images) digits.push({ image, answer: await model.infer(image) })
  await model.close()
  return digits
}
