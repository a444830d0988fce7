import { build } from 'esbuild'

await build({
  entryPoints: ['main.js', 'worker.js'],
  outdir: 'dist',
  bundle: true,
  platform: 'node',
  format: 'esm',
  external: ['onnxruntime-web'],
})
