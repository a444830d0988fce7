// An HTTP server in front of a predictor.
//
//   node server.js [port] [model.onnx]
//   curl localhost:8080 -d '{"data": [0, 0, ...], "deadlineMs": 200}'
//
// A query is its values in row-major order; the reply has the outputs by name, the status and the confidence.
import { createServer } from 'node:http'
import { ApproxiferError, createPredictor } from 'approxifer'

const [port = '8080', model = new URL(import.meta.resolve('approxifer/models/mnist-lenet.onnx'))] =
  process.argv.slice(2)
const MOST_BYTES = 1 << 20

const predictor = await createPredictor({ model, workers: 2, limits: { queries: 200 } })

/** What went wrong, as HTTP says it. What is not listed is not the client's fault. */
const STATUSES = { OVERLOADED: 503, CLOSED: 503, DEADLINE: 504, QUORUM: 502, WORKER: 502 }

function statusOf(error) {
  if (error instanceof ApproxiferError) return STATUSES[error.code] ?? 500
  return error instanceof SyntaxError || error instanceof TypeError || error instanceof RangeError ? 400 : 500
}

async function body(request) {
  let text = ''
  for await (const part of request.setEncoding('utf8')) {
    text += part
    if (text.length > MOST_BYTES) throw new RangeError(`body: expected at most ${MOST_BYTES} characters`)
  }
  return JSON.parse(text)
}

async function answer(request, response) {
  // A client that gives up no longer keeps workers busy.
  const gone = new AbortController()
  response.on('close', () => gone.abort())
  const { data, deadlineMs } = await body(request)
  if (!Array.isArray(data)) throw new TypeError('data: expected an array of numbers')
  const query = Float32Array.from(data)
  const { output, status, confidence } = await predictor.predict(query, { deadlineMs, signal: gone.signal })
  const outputs = Object.entries(output).map(([name, { data, shape }]) => [name, { data: [...data], shape }])
  return { output: Object.fromEntries(outputs), status, confidence }
}

const server = createServer(async (request, response) => {
  const send = (status, value) => {
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value))
  }
  try {
    send(200, await answer(request, response))
  } catch (error) {
    send(statusOf(error), { error: error.message })
  }
})

server.listen(Number(port), () => console.log(`http://localhost:${server.address().port}`))

// First no new requests, then the answers under way, then the workers.
process.once('SIGTERM', close).once('SIGINT', close)
function close() {
  server.close(() => predictor.close())
  server.closeIdleConnections()
}
