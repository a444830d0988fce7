// A page under the Content-Security-Policy that its address names: it does what its parent asks, and reports what came of it.

import { Codec } from './dist/browser/codec.js'
import { httpWorkers } from './dist/browser/http.js'
import { createPredictor } from './dist/browser/index.js'

const image = (i) => Float32Array.from({ length: 784 }, (_, j) => ((i + 1) * (j % 28)) / 100)

const violations = []
addEventListener('securitypolicyviolation', ({ effectiveDirective }) => violations.push(effectiveDirective))

const script = new URL('dist/worker.bundle.js', import.meta.url)
let policy
/** A worker's script, as a TrustedScriptURL if `isTrusted`. */
function scriptUrl(isTrusted) {
  if (!isTrusted) return script
  policy ??= trustedTypes.createPolicy('page', { createScriptURL: (url) => url })
  return policy.createScriptURL(script)
}

/** A predictor for `queries` images. @returns how many answers it gave, and its warnings */
async function predict(queries, isTrusted, { servers, timeoutMs, onnx, ...options }) {
  const warnings = []
  const onWarning = (text) => warnings.push(text)
  const createWorker = () => new Worker(scriptUrl(isTrusted), { type: 'module' })
  const workers = servers ? httpWorkers(servers, { model: 'digits', ...(timeoutMs && { timeoutMs }), onWarning }) : 1
  const given = servers ? {} : { model: new URL('models/mnist-lenet.onnx', import.meta.url) }
  const wasmPaths = servers ? {} : { wasmPaths: new URL('ort/', import.meta.url).href }
  const threads = { createWorker, ...wasmPaths, ...onnx }
  const predictor = await createPredictor({ ...given, workers, onnx: threads, onWarning, ...options })
  const answers = await predictor.predictAll(Array.from({ length: queries }, (_, i) => image(i % 100)))
  const { core } = predictor.stats()
  await predictor.close()
  return { answers: answers.length, core, warnings }
}

const parts = {
  predict,
  async codec() {
    const { core } = await Codec.create({ queries: 4, stragglers: 1 })
    return [core.kind, core.fallback]
  },
}

addEventListener('message', async ({ data: { id, part, args }, source }) => {
  const reply = { id }
  try {
    reply.value = await parts[part](...args)
  } catch ({ code, name, message }) {
    reply.error = `${code ?? name}: ${message}`
  }
  source.postMessage({ ...reply, violations, isIsolated: crossOriginIsolated }, '*')
})
parent.postMessage('ready', '*')
