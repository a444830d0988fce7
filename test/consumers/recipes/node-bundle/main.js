import { readFileSync } from 'node:fs'
import { Worker } from 'node:worker_threads'
import { createPredictor } from 'approxifer'

const predictor = await createPredictor({
  model: 'mnist-lenet.onnx',
  scheme: { queries: 4, stragglers: 1 },
  onnx: { createWorker: () => new Worker(new URL('./worker.js', import.meta.url), { execArgv: [] }) },
})
const pixels = readFileSync('mnist-digits.npy').subarray(-400 * 784) // behind the header
const image = (i) => Float32Array.from(pixels.subarray(784 * i, 784 * (i + 1)), (byte) => byte / 255)
const predictions = await predictor.predictAll([0, 1, 2, 3].map(image))
const digit = ({ output }) => output.logits.data.indexOf(Math.max(...output.logits.data))
console.log(predictions.map(digit).join(' '))
await predictor.close()
