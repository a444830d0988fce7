// What an application pays for a part of the package: bundled for browsers by esbuild, rollup and webpack, minified and gzipped, with
// onnxruntime-web left outside. Exits with 1 where it is more than the limit. With --why the files of each bundle, by esbuild.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { nodeResolve } from '@rollup/plugin-node-resolve'
import { build, transform } from 'esbuild'
import { rollup } from 'rollup'
import webpack from 'webpack'

/** KB of 1,000 bytes. */
const limits = [
  { name: 'Scheme', entry: 'approxifer/codec', limit: 3 },
  { name: 'Codec', entry: 'approxifer/codec', limit: 24 },
  { name: 'createPredictor', entry: 'approxifer', limit: 80 },
]

const OUTSIDE = /^onnxruntime-web/

const bundlers = {
  async esbuild(input) {
    const bundle = await withEsbuild(input)
    return bundle.outputFiles[0].text
  },

  async rollup(input) {
    const bundle = await rollup({ input, external: OUTSIDE, plugins: [nodeResolve({ browser: true })] })
    const { output } = await bundle.generate({ format: 'es', inlineDynamicImports: true })
    const { code } = await transform(output[0].code, { minify: true })
    return code
  },

  async webpack(input, folder) {
    const options = {
      mode: 'production',
      entry: input,
      output: { path: folder, filename: 'webpack.js', module: true, library: { type: 'module' } },
      experiments: { outputModule: true },
      externals: OUTSIDE,
      externalsType: 'import',
      performance: false,
    }
    const stats = await new Promise((resolve, reject) =>
      webpack(options, (error, done) => (error ? reject(error) : resolve(done))),
    )
    if (stats.hasErrors()) throw new Error(stats.toString({ all: false, errors: true }))
    return readFileSync(join(folder, 'webpack.js'), 'utf8')
  },
}

function withEsbuild(input) {
  return build({
    entryPoints: [input],
    bundle: true,
    minify: true,
    format: 'esm',
    platform: 'browser',
    external: ['onnxruntime-web/*'],
    metafile: true,
    write: false,
    logLevel: 'error',
  })
}

/** Prints what each file adds to a bundle, in bytes before gzip, the largest first. */
async function why(input) {
  const { metafile } = await withEsbuild(input)
  const [{ inputs }] = Object.values(metafile.outputs)
  const files = Object.entries(inputs).sort(([, a], [, b]) => b.bytesInOutput - a.bytesInOutput)
  for (const [file, { bytesInOutput }] of files) console.log(`  ${String(bytesInOutput).padStart(7)}  ${file}`)
}

const folder = mkdtempSync('build/bundles-') // in the package, so that it finds itself
try {
  const tools = Object.keys(bundlers)
  const row = (...cells) =>
    console.log(cells.map((cell, i) => (i ? String(cell).padStart(9) : cell.padEnd(16))).join(''))
  row('KB, min + gzip', ...tools, 'limit')
  for (const { name, entry, limit } of limits) {
    const input = join(process.cwd(), folder, `${name}.js`)
    writeFileSync(input, `export { ${name} } from '${entry}'\n`)
    const sizes = []
    for (const tool of tools) {
      const code = await bundlers[tool](input, join(process.cwd(), folder))
      sizes.push(gzipSync(code, { level: 9 }).length / 1000)
    }
    row(name, ...sizes.map((size) => size.toFixed(1)), limit)
    if (process.argv.includes('--why')) await why(input)
    if (sizes.some((size) => size > limit)) process.exitCode = 1
  }
} finally {
  rmSync(folder, { recursive: true })
}
