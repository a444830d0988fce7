import { spawn } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import autocannon from 'autocannon'
import { onnx } from './test/shared/onnx'
const images = onnx(
  [{ name: 'image', shape: ['batch', 3, 224, 224] }],
  [{ name: 'means', shape: ['batch', 3, 7, 7] }],
  [{ op: 'AveragePool', inputs: ['image'], outputs: ['means'], ints: { kernel_shape: [32, 32], strides: [32, 32] } }],
)
writeFileSync('/tmp/h/prof/images.onnx', images)
async function main() {
  const [kind, mode, D] = process.argv.slice(2)
  const big = D === 'big'
  const model = big ? '/tmp/h/prof/images.onnx' : 'models/mnist-lenet.onnx'
  const port = 18000 + Math.floor(Math.random() * 1000)
  const dist = process.env.DIST ?? 'dist'
  const args = kind === 'bare' ? ['bench/bare-server.js', model, 'session', String(port)] : [`${dist}/cli.js`, 'serve', `m=${model}`, '--workers', '1', '--port', String(port)]
  const flags = process.env.PROF ? ['--cpu-prof', '--cpu-prof-dir=/tmp/h/prof'] : []
  const child = spawn(process.execPath, [...flags, ...args], { stdio: ['ignore', 'ignore', 'inherit'] })
  const shape = big ? [3, 224, 224] : [1, 28, 28]
  const row = Float32Array.from({ length: shape.reduce((a, b) => a * b) }, Math.random)
  const input = { name: big ? 'image' : 'input', datatype: 'FP32', shape: [1, ...shape] }
  let body: Buffer, headers: Record<string, string>
  if (mode === 'json') { body = Buffer.from(JSON.stringify({ inputs: [{ ...input, data: [...row] }] })); headers = { 'content-type': 'application/json' } }
  else { const parameters = { binary_data_size: row.byteLength }; const head = Buffer.from(JSON.stringify({ parameters: { binary_data_output: true }, inputs: [{ ...input, parameters }] })); body = Buffer.concat([head, Buffer.from(row.buffer)]); headers = { 'content-type': 'application/octet-stream', 'inference-header-content-length': String(head.length) } }
  const url = `http://127.0.0.1:${port}/v2/models/m/infer`
  for (let i = 0; i < 100; i++) { const r = await fetch(url, { method: 'POST', body: new Uint8Array(body), headers }).catch(() => undefined); if (r?.ok) break; await new Promise((r) => setTimeout(r, 100)) }
  const rates = []
  for (let i = 0; i < 3; i++) { const { requests, non2xx, errors } = await autocannon({ url, method: 'POST', body, headers, connections: 16, duration: 2 }); rates.push(requests.average); if (non2xx || errors) console.log('bad', non2xx, errors) }
  console.log(kind, mode, D, rates.map((r) => r.toFixed(0)).join(' '))
  child.kill(process.env.PROF ? 'SIGTERM' : 'SIGKILL')
}
main()
