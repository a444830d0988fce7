/** The package's entries: what they import on each platform, what they leave out, how they are loaded. */

import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { createRequire, isBuiltin } from 'node:module'
import { join, resolve } from 'node:path'
import { build } from 'esbuild'
import { describe, expect, it } from 'vitest'
import webpack from 'webpack'
import manifest from '../package.json'
import { LIBRARIES } from '../scripts/libraries.js'

const ENTRIES = [
  'approxifer',
  ...['codec', 'gateway', 'http', 'layers', 'nats', 'testing'].map((name) => `approxifer/${name}`),
]
/** What bundlers look for, where they are told nothing else: the first is for wrangler, the third for Next. */
const conditions = {
  'workerd, worker, browser': ['workerd', 'worker', 'browser'],
  workerd: ['workerd'],
  'edge-light, worker, browser': ['edge-light', 'worker', 'browser'],
  'edge-light': ['edge-light'],
  worker: ['worker'],
  browser: ['browser'],
}
const EVERYTHING = ENTRIES.map((entry, i) => `export * as e${i} from '${entry}'`).join('\n')

/** Bundles a module's text, with all other packages left outside. */
async function bundle(contents: string, platform: keyof typeof conditions, ignoreAnnotations = false) {
  const { metafile, outputFiles, warnings } = await build({
    stdin: { contents, resolveDir: resolve('test') },
    bundle: true,
    format: 'esm',
    platform: 'neutral',
    conditions: conditions[platform],
    external: ['*.wasm', 'onnxruntime-web/*', 'node:*', 'undici'],
    metafile: true,
    write: false,
    logLevel: 'silent',
    ignoreAnnotations,
  })
  expect(warnings).toEqual([])
  const [{ imports, inputs }] = Object.values(metafile.outputs)
  return { imports: imports.map(({ path }) => path), files: Object.keys(inputs), text: outputFiles[0].text }
}

describe('packages', () => {
  it.each([
    ['browser', ['onnxruntime-web/wasm']],
    ['worker', ['onnxruntime-web/wasm']],
    ['workerd', ['./core.wasm']],
    ['workerd, worker, browser', ['./core.wasm']],
    ['edge-light', []],
    ['edge-light, worker, browser', []],
  ] as const)('all entries together import nothing of Node by the conditions %s', async (platform, expected) => {
    const { imports, text } = await bundle(EVERYTHING, platform)
    expect(imports).toEqual(expected)
    expect(text).not.toMatch(/['"](node:|undici['"])/)
  })

  it('where code may not be made, none is, nor WebAssembly', async () => {
    const { text } = await bundle(EVERYTHING, 'edge-light')
    expect(text).not.toMatch(/WebAssembly\.(compile|instantiate)|\beval\(|\bFunction\(/) // of which Next builds nothing
  })

  it('there the codec is in JavaScript, and in WASM where one brings the module', async () => {
    const { text } = await bundle("export { Codec } from 'approxifer/codec'", 'edge-light')
    const { Codec } = await import(`data:text/javascript,${encodeURIComponent(text)}`)
    const module = await WebAssembly.compile(readFileSync('dist/core.wasm'))
    for (const [core, kind] of [
      [undefined, 'js'],
      [{ module }, 'wasm'],
    ]) {
      const codec = await Codec.create({ queries: 4, stragglers: 1, core })
      expect(codec.core.kind).toBe(kind)
    }
  })

  it('there TLS settings are refused, since nothing would follow them', async () => {
    const { text } = await bundle("export { httpWorkers } from 'approxifer/http'", 'edge-light')
    const { httpWorkers } = await import(`data:text/javascript,${encodeURIComponent(text)}`)
    const make = () => httpWorkers(['https://a.test'], { model: 'm', tls: { ca: 'own' } })
    expect(make).toThrow(/^tls: expected none on this runtime/)
  })

  it('webpack finds all of it there', async () => {
    const options: webpack.Configuration = {
      mode: 'none',
      target: ['web', 'es2022'],
      context: resolve('test'),
      entry: `data:text/javascript,${encodeURIComponent(EVERYTHING)}`,
      resolve: { conditionNames: ['edge-light', '...'] },
      output: { path: resolve('build/webpack') },
    }
    const compiler = webpack(options)
    compiler.outputFileSystem = { mkdir: done, stat: done, writeFile: done } as never
    const stats = await new Promise<webpack.Stats | undefined>((settle, reject) =>
      compiler.run((error, result) => (error ? reject(error) : settle(result))),
    )
    expect(stats?.toJson({ all: false, errors: true, warnings: true })).toMatchObject({ errors: [], warnings: [] })
  })

  it('whoever takes one name of an entry gets no module of another part', async () => {
    const { files, text } = await bundle("export { Scheme } from 'approxifer/codec'", 'browser')
    expect(files).toContain('dist/base/scheme.js')
    expect(files.filter((file) => /^dist\/(?!vendor\/|base\/|browser\/codec\.js)\w+\//.test(file))).toEqual([])
    expect(text.match(/^(var \w+ = )?class \w*/gm)).toHaveLength(1)
    const other = await bundle("export { ApproxiferError } from 'approxifer'", 'browser')
    expect(other.text).not.toMatch(/Predictor|Levenshtein|leven/)
  })

  it('what codes and learns is loaded by whoever asks for it, and no sentence of an option is in a page', async () => {
    const { metafile, outputFiles } = await build({
      ...{
        stdin: { contents: "export { createPredictor } from 'approxifer'", resolveDir: resolve('test') },
        outdir: 'out',
      },
      ...{
        bundle: true,
        splitting: true,
        format: 'esm',
        external: ['onnxruntime-web/*'],
        metafile: true,
        write: false,
      },
    })
    const first = new Set(['out/stdin.js'])
    for (const name of first) {
      for (const { path, kind } of metafile.outputs[name].imports)
        if (kind === 'import-statement' && path in metafile.outputs) first.add(path)
    }
    const files = [...first].flatMap((name) => Object.keys(metafile.outputs[name].inputs))
    const learned = /^dist\/(browser\/)?(core|codec|group|memory)\b|query\/(learning|lessons|looks)/
    expect(files.filter((file) => learned.test(file)).sort()).toEqual([
      'dist/memory/experience-state.js', // what was learned of workers is saved all the same
      'dist/memory/pack.js',
    ])
    expect(outputFiles.some(({ text }) => text.includes('what a query gets if its answer is late or lost'))).toBe(false)
  })

  it('a bundler that does not know the modules to be free of side effects leaves out their classes all the same', async () => {
    const everything = ENTRIES.map((entry) => `import '${entry}'`).join('\n')
    const { text } = await bundle(everything, 'browser', true)
    expect(text.match(/\bclass (?=.*\{)\w*/g)).toEqual(['class extends'])
    expect(text).toMatch(/ApproxiferError = class/)
  })

  it.each(ENTRIES)('%s can be required, and is then what is imported', async (entry) => {
    const required = createRequire(import.meta.url)(entry)
    const imported = await import(entry)
    expect(Object.keys(required).length).toBeGreaterThan(0)
    expect(Object.keys(required).sort()).toEqual(Object.keys(imported).sort())
  })
})

/** A file system's function that does nothing. */
function done(...given: unknown[]): void {
  const told = given.at(-1) as (error: null, result: object) => void
  told(null, { isDirectory: () => true, isFile: () => false })
}

describe('what npm installs', () => {
  const listed = execFileSync('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], { encoding: 'utf8', stdio: 'pipe' }) // biome-ignore format: one line
  const [packed] = JSON.parse(listed)
  const paths: string[] = packed.files.map(({ path }: { path: string }) => path)
  const scripts = readdirSync('dist', { recursive: true, encoding: 'utf8' }).filter((path) => path.endsWith('.js'))

  it('is this package alone', () => {
    expect(Object.keys(manifest)).not.toContain('dependencies')
  })

  it('takes less than 5 MB', () => {
    expect(packed.unpackedSize).toBeLessThan(5e6)
  })

  it('has no source maps, and nothing names one', () => {
    expect(paths.filter((path) => path.endsWith('.map'))).toEqual([])
    expect(scripts.filter((path) => readFileSync(join('dist', path), 'utf8').includes('//# sourceMappingURL'))).toEqual(
      [],
    )
  })

  it('has the licences of all packages that are inside', () => {
    expect(paths).toContain('dist/LICENSES.txt')
    const text = readFileSync('dist/LICENSES.txt', 'utf8')
    const named = [...text.matchAll(/^(\S+) \d+\.\d+\.\d+ \(.+\)$/gm)].map(([, name]) => name)
    const own = LIBRARIES.map((library) => /^(@[^/]+\/)?[^/]+/.exec(library)?.[0])
    const others = ['comlink', 'leven', 'tinyqueue', '@noble/curves', '@noble/hashes', 'onnxruntime-web']
    const theirs = ['sonic-boom', 'tdigest', 'bintrees', 'string-width', '@pinojs/redact']
    expect(named).toEqual(expect.arrayContaining([...own, ...others, ...theirs]))
    expect(new Set(named).size).toBe(named.length)
  })

  it('imports nothing but what runtimes have, and optional peers', async () => {
    const { metafile } = await build({
      ...{ entryPoints: scripts.map((path) => join('dist', path)), outdir: 'out', write: false, metafile: true },
      ...{
        bundle: true,
        format: 'esm',
        platform: 'node',
        packages: 'external',
        external: ['*.wasm'],
        logLevel: 'error',
      },
    })
    const outside = Object.values(metafile.outputs).flatMap(({ imports }) => imports.map(({ path }) => path))
    const bare = new Set(outside.filter((path) => !/^(\.|node:|#edge$)/.test(path)))
    const foreign = [...bare].filter(
      (path) =>
        !isBuiltin(path) &&
        !Object.keys(manifest.peerDependencies).includes(path.replace(/^(@[^/]+\/)?([^/]+).*/, '$1$2')),
    )
    expect(foreign).toEqual([])
    expect([...bare]).toContain('onnxruntime-web')
  })
})
