/**
 * What a good engineer writes by hand for one model: the same HTTP library, no batches, no queue, no checks but the ones that are needed.
 * node bench/gateway/bare-server.js MODEL session|pool PORT: one onnxruntime session in this thread, or a pool of two threads.
 */

import { createServer } from 'node:http'
import { fileURLToPath } from 'node:url'
import { getRequestListener } from '@hono/node-server'
import { InferenceSession, Tensor } from 'onnxruntime-web'
import { Piscina } from 'piscina'

const LENGTH = 'inference-header-content-length'
const [model, kind, port] = process.argv.slice(2)

const single = { executionProviders: ['wasm'], intraOpNumThreads: 1, interOpNumThreads: 1 }
const session = await InferenceSession.create(model, single)
const [input] = session.inputMetadata
const [output] = session.outputNames
const shape = input.shape.slice(1)
const outputShape = session.outputMetadata[0].shape.slice(1)

const pool =
  kind === 'pool' &&
  new Piscina({
    filename: fileURLToPath(new URL('../throughput/piscina-worker.js', import.meta.url)),
    workerData: { model, shape },
    maxThreads: 2,
    minThreads: 2,
    concurrentTasksPerWorker: 1,
  })

async function infer(row) {
  if (pool) return pool.run(row)
  const results = await session.run({ [input.name]: new Tensor('float32', row, [1, ...shape]) })
  return results[output].data
}

async function answer(request) {
  const body = await request.arrayBuffer()
  const length = Number(request.headers.get(LENGTH) ?? body.byteLength)
  const { id, inputs, parameters } = JSON.parse(new TextDecoder().decode(new Uint8Array(body, 0, length)))
  const { data, parameters: how } = inputs[0]
  const row = how?.binary_data_size ? new Float32Array(body.slice(length)) : Float32Array.from(data)
  const values = await infer(row)
  const told = { name: output, datatype: 'FP32', shape: [1, ...outputShape] }
  const reply = (own) => JSON.stringify({ model_name: 'm', model_version: '1', id, outputs: [{ ...told, ...own }] })
  if (!parameters?.binary_data_output) {
    return new Response(reply({ data: [...values] }), { headers: { 'content-type': 'application/json' } })
  }
  const head = Buffer.from(reply({ parameters: { binary_data_size: values.byteLength } }))
  const raw = Buffer.from(values.buffer, values.byteOffset, values.byteLength)
  const headers = { 'content-type': 'application/octet-stream', [LENGTH]: String(head.length) }
  return new Response(Buffer.concat([head, raw]), { headers })
}

createServer(getRequestListener(answer)).listen(Number(port), '127.0.0.1')
