// A page under the Content-Security-Policy that its address names: it does what its parent asks, and reports what came of it.

import { Codec } from './dist/browser/codec.js'
import { httpWorkers } from './dist/browser/http.js'
import { createPredictor } from './dist/browser/index.js'

const image = (i) => Float32Array.from({ length: 784 }, (_, j) => ((i + 1) * (j % 28)) / 100)

const violations = []
addEventListener('securitypolicyviolation', ({ effectiveDirective }) => violations.push(effectiveDirective))

let policy
/** The URL of a worker's script, as a TrustedScriptURL if `isTrusted`. @param folder  names the script's own policy */
function scriptUrl(isTrusted, folder = '.') {
  const script = new URL(`${folder}/dist/worker.bundle.js`, import.meta.url)
  if (!isTrusted) return script
  policy ??= trustedTypes.createPolicy('page', { createScriptURL: (url) => url })
  return policy.createScriptURL(script)
}

/**
 * Starts a predictor, and asks it.
 *
 * @param isWarned  whether it is asked until it has warned: a thread that cannot start is noticed late
 * @returns how many of the queries it answered, and its warnings
 */
async function predict(queries, { isTrusted, isWarned, servers, timeoutMs, folder, ...options }) {
  const warnings = []
  const onWarning = (text) => warnings.push(text)
  const createWorker = () => new Worker(scriptUrl(isTrusted, folder), { type: 'module' })
  const workers = servers ? httpWorkers(servers, { model: 'digits', ...(timeoutMs && { timeoutMs }), onWarning }) : 1
  const given = servers ? {} : { model: new URL('models/mnist-lenet.onnx', import.meta.url) }
  const wasmPaths = servers ? {} : { wasmPaths: new URL('ort/', import.meta.url).href }
  const onnx = { createWorker, ...wasmPaths }
  const predictor = await createPredictor({ ...given, workers, onnx, onWarning, ...options })
  const answers = await predictor.predictAll(Array.from({ length: queries }, (_, i) => image(i % 100)))
  while (isWarned && !warnings.length) await predictor.predict(image(0))
  const { core } = predictor.stats()
  await predictor.close()
  return { answers: answers.filter(({ output }) => output).length, core, warnings }
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
