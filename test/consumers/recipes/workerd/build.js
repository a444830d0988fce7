import { cpSync } from 'node:fs'
import { build } from 'esbuild'

await build({
  entryPoints: ['main.js'],
  outdir: 'dist',
  bundle: true,
  format: 'esm',
  conditions: ['workerd'],
  external: ['*.wasm'],
})
cpSync('node_modules/approxifer/dist/core.wasm', 'dist/core.wasm')
