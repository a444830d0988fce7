/** The same session as in our workers, behind piscina: what a good engineer would run. */

import { InferenceSession, Tensor } from 'onnxruntime-web'
import { move, workerData } from 'piscina'

const { model, shape } = workerData
const single = { executionProviders: ['wasm'], intraOpNumThreads: 1, interOpNumThreads: 1 }
const session = await InferenceSession.create(model, single)
const [input] = session.inputNames
const [output] = session.outputNames

export default async function infer(row) {
  const results = await session.run({ [input]: new Tensor('float32', row, [1, ...shape]) })
  return move(results[output].data.slice())
}
