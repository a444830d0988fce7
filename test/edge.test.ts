import { spawn } from 'node:child_process'
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { afterAll, expect, it } from 'vitest'
import workerd from 'workerd'
import { readMessage, readReply, writeRequest } from '../src/oip'

const folder = mkdtempSync(join(tmpdir(), 'approxifer-edge-'))
afterAll(() => rmSync(folder, { recursive: true }))

const modules = [
  ['index.edge.js', 'esModule', 'dist/index.edge.js'],
  ['core.wasm', 'wasm', 'dist/core.wasm'],
  ['scheme.json', 'json', 'test/vectors/scheme.json'],
]

const config = (all: string[][]) => `
using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [(name = "main", worker = (
    compatibilityDate = "2024-09-23",
    modules = [${all.map(([name, type]) => `(name = "${name}", ${type} = embed "${name}")`)}],
  ))],
  sockets = [(name = "http", address = "127.0.0.1:0", http = (), service = "main")],
);`

/** Runs a script of test/fixtures in workerd. @param use  gets its address, and what it printed as errors */
async function inWorkerd(script: string, use: (url: string, errors: () => string) => Promise<void>): Promise<void> {
  const all = [[script, 'esModule', `test/fixtures/${script}`], ...modules]
  for (const [name, , path] of all) copyFileSync(path, join(folder, name))
  writeFileSync(join(folder, 'config.capnp'), config(all))
  const server = spawn(workerd, ['serve', '--control-fd=1', join(folder, 'config.capnp')])
  try {
    let errors = ''
    server.stderr.on('data', (text) => {
      errors += text
    })
    const port = await new Promise<number>((resolve, reject) => {
      server.stdout.on('data', (line) => resolve(JSON.parse(String(line).split('\n')[0]).port))
      server.on('exit', (code) => reject(new Error(`workerd exited with ${code}: ${errors}`)))
    })
    await use(`http://127.0.0.1:${port}`, () => errors)
  } finally {
    server.kill()
  }
}

it('the workerd build imports core.wasm and holds the golden vectors', () =>
  inWorkerd('edge.js', async (url, errors) => {
    const response = await fetch(url)
    const text = await response.text()
    expect(response.status, text + errors()).toBe(200)
    const result = JSON.parse(text)
    expect(result).toMatchObject({ kind: 'wasm', suspects: [5] })
    expect(result.worst).toBeLessThan(1e-12)
    for (const value of result.constant) expect(value).toBeCloseTo(1, 5)
    expect(result.predictor).toContain('not on this runtime')
  }))

it('a gateway serves in workerd: JSON and binary, packed both ways, with a store', () =>
  inWorkerd('edge-gateway.js', async (url, errors) => {
    const rows = 400
    const data = Array.from({ length: 2 * rows }, (_, i) => i)
    const inputs = [{ name: 'x', shape: [rows, 2], datatype: 'FP32', data }]
    const body = gzipSync(JSON.stringify({ id: 'e', inputs }))
    const headers = { 'content-encoding': 'gzip', 'accept-encoding': 'gzip' }
    const response = await fetch(`${url}/v2/models/m/infer`, { method: 'POST', headers, body })
    const text = await response.text()
    expect(response.status, text + errors()).toBe(200)
    expect(response.headers.get('content-encoding')).toBe('gzip')
    const reply = JSON.parse(text)
    expect(reply.outputs[0].data).toEqual(data.map((v) => 2 * v))
    expect(reply.parameters.status).toHaveLength(rows)
    const signature = { inputs: [{ name: 'x', shape: [2] }], outputs: [{ name: 'y', shape: [2] }] }
    const sent = await writeRequest(signature, { rows: [Float32Array.of(1, 2)], binary: true })
    const length = { 'inference-header-content-length': String(sent.headerLength) }
    const binary = await fetch(`${url}/v2/models/m/infer`, {
      method: 'POST',
      headers: length,
      body: sent.body as BodyInit,
    })
    const message = await readMessage(
      new Uint8Array(await binary.arrayBuffer()),
      binary.headers.get('inference-header-content-length'),
    )
    expect(readReply(message, signature.outputs, 1).rows).toEqual([Float32Array.of(2, 4)])
    expect((await fetch(`${url}/v2/models/no/infer`, { method: 'POST', body: '{}' })).status).toBe(404)
    expect(await (await fetch(`${url}/v2/health/ready`)).json()).toEqual({ ready: true })
    expect(Number(await (await fetch(`${url}/save`)).text())).toBeGreaterThan(100)
  }))

it('the workerd build is one file that imports nothing else', () => {
  const imports = [...readFileSync('dist/index.edge.js', 'utf8').matchAll(/^import .*?'([^']+)'/gm)].map(([, to]) => to)
  expect(imports).toEqual(['./core.wasm'])
})
