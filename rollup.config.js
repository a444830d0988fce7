import { chmodSync, readFileSync } from 'node:fs'
import { relative } from 'node:path'
import { nodeResolve } from '@rollup/plugin-node-resolve'
import { transform } from 'esbuild'
import dts from 'rollup-plugin-dts'
import esbuild from 'rollup-plugin-esbuild'
import { declarations, TYPES } from './scripts/declarations.js'
import { libraries, libraryOf } from './scripts/libraries.js'
import { licenses } from './scripts/licenses.js'
import { page } from './scripts/page.js'
import { untold } from './scripts/untold.js'

const external = [/^node:/, /^onnxruntime-/, /^@nats-io\//, /core\.wasm$/, 'undici']

/** Imports for nothing but effects, of which this package has none, as bundlers are told: they would warn of each. Lines stay where they are. */
const effectless = {
  name: 'effectless',
  renderChunk: (code, { fileName }) =>
    fileName.startsWith('vendor/@noble/') ? { code: code.replace(/^import '[^']*';$/gm, ''), map: null } : null,
}

const entries = Object.fromEntries(
  ['index', 'codec', 'gateway', 'http', 'layers', 'nats', 'testing'].map((name) => [name, `src/${name}.ts`]),
)
/** From here, with the slashes of every system. */
const pathOf = (id) => relative(import.meta.dirname, id).replaceAll('\\', '/')
const isEntry = (id) => Object.values(entries).includes(pathOf(id))
const worker = 'src/worker.ts'

/** Runtimes on the edge have equal modules but for the platform's own file, which their bundler chooses: by `imports` of package.json. */
const edge = {
  name: 'edge',
  resolveId: (source) => (source === '#platform' ? { id: '#edge', external: true } : null),
}

/** An export condition decides which src/platform file is inside. */
const plugins = (conditions) => [
  libraries,
  ...(conditions.includes('edge') ? [edge] : []),
  nodeResolve({ exportConditions: conditions, extensions: ['.ts', '.js', '.mjs'], preferBuiltins: true }),
  esbuild({ target: 'es2022', tsconfig: false }), // by tsconfig.json it would keep imports of nothing but types
  ...(conditions.includes('node') ? [] : [untold]),
  licenses,
]

/**
 * One module a file, so that bundlers leave out what an application does not use. What leads to the platform's own file differs by
 * platform and stands in a folder of this name; all other files are the same for every platform, since nothing is shaken out of them.
 */
function modules(platform, conditions, input = entries) {
  const differing = new Set()
  const find = {
    name: 'differing',
    buildEnd() {
      const infos = [...this.getModuleIds()].map((id) => this.getModuleInfo(id))
      const leads = (to) =>
        to === '#edge' || differing.has(to) || /^src\/(platform\/|base\/option\.ts$)/.test(pathOf(to))
      const differs = ({ id, importedIds, dynamicallyImportedIds }) =>
        !differing.has(id) && [...importedIds, ...dynamicallyImportedIds].some(leads)
      for (let found = infos; found.length; ) {
        found = infos.filter(differs)
        for (const { id } of found) differing.add(id)
      }
    },
  }
  const place = ({ facadeModuleId: id }) => {
    const path = pathOf(id).replace(/\.\w+$/, '.js')
    const [, name] = /^(?:src|build)\/(.*)/.exec(path) ?? []
    if (libraryOf(id)) return `vendor/${libraryOf(id)}.js`
    // By the file: builds for other platforms, which have fewer of a package's, write to the same folder.
    if (!name) return path.replace(/^node_modules\/(@[^/]+\/[^/]+|[^/]+)\/(?:.*\/)?([^/]+)$/, 'vendor/$1.$2')
    if (name === 'cli/main.js') return 'cli.js'
    // Beside the worker scripts and core.wasm, which it names.
    if (name.startsWith('platform/')) return name.replace(/^platform\/(node|web|edge|workerd)\.js$/, 'platform.$1.js')
    return differing.has(id) && !/^(cli|evaluate)\//.test(name) ? `${platform}/${name}` : name
  }
  return {
    input,
    external,
    treeshake: false,
    output: {
      dir: 'dist',
      format: 'es',
      preserveModules: true,
      hoistTransitiveImports: false,
      entryFileNames: place,
      paths: (id) => (id.endsWith('core.wasm') ? './core.wasm' : id),
    },
    plugins: [...plugins(conditions), find, effectless, minified],
  }
}

/** A worker's script: one file, since import maps do not reach workers. */
const script = (name, conditions, options = {}) => ({
  input: worker,
  external: options.external ?? external,
  output: { file: `dist/${name}.js`, format: 'es', inlineDynamicImports: true, ...options.output },
  plugins: [...plugins(conditions), minified],
})

/**
 * What nobody reads here: scripts of workers, whose modules lie beside them, and others' packages. The latter keep their white space, since
 * with it go the comments that tell bundlers which calls may be left out.
 */
const minified = {
  name: 'minified',
  async renderChunk(code, { fileName, facadeModuleId }) {
    if (!/^(vendor\/|worker\b)/.test(fileName) || libraryOf(facadeModuleId)) return null
    const minifyWhitespace = fileName.startsWith('worker')
    const options = { minifyIdentifiers: true, minifySyntax: true, minifyWhitespace, legalComments: 'inline' }
    return { code: (await transform(code, options)).code, map: null }
  },
}

const license = readFileSync('scripts/onnxruntime-license.txt', 'utf8')
  .trimEnd()
  .replace(/^/gm, ' * ')
  .replace(/ +$/gm, '')

const executable = { name: 'executable', writeBundle: () => chmodSync('dist/cli.js', 0o755) }
const node = modules('node', ['node'], { ...entries, cli: 'src/cli/main.ts' })

export default [
  { ...node, plugins: [...node.plugins, executable] },
  modules('browser', ['browser']),
  modules('edge', ['edge'], { ...entries, edge: 'src/platform/edge.ts', workerd: 'src/platform/workerd.ts' }),
  script('worker', ['node']),
  script('worker.web', ['browser']),
  script('worker.webgpu', ['webgpu', 'browser']),
  // With onnxruntime-web's JavaScript inside, for pages without a bundler.
  script('worker.bundle', ['browser', 'onnxruntime-web-use-extern-wasm'], {
    external: [],
    output: { banner: `/*!\n${license}\n */` },
  }),
  {
    input: 'src/cli/page/main.ts',
    output: { dir: 'dist', format: 'es' },
    plugins: [...plugins(['browser']), page],
  },
  {
    input: entries,
    external,
    output: {
      dir: 'dist',
      format: 'es',
      chunkFileNames: '[name].d.ts',
      manualChunks: (id) => (isEntry(id) ? undefined : TYPES),
      minifyInternalExports: false,
    },
    plugins: [dts(), declarations],
  },
]
