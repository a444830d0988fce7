/** The model, in a worker that the page starts when somebody draws: ONNX Runtime and its 14 MB of WASM are fetched only then. */

import { env, InferenceSession, Tensor } from 'onnxruntime-web/wasm'

env.wasm.numThreads = 1
env.wasm.wasmPaths = { wasm: new URL('ort-wasm-simd-threaded.wasm', import.meta.url).href }

const session = fetch(new URL('mnist-lenet.onnx', import.meta.url))
  .then((response) => response.arrayBuffer())
  .then((bytes) => InferenceSession.create(bytes))
session.catch(() => {}) // who draws is told

let turn: Promise<unknown> = Promise.resolve()
/** A picture of 28 x 28 values from 0 to 1; the reply: ten logits, or what failed. */
addEventListener('message', ({ data }: MessageEvent<Float32Array>) => {
  const answer = async () => {
    const model = await session
    const { [model.outputNames[0]]: logits } = await model.run({
      [model.inputNames[0]]: new Tensor('float32', data, [1, 1, 28, 28]),
    })
    postMessage(Float32Array.from(logits.data as Float32Array))
  }
  turn = turn.then(answer).catch((error: Error) => postMessage(error.message))
})
