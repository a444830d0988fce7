/** The package's entries: what they import on each platform, what they leave out, how they are loaded. */

import { createRequire } from 'node:module'
import { resolve } from 'node:path'
import { build } from 'esbuild'
import { describe, expect, it } from 'vitest'

const ENTRIES = [
  'approxifer',
  ...['codec', 'gateway', 'http', 'layers', 'nats', 'testing'].map((name) => `approxifer/${name}`),
]
const conditions = { workerd: ['workerd'], browser: ['browser'] }

/** Bundles a module's text, with all other packages left outside. */
async function bundle(contents: string, platform: keyof typeof conditions, ignoreAnnotations = false) {
  const { metafile, outputFiles, warnings } = await build({
    stdin: { contents, resolveDir: resolve('test') },
    bundle: true,
    format: 'esm',
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
    ['workerd', ['./core.wasm']],
  ] as const)('all entries together import nothing of Node on %s', async (platform, expected) => {
    const everything = ENTRIES.map((entry, i) => `export * as e${i} from '${entry}'`).join('\n')
    const { imports, text } = await bundle(everything, platform)
    expect(imports).toEqual(expected)
    expect(text).not.toMatch(/['"](node:|undici['"])/)
  })

  it('whoever takes one name of an entry gets no module of another part', async () => {
    const { files, text } = await bundle("export { Scheme } from 'approxifer/codec'", 'browser')
    expect(files).toContain('dist/scheme.js')
    expect(files.filter((file) => /^dist\/(?!vendor\/|browser\/codec\.js)\w+\//.test(file))).toEqual([])
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
    expect(outputFiles.some(({ text }) => text.includes('what a late or lost query gets'))).toBe(false)
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
