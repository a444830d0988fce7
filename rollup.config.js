import { chmodSync, readFileSync } from 'node:fs'
import { nodeResolve } from '@rollup/plugin-node-resolve'
import dts from 'rollup-plugin-dts'
import esbuild from 'rollup-plugin-esbuild'
import { declarations } from './scripts/declarations.js'

const server = ['@hono/node-server', 'pino', 'prom-client', '@opentelemetry/api']
const external = [
  /^node:/,
  /^onnxruntime-/,
  /^@nats-io\//,
  'undici',
  'commander',
  'cli-progress',
  'cli-table3',
  'npyjs',
  /^vega/,
  ...server,
]

/** One build per platform: the export condition decides which src/platform file is inside. */
function build(input, conditions, options = {}) {
  return {
    input,
    external: options.external ?? external,
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
  external: [...external, /core\.wasm$/],
  output: { paths: (id) => (id.endsWith('core.wasm') ? './core.wasm' : id) },
})

const license = readFileSync('scripts/onnxruntime-license.txt', 'utf8')
  .trimEnd()
  .replace(/^/gm, ' * ')
  .replace(/ +$/gm, '')
/** The browser's worker with onnxruntime-web's JavaScript inside, for pages without a bundler. */
const bundle = build(
  { 'worker.bundle': 'src/workers/local/entry.ts' },
  ['browser', 'onnxruntime-web-use-extern-wasm'],
  {
    external: [],
    output: { inlineDynamicImports: true, sourcemap: false, banner: `/*!\n${license}\n */` },
  },
)

export default [
  build({ index: 'src/index.ts', worker: 'src/workers/local/entry.ts', cli: 'src/cli/main.ts' }, ['node'], {
    plugins: [executable],
  }),
  build({ 'index.web': 'src/index.ts', 'worker.web': 'src/workers/local/entry.ts' }, ['browser']),
  build({ 'worker.webgpu': 'src/workers/local/entry.ts' }, ['webgpu', 'browser']),
  bundle,
  edge,
  {
    input: 'src/index.ts',
    external,
    output: { file: 'dist/index.d.ts', format: 'es' },
    plugins: [dts(), declarations],
  },
]
