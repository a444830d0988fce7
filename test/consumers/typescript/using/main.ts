// `await using` closes the predictor: were it left open, the query after the block would be answered.
import { createRequire } from 'node:module'
import { createPredictor, type Predictor } from 'approxifer'

const model = createRequire(import.meta.url).resolve('approxifer/models/mnist-lenet.onnx')
let kept: Predictor | undefined
{
  await using predictor = await createPredictor({ model, scheme: { queries: 1 } })
  await predictor.predict(new Float32Array(784))
  kept = predictor
}
console.log(await kept.predict(new Float32Array(784)).catch((error) => error.code))
