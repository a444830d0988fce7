import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { createPredictor, type Prediction } from 'approxifer'

const file = (name: string) => createRequire(import.meta.url).resolve(`approxifer/models/${name}`)

const predictor = await createPredictor({
  model: new URL(`file:${file('mnist-lenet.onnx')}`),
  scheme: { queries: 4, stragglers: 1 },
})
const pixels = readFileSync(file('mnist-digits.npy')).subarray(-400 * 784)
const image = (i: number) => Float32Array.from(pixels.subarray(784 * i, 784 * (i + 1)), (byte) => byte / 255)
const predictions = await predictor.predictAll([0, 1, 2, 3].map(image), { signal: new AbortController().signal })
const digit = ({ output }: Prediction) => output['logits']?.data.indexOf(Math.max(...output['logits'].data))
console.log(predictions.map(digit).join(' '))
await predictor.close()
