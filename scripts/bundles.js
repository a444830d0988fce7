// What an application pays for a part of the package, bundled for browsers by esbuild, rollup and webpack with onnxruntime-web left
// outside: the sum of its files, each minified and gzipped. Of each part two figures:
//   at first   the entry with all that it imports statically, which a page waits for
//   in all     with the files behind `import()`: what a page has loaded once it has made a predictor with a scheme and a memory; so
//              without the paper's scheme, which only its preset loads, what follows workers that come and go, what answers equal queries or unasked ones, what compares models, what samples answers, what numbers a user makes of queries, fleets that anybody may join, and what says of a file that it is no model
// Beside it what the package itself takes, as it is installed and as it is fetched; and what an edge gets by each condition of `exports`.
// Exits with 1 where docs/reference/runtimes.md or docs/reference/bundlers.md says another figure; with DOCS=write it writes them there. With --why the modules of both, by esbuild.
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { nodeResolve } from '@rollup/plugin-node-resolve'
import { build, transform } from 'esbuild'
import { rollup } from 'rollup'
import webpack from 'webpack'

const entries = { Scheme: 'approxifer/codec', Codec: 'approxifer/codec', createPredictor: 'approxifer' }

/** The page that says what each is: a table of its own, whose head names the bundlers, with "at first, in all" in KB of 1,000 bytes. */
const PAGE = 'docs/reference/runtimes.md'
/** The page with a table of what an edge gets, raw and gzipped. */
const EDGE_PAGE = 'docs/reference/bundlers.md'
/** How far off a figure of the page may be, and .1 KB, which it is rounded to. */
const MOST_OFF = 0.05

/** KB of the page of `serve`. */
const MOST_PAGE_KB = 100

const OUTSIDE = /^onnxruntime-web/

/** Modules that only their own options load, or a model that is none. */
const APART =
  /group\/aaai22|error-budget|query\/vote|remember|predictor\/(open|membership|remembered|rollout|comparison)|onnx\/kinds|trust\/sampling|remote\/model/

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

/** What an edge is given, by the name in the table. */
const edgeEntries = {
  '`Codec`': "export { Codec } from 'approxifer/codec'",
  '`createGateway`, `httpWorkers`':
    "export { createGateway } from 'approxifer/gateway'; export { httpWorkers } from 'approxifer/http'",
}
const EDGE_CONDITIONS = ['workerd', 'edge-light', 'worker']

/** The table of what an edge gets: one file, since most edges load no others; for `workerd` with the WASM beside it. */
async function edgeTable() {
  const sizesOf = (bytes) => [bytes.length, gzipSync(bytes, { level: 9 }).length]
  const wasm = sizesOf(readFileSync('dist/core.wasm'))
  let table = `| KB raw, gzip | ${EDGE_CONDITIONS.map((name) => `\`${name}\``).join(' | ')} |\n|---|---|---|---|\n`
  for (const [name, contents] of Object.entries(edgeEntries)) {
    const cells = EDGE_CONDITIONS.map(async (condition) => {
      const { outputFiles } = await build({
        stdin: { contents, resolveDir: process.cwd() },
        bundle: true,
        minify: true,
        format: 'esm',
        conditions: [condition],
        external: ['onnxruntime-web/*', '*.wasm'],
        write: false,
        logLevel: 'error',
      })
      const beside = condition === 'workerd' ? wasm : [0, 0]
      return sizesOf(outputFiles[0].contents)
        .map((size, i) => ((size + beside[i]) / 1000).toFixed(1))
        .join(', ')
    })
    table += `| ${name} | ${(await Promise.all(cells)).join(' | ')} |\n`
  }
  return table
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

/** The table of the page. @param sizes  by entry and bundler */
function tableOf(sizes) {
  const line = (...cells) => `| ${cells.join(' | ')} |\n`
  const rows = Object.entries(sizes).map(([name, by]) =>
    line(`\`${name}\``, ...Object.values(by).map(({ first, all }) => `${first.toFixed(1)}, ${all.toFixed(1)}`)),
  )
  const tools = Object.keys(bundlers)
  return `${line('KB at first, in all', ...tools)}|${'---|'.repeat(tools.length + 1)}\n${rows.join('')}`
}

/** The sentence of the page on the package itself, in MB of 1,000,000 bytes. */
function sentenceOf() {
  const [{ unpackedSize, size }] = JSON.parse(
    execFileSync('npm', ['pack', '--dry-run', '--ignore-scripts', '--json'], { encoding: 'utf8', stdio: 'pipe' }),
  )
  const [unpacked, packed] = [unpackedSize, size].map((bytes) => (bytes / 1e6).toFixed(1))
  return `The package takes ${unpacked} MB (${packed} MB to download), and nothing is installed beside it.`
}

/** What the page says where one of these is to stand. */
const TABLE = /^\| KB .*\n(\|.*\n)+/m
const SENTENCE = /The package takes .* beside it\./

const figuresOf = (text) => (text.match(/\d+\.\d/g) ?? []).map(Number)
const isOff = (size, said) => !(Math.abs(size - said) <= MOST_OFF * size + 0.1) // also where it says none

/** The page of `serve`, as it is sent. @returns whether it is too large */
function isPageTooLarge() {
  const size = readFileSync('dist/page.html.gz').length / 1000
  console.log(`The page of serve takes ${size.toFixed(1)} KB of at most ${MOST_PAGE_KB}, gzipped, with its libraries.`)
  return size > MOST_PAGE_KB
}

/** Puts what was measured in the place of what the page says. @returns whether that was too far off */
function checked(path, place, measured) {
  const page = readFileSync(path, 'utf8')
  const [said] = place.exec(page) ?? ['']
  if (process.env.DOCS === 'write')
    writeFileSync(
      path,
      page.replace(place, () => measured),
    )
  const [own, its] = [measured, process.env.DOCS === 'write' ? measured : said].map(figuresOf)
  const isWrong = own.length !== its.length || own.some((size, i) => isOff(size, its[i]))
  if (isWrong) console.log(`${path} says:\n${said}\nDOCS=write node scripts/bundles.js puts there:\n${measured}`)
  return isWrong
}

const folder = mkdtempSync('build/bundles-') // in the package, so that it finds itself
try {
  const row = (...cells) =>
    console.log(cells.map((cell, i) => (i ? String(cell).padStart(9) : cell.padEnd(27))).join(''))
  row('KB, min + gzip', ...Object.keys(bundlers))
  const sizes = {}
  for (const [name, entry] of Object.entries(entries)) {
    const input = join(process.cwd(), folder, `${name}.js`)
    writeFileSync(input, `export { ${name} } from '${entry}'\n`)
    sizes[name] = {}
    for (const [tool, bundle] of Object.entries(bundlers)) {
      const files = await bundle(input, join(process.cwd(), folder, `${name}-${tool}`))
      const [first, all] = [loaded(files, 'imports'), loaded(files, 'imports', 'later')]
      sizes[name][tool] = { first: kilobytes(files, first), all: kilobytes(files, all) }
    }
    for (const [which, label] of Object.entries({ first: 'at first', all: 'in all' })) {
      row(`${name}, ${label}`, ...Object.values(sizes[name]).map((size) => size[which].toFixed(1)))
    }
    if (process.argv.includes('--why')) await why(input, folder)
  }
  const sentence = sentenceOf()
  console.log(sentence)
  const edge = await edgeTable()
  console.log(`By esbuild, for the edge:\n${edge}`)
  const wrong = [
    isPageTooLarge(),
    checked(PAGE, TABLE, tableOf(sizes)),
    checked(PAGE, SENTENCE, sentence),
    checked(EDGE_PAGE, TABLE, edge),
  ]
  if (wrong.includes(true)) process.exitCode = 1
} finally {
  rmSync(folder, { recursive: true })
}
