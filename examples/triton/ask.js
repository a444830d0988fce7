// Asks a server for 100 digits, one after another, by the Open Inference Protocol. Any client of Triton does the same.
import { readFile } from 'node:fs/promises'

const [url = 'http://localhost:8000'] = process.argv.slice(2)
const file = (name) => readFile(new URL(import.meta.resolve(`approxifer/models/${name}`)))
const pixels = (await file('mnist-digits.npy')).subarray(-400 * 784) // behind the header
const labels = (await file('mnist-labels.npy')).subarray(-400)

async function read(image) {
  const inputs = [{ name: 'input', datatype: 'FP32', shape: [1, 1, 28, 28], data: image }]
  const reply = await fetch(`${url}/v2/models/digits/infer`, { method: 'POST', body: JSON.stringify({ inputs }) })
  const { outputs, error } = await reply.json()
  if (error) throw new Error(error)
  const logits = outputs[0].data
  return logits.indexOf(Math.max(...logits))
}

let right = 0
const times = []
for (let i = 0; i < 100; i++) {
  const image = Array.from(pixels.subarray(784 * i, 784 * (i + 1)), (byte) => byte / 255)
  const began = performance.now()
  if ((await read(image)) === labels[i]) right++
  times.push(performance.now() - began)
}
times.sort((a, b) => a - b)
console.log(`${right} of 100 right, median ${times[50].toFixed(1)} ms, slowest ${times[99].toFixed(1)} ms`)
