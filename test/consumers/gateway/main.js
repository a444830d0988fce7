// A gateway behind the server of Deno or Bun, asked as any client would.
import { readFile } from 'node:fs/promises'
import { createGateway } from 'approxifer/gateway'

const file = (name) => new URL(import.meta.resolve(`approxifer/models/${name}`))

const gateway = createGateway({ models: { digits: { model: file('mnist-lenet.onnx'), workers: 2 } } })
await gateway.ready()
const server = globalThis.Deno
  ? Deno.serve({ port: 0, onListen() {} }, gateway)
  : Bun.serve({ port: 0, fetch: (request) => gateway(request) })
const url = `http://localhost:${server.addr?.port ?? server.port}/v2`

const told = async (path) => {
  const response = await fetch(url + path)
  return `${response.status} ${JSON.stringify(await response.json())}`
}
console.log(await told('/health/ready'))
console.log(await told('/models/digits/ready'))
console.log(await told('/models/digits'))

const pixels = (await readFile(file('mnist-digits.npy'))).subarray(-400 * 784, -396 * 784) // behind the header
const input = { name: 'input', datatype: 'FP32', shape: [4, 1, 28, 28] }
const data = Float32Array.from(pixels, (byte) => byte / 255)
const infer = (body, headers) => fetch(`${url}/models/digits/infer`, { method: 'POST', body, headers })
const digits = (logits) =>
  [0, 1, 2, 3].map((i) => logits.slice(10 * i, 10 * i + 10)).map((of) => of.indexOf(Math.max(...of)))

const json = await (await infer(JSON.stringify({ inputs: [{ ...input, data: [...data] }] }))).json()
console.log('JSON:', digits(json.outputs[0].data).join(' '))

const LENGTH = 'inference-header-content-length'
const raw = { ...input, parameters: { binary_data_size: data.byteLength } }
const head = new TextEncoder().encode(JSON.stringify({ parameters: { binary_data_output: true }, inputs: [raw] }))
const packed = new Blob([head, data]).stream().pipeThrough(new CompressionStream('gzip'))
const body = await new Response(packed).arrayBuffer()
const reply = await infer(body, { [LENGTH]: String(head.length), 'content-encoding': 'gzip' })
const bytes = await reply.arrayBuffer()
console.log('binary:', digits([...new Float32Array(bytes.slice(Number(reply.headers.get(LENGTH))))]).join(' '))

await (server.shutdown?.() ?? server.stop(true))
await gateway.close()
