// A project with the DOM's types: its own AbortSignal, URL and Worker are what the options take.
import { createPredictor, type Query } from 'approxifer'

export async function ask(query: Query, signal?: AbortSignal): Promise<Float32Array | undefined> {
  const predictor = await createPredictor({
    model: new URL('model.onnx', location.href),
    scheme: { queries: 4, stragglers: 1 },
    onnx: { createWorker: () => new Worker('worker.js', { type: 'module' }) },
  })
  const { output } = await predictor.predict(query, { signal })
  const controller = new AbortController()
  await predictor.predictAll([query], { signal: controller.signal })
  return output['logits']?.data
}
