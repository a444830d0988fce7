// A page without a bundler. In one's own project the paths start with /node_modules/approxifer/.
import { createPredictor } from 'approxifer'

const SIZE = 28
const answer = document.querySelector('#answer')

/** The first images of MNIST's test set, as values from 0 to 1. */
async function digits(count) {
  const npy = new Uint8Array(await (await fetch('/models/mnist-digits.npy')).arrayBuffer())
  const pixels = npy.subarray(-400 * SIZE * SIZE) // behind the header
  const image = (i) => Float32Array.from(pixels.subarray(SIZE * SIZE * i, SIZE * SIZE * (i + 1)), (byte) => byte / 255)
  return Array.from({ length: count }, (_, i) => image(i))
}

function draw(image) {
  const canvas = document.querySelector('#digits').appendChild(document.createElement('canvas'))
  canvas.width = canvas.height = SIZE
  const rgba = Uint8ClampedArray.from({ length: 4 * SIZE * SIZE }, (_, i) => (i % 4 === 3 ? 255 : 255 * image[i >> 2]))
  canvas.getContext('2d').putImageData(new ImageData(rgba, SIZE, SIZE), 0, 0)
}

async function main() {
  const predictor = await createPredictor({
    model: '/models/mnist-lenet.onnx',
    scheme: { queries: 4, stragglers: 1 },
    onnx: {
      createWorker: () => new Worker('/dist/worker.bundle.js', { type: 'module' }),
      wasmPaths: '/node_modules/onnxruntime-web/dist/',
    },
  })
  const images = await digits(8)
  images.forEach(draw)
  const predictions = await predictor.predictAll(images)
  const digit = ({ output }) => output.logits.data.indexOf(Math.max(...output.logits.data))
  answer.textContent = predictions.map(digit).join(' ')
  await predictor.close()
}

main().catch((error) => {
  answer.textContent = error.message
})
