// What an application pays for a part of the package, bundled for browsers by esbuild, rollup and webpack with onnxruntime-web left
// outside: the sum of its files, each minified and gzipped. Of each part two figures:
//   at first   the entry with all that it imports statically, which a page waits for
//   in all     with the files behind `import()`: what a page has loaded once it has made a predictor with a scheme and a memory; so
//              without the paper's scheme, which only its preset loads, what follows workers that come and go, what answers equal queries or unasked ones, what compares models, what samples answers, what numbers a user makes of queries, fleets that anybody may join, and what says of a file that it is no model
// Exits with 1 where docs/reference.md says another figure. With --why the modules of both, by esbuild.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { nodeResolve } from '@rollup/plugin-node-resolve'
import { build, transform } from 'esbuild'
import { rollup } from 'rollup'
import webpack from 'webpack'

const entries = { Scheme: 'approxifer/codec', Codec: 'approxifer/codec', createPredictor: 'approxifer' }

/** The page that says what each is: a table of its own, whose head names the bundlers, with "at first, in all" in KB of 1,000 bytes. */
const PAGE = 'docs/reference.md'
/** How far off a figure of the page may be, and .1 KB, which it is rounded to. */
const MOST_OFF = 0.05

const OUTSIDE = /^onnxruntime-web/

/** Modules that only their own options load, or a model that is none. */
const APART =
  /group\/aaai22|error-budget|query\/vote|remember|predictor\/(open|membership|unasked|rollout|comparison)|onnx\/kinds|trust\/sampling|remote\/model/

/** Each gives the files of a bundle by name: { code, isEntry, isApart, imports, later }, the latter names of others, behind `import()` or not. */
const bundlers = {
  async esbuild(input, folder) {
    const { outputFiles, metafile } = await withEsbuild(input, folder)
    const codeOf = new Map(outputFiles.map(({ path, text }) => [path, text]))
    const named = (imports, wanted) => imports.filter(({ kind }) => kind === wanted).map(({ path }) => path)
    const files = Object.entries(metafile.outputs).map(([name, { imports, entryPoint }]) => {
      const code = codeOf.get(join(process.cwd(), name))
      const isEntry = entryPoint !== undefined && join(process.cwd(), entryPoint) === input // not what is behind `import()`
      const isApart = APART.test(entryPoint ?? '')
      return [
        name,
        {
          code,
          isEntry,
          isApart,
          imports: named(imports, 'import-statement'),
          later: named(imports, 'dynamic-import'),
        },
      ]
    })
    return Object.fromEntries(files)
  },

  async rollup(input) {
    const bundle = await rollup({ input, external: OUTSIDE, plugins: [nodeResolve({ browser: true })] })
    const { output } = await bundle.generate({ format: 'es' })
    const files = output.map(async ({ fileName, code, isEntry, facadeModuleId, imports, dynamicImports: later }) => {
      const isApart = APART.test(facadeModuleId ?? '')
      return [fileName, { code: (await transform(code, { minify: true })).code, isEntry, isApart, imports, later }]
    })
    return Object.fromEntries(await Promise.all(files))
  },

  async webpack(input, folder) {
    const options = {
      mode: 'production',
      entry: input,
      output: { path: folder, module: true, library: { type: 'module' } },
      experiments: { outputModule: true },
      externals: OUTSIDE,
      externalsType: 'import',
      performance: false,
    }
    const stats = await new Promise((resolve, reject) =>
      webpack(options, (error, done) => (error ? reject(error) : resolve(done))),
    )
    if (stats.hasErrors()) throw new Error(stats.toString({ all: false, errors: true }))
    const chunks = stats.toJson({ all: false, chunks: true, chunkOrigins: true }).chunks
    const ours = chunks.filter(({ runtime }) => runtime.includes('main')) // a worker's script is no part of the page
    const isApartOf = ({ origins }) => origins.some(({ request }) => APART.test(request))
    const files = ours.flatMap((chunk) => chunk.files.map((name) => [name, chunk.initial, isApartOf(chunk)]))
    const later = files.flatMap(([name, isEntry]) => (isEntry ? [] : name))
    const fileOf = ([name, isEntry, isApart]) => [
      name,
      { code: readFileSync(join(folder, name), 'utf8'), isEntry, isApart, imports: [], later },
    ]
    return Object.fromEntries(files.map(fileOf))
  },
}

function withEsbuild(input, folder) {
  return build({
    entryPoints: [input],
    outdir: folder,
    bundle: true,
    splitting: true,
    minify: true,
    format: 'esm',
    platform: 'browser',
    external: ['onnxruntime-web/*'],
    metafile: true,
    write: false,
    logLevel: 'error',
  })
}

/** Names of the files that are loaded: at first, or with those that are imported later. */
function loaded(files, ...kinds) {
  const names = new Set(Object.keys(files).filter((name) => files[name].isEntry))
  for (const name of names)
    for (const kind of kinds)
      for (const other of files[name][kind]) if (files[other]?.isApart === false) names.add(other)
  return [...names]
}

const kilobytes = (files, names) =>
  names.reduce((sum, name) => sum + gzipSync(files[name].code, { level: 9 }).length / 1000, 0)

/** Prints what each module adds, in bytes before gzip, the largest first: to what is loaded at first, then to the rest. */
async function why(input, folder) {
  const files = await bundlers.esbuild(input, folder)
  const { metafile } = await withEsbuild(input, folder)
  const first = loaded(files, 'imports')
  const rest = loaded(files, 'imports', 'later').filter((name) => !first.includes(name))
  for (const [label, names] of Object.entries({ 'at first': first, 'on top': rest })) {
    if (names.length) console.log(`  ${label}`)
    const modules = names.flatMap((name) => Object.entries(metafile.outputs[name].inputs))
    const sorted = modules.sort(([, a], [, b]) => b.bytesInOutput - a.bytesInOutput)
    for (const [file, { bytesInOutput }] of sorted) console.log(`  ${String(bytesInOutput).padStart(7)}  ${file}`)
  }
}

/** What the page says of an entry, by bundler. */
function saidOf(name) {
  const page = readFileSync(PAGE, 'utf8')
  const cells = (line) => line.split('|').slice(2, -1).map((cell) => cell.trim()) // biome-ignore format: one line
  const [head] = /^\| KB .*\|$/m.exec(page) ?? ['']
  const row = page.split('\n').find((line) => line.startsWith(`| \`${name}\` |`)) ?? ''
  const figures = cells(row).map((cell) => cell.split(', ').map(Number))
  return Object.fromEntries(cells(head).map((tool, i) => [tool, { first: figures[i]?.[0], all: figures[i]?.[1] }]))
}

const isOff = (size, said) => !(Math.abs(size - said) <= MOST_OFF * size + 0.1) // also where it says none

const folder = mkdtempSync('build/bundles-') // in the package, so that it finds itself
try {
  const row = (...cells) =>
    console.log(cells.map((cell, i) => (i ? String(cell).padStart(9) : cell.padEnd(27))).join(''))
  row('KB, min + gzip', ...Object.keys(bundlers))
  for (const [name, entry] of Object.entries(entries)) {
    const input = join(process.cwd(), folder, `${name}.js`)
    writeFileSync(input, `export { ${name} } from '${entry}'\n`)
    const said = saidOf(name)
    const sizes = { first: [], all: [] }
    const wrong = []
    for (const [tool, bundle] of Object.entries(bundlers)) {
      const files = await bundle(input, join(process.cwd(), folder, `${name}-${tool}`))
      const own = {
        first: kilobytes(files, loaded(files, 'imports')),
        all: kilobytes(files, loaded(files, 'imports', 'later')),
      }
      for (const [which, size] of Object.entries(own)) {
        sizes[which].push(size)
        if (isOff(size, said[tool]?.[which])) wrong.push([tool, which, size.toFixed(1), said[tool]?.[which]])
      }
    }
    for (const [which, label] of Object.entries({ first: 'at first', all: 'in all' })) {
      row(`${name}, ${label}`, ...sizes[which].map((size) => size.toFixed(1)))
    }
    for (const [tool, which, size, figure] of wrong) {
      console.log(`${PAGE} says ${figure} of ${name} by ${tool}, ${which}: write ${size}`)
      process.exitCode = 1
    }
    if (process.argv.includes('--why')) await why(input, folder)
  }
} finally {
  rmSync(folder, { recursive: true })
}
