import { cpSync } from 'node:fs'
import { build } from 'esbuild'

await build({
  entryPoints: ['main.js', 'worker.js'],
  outdir: 'dist',
  bundle: true,
  format: 'esm',
})
for (const file of ['ort-wasm-simd-threaded.mjs', 'ort-wasm-simd-threaded.wasm']) {
  cpSync(`node_modules/onnxruntime-web/dist/${file}`, `dist/ort/${file}`)
}
