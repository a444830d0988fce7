// What a straggler, a crash and a liar do to answers: nothing that a caller would notice.
// FaultyWorker wraps any worker in faults; it is meant for tests like one's own.
import { readFile } from 'node:fs/promises'
import { createPredictor, localWorkers } from 'approxifer'
import { FaultyWorker } from 'approxifer/testing'

const file = (name) => new URL(import.meta.resolve(`approxifer/models/${name}`))
const pixels = (await readFile(file('mnist-digits.npy'))).subarray(-400 * 784) // behind the header
const labels = (await readFile(file('mnist-labels.npy'))).subarray(-400)
const images = Array.from({ length: 40 }, (_, i) =>
  Float32Array.from(pixels.subarray(784 * i, 784 * (i + 1)), (byte) => byte / 255),
)

/** Reads the digits with one worker that has these faults, and says how that went. */
async function survive(title, scheme, count, faults) {
  const local = await localWorkers({ model: file('mnist-lenet.onnx'), workers: count })
  const workers = local.map((worker, i) => new FaultyWorker(worker, i === 2 ? faults : {}, i))
  const predictor = await createPredictor({ scheme, workers })
  const begun = performance.now()
  const predictions = await predictor.predictAll(images)
  const ms = Math.round(performance.now() - begun)
  const digit = ({ output }) => output.logits.data.indexOf(Math.max(...output.logits.data))
  const right = predictions.filter((prediction, i) => digit(prediction) === labels[i]).length
  const { failed, suspected } = predictor.stats().workers[2]
  console.log(
    `${title}: ${right} of ${images.length} digits right in ${ms} ms (calls failed ${failed}, suspected ${suspected})`,
  )
  await predictor.close()
}

await survive('straggler', { queries: 4, stragglers: 1 }, 5, { delayMs: 500 })
await survive('crash', { queries: 4, stragglers: 1 }, 5, { crash: 0.2 })
await survive('liar', { queries: 4, byzantine: 1, preset: 'aaai22' }, 10, { lie: 1, attack: 'gauss:30' })
