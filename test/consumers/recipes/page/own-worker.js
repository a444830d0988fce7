import { createPredictor } from 'approxifer'
import { showDigits } from './digits.js'

createPredictor({
  model: '/mnist-lenet.onnx',
  scheme: { queries: 4, stragglers: 1 },
  onnx: { createWorker: () => new Worker(new URL('./worker.js', import.meta.url), { type: 'module' }) },
}).then(showDigits)
