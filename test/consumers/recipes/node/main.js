import { readFile } from 'node:fs/promises'
import { createPredictor } from 'approxifer'

const file = (name) => new URL(import.meta.resolve(`approxifer/models/${name}`))

const predictor = await createPredictor({
  model: file('mnist-lenet.onnx'),
  scheme: { queries: 4, stragglers: 1 },
})
const pixels = (await readFile(file('mnist-digits.npy'))).subarray(-400 * 784) // behind the header
const image = (i) => Float32Array.from(pixels.subarray(784 * i, 784 * (i + 1)), (byte) => byte / 255)
const predictions = await predictor.predictAll([0, 1, 2, 3].map(image))
const digit = ({ output }) => output.logits.data.indexOf(Math.max(...output.logits.data))
console.log(predictions.map(digit).join(' '))
await predictor.close()
