import { spawn } from 'node:child_process'
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, it } from 'vitest'
import workerd from 'workerd'

const folder = mkdtempSync(join(tmpdir(), 'approxifer-edge-'))
afterAll(() => rmSync(folder, { recursive: true }))

const modules = [
  ['edge.js', 'esModule', 'test/fixtures/edge.js'],
  ['index.edge.js', 'esModule', 'dist/index.edge.js'],
  ['core.wasm', 'wasm', 'dist/core.wasm'],
  ['scheme.json', 'json', 'test/vectors/scheme.json'],
]

const config = `
using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [(name = "main", worker = (
    compatibilityDate = "2024-09-23",
    modules = [${modules.map(([name, type]) => `(name = "${name}", ${type} = embed "${name}")`)}],
  ))],
  sockets = [(name = "http", address = "127.0.0.1:0", http = (), service = "main")],
);`

it('the workerd build imports core.wasm and holds the golden vectors', async () => {
  for (const [name, , path] of modules) copyFileSync(path, join(folder, name))
  writeFileSync(join(folder, 'config.capnp'), config)
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
    const response = await fetch(`http://127.0.0.1:${port}/`)
    const text = await response.text()
    expect(response.status, text + errors).toBe(200)
    const result = JSON.parse(text)
    expect(result).toMatchObject({ kind: 'wasm', suspects: [5] })
    expect(result.worst).toBeLessThan(1e-12)
    for (const value of result.constant) expect(value).toBeCloseTo(1, 5)
    expect(result.predictor).toContain('not on this runtime')
  } finally {
    server.kill()
  }
})

it('the workerd build is one file that imports nothing else', () => {
  const imports = [...readFileSync('dist/index.edge.js', 'utf8').matchAll(/^import .*?'([^']+)'/gm)].map(([, to]) => to)
  expect(imports).toEqual(['./core.wasm'])
})
