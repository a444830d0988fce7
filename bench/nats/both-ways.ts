/** For bench nats: a process whose workers answer over NATS and over HTTP, so that the two ways can be told apart from the machines. */

import { createServer } from 'node:http'
import process from 'node:process'
import { localWorkers, type ModelWorker } from 'approxifer'
import { serveNats } from 'approxifer/nats'
import { writeMetadata } from '../../src/oip/metadata'
import { encode, writeReply } from '../../src/oip/write'

const MODEL = 'm'

/** The least of a server for the Open Inference Protocol: one worker, a row at a time. @returns its URL */
function serveHttp(worker: ModelWorker): Promise<string> {
  const { signature } = worker
  const server = createServer(async (request, response) => {
    const chunks: Uint8Array[] = []
    for await (const chunk of request) chunks.push(chunk)
    const send = (body: Uint8Array | string, headers = {}) => response.writeHead(200, headers).end(body)
    if (request.url?.endsWith('/infer')) {
      const head = Number(request.headers['inference-header-content-length']) // what follows is the one raw tensor
      const data = new Float32Array(Uint8Array.from(Buffer.concat(chunks).subarray(head)).buffer)
      const [answer] = await worker.infer([{ data, shape: signature.inputs[0].shape }])
      const outputs = [{ ...signature.outputs[0], rows: [answer.data], binary: true }]
      const { body, headerLength } = await encode(writeReply({ model: MODEL, version: '1', outputs }))
      const type = { 'content-type': 'application/octet-stream', 'inference-header-content-length': `${headerLength}` }
      send(body, { ...type, 'content-length': body.length })
    } else if (request.url === `/v2/models/${MODEL}`) send(JSON.stringify(writeMetadata(MODEL, ['1'], signature)))
    else if (request.url === '/v2')
      send(JSON.stringify({ name: 'bench', version: '1', extensions: ['binary_tensor_data'] }))
    else send('{}')
  })
  server.keepAliveTimeout = 60_000
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => resolve(`http://127.0.0.1:${(server.address() as { port: number }).port}`))
  })
}

const [nats, fleet, count] = process.argv.slice(2)
const workers = await localWorkers({ model: 'models/mnist-lenet.onnx', workers: Number(count), onWarning: () => {} })
const urls = await Promise.all(workers.map(serveHttp))
await serveNats(nats, { fleet, workers })
console.log(JSON.stringify({ urls }))
