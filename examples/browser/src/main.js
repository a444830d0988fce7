/** A page that reads a drawn digit, with a model in two Web Workers, and goes on when one of them is killed. */
import { createPredictor, localWorkers } from 'approxifer'
import modelUrl from 'approxifer/models/mnist-lenet.onnx?url'
import runtimeUrl from 'onnxruntime-web/ort-wasm-simd-threaded.wasm?url'
import { download } from './download.js'
import { createPad } from './pad.js'
import './style.css'

const { pad, samples, digit, how, loading, progress, bytes, bars, kill, story } = Object.fromEntries(
  Array.from(document.querySelectorAll('[id]'), (element) => [element.id, element]),
)

let workers
const predictor = start()
predictor.then(showReady, showError)

const write = createPad(pad, read)
for (const name of '0123456789') {
  samples.insertAdjacentHTML('beforeend', `<button>${name}</button>`)
  samples.lastChild.onclick = () => write(name)
  bars.insertAdjacentHTML('beforeend', `<li>${name} <span></span></li>`)
}
document.onkeydown = ({ key, ctrlKey, metaKey, altKey }) => {
  if (/^[0-9]$/.test(key) && !ctrlKey && !metaKey && !altKey) write(key)
}

async function start() {
  if (!globalThis.WebAssembly) throw new Error('this browser has no WebAssembly, which the model needs.')
  const [model, runtime] = await download([modelUrl, runtimeUrl], showProgress)
  workers = await localWorkers({
    model: new Uint8Array(await model.arrayBuffer()),
    workers: 2,
    wasmPaths: { wasm: URL.createObjectURL(runtime) }, // so that no worker downloads it again
  })
  return createPredictor({ workers, policy: 'auto' }) // where a worker is late, the memory of earlier answers may answer
}

let [latest, drawn, answered] = [0]

/** Kills the worker that answered last, and asks for the same digit at once. */
kill.onclick = async () => {
  const before = digit.textContent
  const victim = workers.find(({ name }) => name === answered.workers[0]) ?? workers[0]
  const reading = read(drawn)
  victim.restart('was killed')
  await reading
  const { recovered, failed } = (await predictor).stats()
  const who = answered.workers[0] ?? 'the memory'
  const still = digit.textContent === before ? 'still' : 'now'
  const late = who === victim.name ? ' after its restart' : '' // where the other one had been killed just before
  story.textContent = [
    `You killed ${victim.name}; it restarts by itself.`,
    `${who[0].toUpperCase()}${who.slice(1)} answered${late}: ${still} a ${digit.textContent}.`,
    `So far ${recovered} answers recovered from the memory, ${count(failed)} lost.`,
  ].join(' ')
}

const count = (failed) => Object.values(failed).reduce((sum, each) => sum + each, 0)

/** @param image  28 x 28 values from 0 to 1, row by row */
async function read(image) {
  const turn = ++latest
  drawn = image
  try {
    const ready = await predictor
    const began = performance.now()
    const prediction = await ready.predict(image)
    if (turn !== latest) return
    answered = prediction
    showAnswer(prediction, performance.now() - began)
  } catch (error) {
    showError(error)
  }
}

function showProgress(loaded, total) {
  const megabytes = (count) => (count / 1e6).toFixed(1)
  if (total) Object.assign(progress, { max: total, value: loaded })
  bytes.textContent = total ? `${megabytes(loaded)} of ${megabytes(total)} MB` : `${megabytes(loaded)} MB`
  if (loaded === total) bytes.textContent += ', starting two workers ...'
}

function showReady() {
  loading.hidden = true
  bars.hidden = false
  how.textContent = 'Ready. Draw, or press a key from 0 to 9.'
}

function showError({ message }) {
  loading.hidden = true
  how.textContent = `No digit can be read: ${message}`
}

function showAnswer({ output, status, confidence }, ms) {
  kill.hidden = false
  const probabilities = softmax(output.logits.data)
  digit.textContent = probabilities.indexOf(Math.max(...probabilities))
  const isRecovered = status === 'recovered'
  how.textContent = isRecovered
    ? `recovered from the memory, ${percent(confidence)} sure`
    : `the model's own answer, ${Math.ceil(ms)} ms`
  for (const [i, probability] of probabilities.entries()) {
    bars.children[i].style.setProperty('--share', probability)
    bars.children[i].lastChild.textContent = percent(probability)
  }
}

const percent = (share) => `${Math.round(100 * share)} %`

function softmax(logits) {
  const powers = Array.from(logits, (logit) => Math.exp(logit - Math.max(...logits)))
  const sum = powers.reduce((a, b) => a + b)
  return powers.map((power) => power / sum)
}
