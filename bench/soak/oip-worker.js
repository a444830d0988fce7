/**
 * node bench/soak/oip-worker.js PORT [GENERATION]: a worker that is up within a tenth of a second, for runs in which one is killed every second.
 * It speaks the protocol's binary extension; its model is a sum of every tenth value, times 2 for each generation.
 */

import { createServer } from 'node:http'

const generation = Number(process.argv[3] ?? 0)
const LENGTH = 'inference-header-content-length'
const metadata = {
  name: 'm',
  versions: [String(generation + 1)],
  platform: 'sums',
  inputs: [{ name: 'input', datatype: 'FP32', shape: [-1, 1, 28, 28] }],
  outputs: [{ name: 'logits', datatype: 'FP32', shape: [-1, 10] }],
}
const answers = {
  '/v2': { name: 'sums', version: '1', extensions: ['binary_tensor_data'] },
  '/v2/health/live': { live: true },
  '/v2/health/ready': { ready: true },
  '/v2/models/m': metadata,
  '/v2/models/m/ready': { ready: true },
}

function infer(body, length) {
  const { inputs } = JSON.parse(body.subarray(0, length).toString())
  const raw = body.subarray(length)
  const rows = inputs[0].shape[0]
  const x =
    inputs[0].data?.flat(4) ?? new Float32Array(raw.buffer.slice(raw.byteOffset, raw.byteOffset + raw.byteLength))
  const y = new Float32Array(rows * 10)
  for (let i = 0; i < x.length; i++) y[Math.floor(i / 784) * 10 + ((i % 784) % 10)] += x[i]
  for (let i = 0; i < y.length; i++) y[i] *= 2 ** generation
  const told = { name: 'logits', datatype: 'FP32', shape: [rows, 10], parameters: { binary_data_size: y.byteLength } }
  return {
    head: Buffer.from(JSON.stringify({ model_name: 'm', model_version: String(generation + 1), outputs: [told] })),
    y,
  }
}

createServer((request, response) => {
  const parts = []
  request.on('data', (part) => parts.push(part))
  request.on('end', () => {
    const json = answers[request.url]
    if (json) return response.setHeader('content-type', 'application/json').end(JSON.stringify(json))
    const body = Buffer.concat(parts)
    const { head, y } = infer(body, Number(request.headers[LENGTH] ?? body.length))
    response.writeHead(200, { 'content-type': 'application/octet-stream', [LENGTH]: head.length })
    response.end(Buffer.concat([head, Buffer.from(y.buffer)]))
  })
}).listen(Number(process.argv[2]), '127.0.0.1')
