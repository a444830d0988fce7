import { cpSync } from 'node:fs'
import { nodeResolve } from '@rollup/plugin-node-resolve'

function copyOrt() {
  for (const file of ['ort-wasm-simd-threaded.mjs', 'ort-wasm-simd-threaded.wasm']) {
    cpSync(`node_modules/onnxruntime-web/dist/${file}`, `dist/ort/${file}`)
  }
}

export default {
  input: ['main.js', 'worker.js'],
  output: { dir: 'dist', format: 'es' },
  plugins: [nodeResolve({ browser: true }), { name: 'ort', writeBundle: copyOrt }],
}
