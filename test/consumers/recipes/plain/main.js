import { createPredictor } from 'approxifer'
import { showDigits } from './digits.js'

createPredictor({
  model: '/mnist-lenet.onnx',
  scheme: { queries: 4, stragglers: 1 },
  onnx: {
    createWorker: () => new Worker('/node_modules/approxifer/dist/worker.bundle.js', { type: 'module' }),
    wasmPaths: '/node_modules/onnxruntime-web/dist/',
  },
}).then(showDigits)
