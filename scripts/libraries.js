/**
 * A rollup plugin: the command line's libraries, each as one module. Whoever installs the package would get them all, with what they
 * depend on, also for a page that imports none of them. By esbuild, since rollup would make a file of each of their modules, and cannot
 * read CommonJS, as which most of them come.
 */
import { build } from 'esbuild'

/**
 * As they are imported. @opentelemetry/api is among them though users bring their own: copies find each other in a registry of the
 * process. There one sees only what a copy of the same or a newer minor version has put, so ours is held at an old one, 1.4.0, the oldest
 * that prom-client takes; the SDKs of today refuse 1.10. As a peer it would be looked for beside the command line, which may be installed
 * globally.
 */
export const LIBRARIES = [
  ...['@hono/node-server', '@opentelemetry/api', 'cli-progress', 'cli-table3', 'commander'],
  ...['hono/utils/ipaddr', 'pino', 'prom-client', 'yaml'],
]

const FOLDER = `${import.meta.dirname}/libraries/`

/** What CommonJS calls for Node's own modules, in a module. */
const REQUIRE = "import { createRequire } from 'node:module'\nconst require = createRequire(import.meta.url)"

/** Where a library's module stands among those of rollup, so that a file can be named by it. */
export const libraryOf = (id) => (id.startsWith(FOLDER) ? id.slice(FOLDER.length, -'.mjs'.length) : undefined)

async function bundled(library) {
  const names = Object.keys(await import(library)).filter((name) => /^[\w$]+$/.test(name)) // newer Nodes have one 'module.exports'
  const text = (banner) =>
    build({
      stdin: { contents: `export { ${names} } from '${library}'`, resolveDir: import.meta.dirname },
      bundle: true,
      format: 'esm',
      platform: 'node',
      target: 'node20',
      minify: true,
      legalComments: 'none',
      banner,
      metafile: true,
      write: false,
    })
  const plain = await text()
  const { metafile, outputFiles } = plain.outputFiles[0].text.includes('Dynamic require of')
    ? await text({ js: REQUIRE })
    : plain
  const [{ inputs }] = Object.values(metafile.outputs)
  const files = Object.keys(inputs).filter((file) => inputs[file].bytesInOutput > 0)
  return { code: outputFiles[0].text, moduleSideEffects: false, meta: { files } }
}

export const libraries = {
  name: 'libraries',
  resolveId: (source) => (LIBRARIES.includes(source) ? `${FOLDER}${source}.mjs` : null),
  load: (id) => (libraryOf(id) ? bundled(libraryOf(id)) : null),
}
