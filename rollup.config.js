import { chmodSync } from 'node:fs'
import { nodeResolve } from '@rollup/plugin-node-resolve'
import dts from 'rollup-plugin-dts'
import esbuild from 'rollup-plugin-esbuild'

const external = [/^node:/, /^onnxruntime-/, 'commander', 'cli-progress', 'cli-table3', 'npyjs', /^vega/]

/** One build per platform: the export condition decides which src/platform file is inside. */
function build(input, conditions, options = {}) {
  return {
    input,
    external: [...external, ...(options.external ?? [])],
    output: {
      dir: 'dist',
      format: 'es',
      sourcemap: true,
      chunkFileNames: `${conditions[0]}-[hash].js`,
      ...options.output,
    },
    plugins: [
      nodeResolve({ exportConditions: conditions, extensions: ['.ts', '.js'], preferBuiltins: true }),
      esbuild({ target: 'es2022' }),
      ...(options.plugins ?? []),
    ],
  }
}

const executable = { name: 'executable', writeBundle: () => chmodSync('dist/cli.js', 0o755) }

const edge = build({ 'index.edge': 'src/index.ts' }, ['workerd'], {
  external: [/core\.wasm$/],
  output: { paths: (id) => (id.endsWith('core.wasm') ? './core.wasm' : id) },
})
export default [
  build({ index: 'src/index.ts', worker: 'src/workers/entry.ts', cli: 'src/cli/main.ts' }, ['node'], {
    plugins: [executable],
  }),
  build({ 'index.web': 'src/index.ts', 'worker.web': 'src/workers/entry.ts' }, ['browser']),
  edge,
  {
    input: 'src/index.ts',
    external,
    output: { file: 'dist/index.d.ts', format: 'es' },
    plugins: [dts()],
  },
]
