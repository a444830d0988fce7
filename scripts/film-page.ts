/**
 * npm run film:page: builds the film's live page, site/film/, into build/film/, and prints what a visitor fetches. Beside the page lie the model and
 * ONNX Runtime, which are fetched when somebody draws a digit. With a folder's name it builds there.
 */

import { copyFileSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import { nodeResolve } from '@rollup/plugin-node-resolve'
import { transform } from 'esbuild'
import { rollup } from 'rollup'
import esbuild from 'rollup-plugin-esbuild'
import { packDigits, unpackDigits } from '../site/film/packed-digits'
import { loadDigits, MODEL } from '../src/cli/demo/digits'
import { loadModel } from '../src/cli/files'
import { answersOf } from '../src/evaluate/model'
import type { Digits } from '../src/film/digits'
import { readModel } from '../src/workers/onnx/model-file'
import { licenses } from './licenses.js'
import { untold } from './untold.js'

const SITE = 'site/film'
const RUNTIME = 'node_modules/onnxruntime-web/dist/ort-wasm-simd-threaded.wasm'
/** Of all that is fetched before somebody draws, gzipped. */
export const MOST_BYTES = 150_000
/** What is fetched only when somebody draws a digit. */
const LATER = /^(model\.js|ort-.*|mnist-lenet\.onnx|LICENSES\.txt)$/

/** All that a predictor of the film loads anyhow is in one file; what options that the film lacks would load stays outside. */
const INSIDE = /predictor\/(coder|batch-admission)\.ts|layers\/agree\.ts|core-bytes/

/** The film's machines are its own: what starts threads and reads models for a predictor, 5 KB of gzip, stays outside. */
const machinesOnly = {
  name: 'machines-only',
  load: (id: string) =>
    /workers.local.local\.ts$/.test(id) ? 'export const [localWorkers, mostThreads] = [undefined, () => 0]' : null,
}

/** Licences are in a file of their own. */
const MINIFY = { minify: true, target: 'es2022', format: 'esm', legalComments: 'none' } as const

async function bundled(input: string, folder: string, conditions: string[]): Promise<void> {
  const bundle = await rollup({
    input: `${SITE}/${input}.ts`,
    external: (id) => input !== 'model' && id.startsWith('onnxruntime-'),
    plugins: [
      machinesOnly,
      nodeResolve({ exportConditions: conditions, browser: true, extensions: ['.ts', '.js', '.mjs'] }),
      esbuild({ target: 'es2022', tsconfig: false }),
      untold,
      licenses,
    ],
    onwarn: (warning, warn) => warning.code !== 'CIRCULAR_DEPENDENCY' && warn(warning),
  })
  const { output } = await bundle.generate({
    format: 'es',
    entryFileNames: '[name].js',
    chunkFileNames: 'parts/[name].js',
    manualChunks: (id) =>
      input === 'simulation' && (id.endsWith('simulation.ts') || INSIDE.test(id)) ? 'film' : undefined,
  })
  mkdirSync(join(folder, 'parts'), { recursive: true })
  for (const file of output) {
    const text = file.type === 'asset' ? file.source : (await transform(file.code, MINIFY)).code
    writeFileSync(join(folder, file.fileName), text)
  }
  await bundle.close()
}

/** Until the script ends no digit comes twice: 240 come before the film, and 134 in its twelve seconds. */
const DIGITS = 360

/** With the answers that the model gives to the digits as they are packed. */
async function repacked(digits: Digits): Promise<Uint8Array<ArrayBuffer>> {
  const images = unpackDigits(packDigits(digits)).images.slice(0, DIGITS)
  return packDigits({
    ...digits,
    images,
    answers: await answersOf(await loadModel(MODEL, await readModel(MODEL), {}), images),
  })
}

/** @returns the bytes of each file that the page fetches by itself, gzipped, by name */
export async function buildPage(folder: string): Promise<Map<string, number>> {
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  for (const file of ['index.html', 'style.css']) copyFileSync(join(SITE, file), join(folder, file))
  for (const file of [RUNTIME, MODEL]) copyFileSync(file, join(folder, basename(file)))
  await bundled('page', folder, ['browser'])
  await bundled('simulation', folder, ['browser'])
  await bundled('model', folder, ['browser'])
  writeFileSync(join(folder, 'digits.bin'), await repacked(await loadDigits()))
  const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((each) => each.isFile())
  const fetched = files.filter(({ name, parentPath }) => !LATER.test(name) && !isUnused(parentPath, name))
  return new Map(fetched.map(({ name, parentPath }) => [name, gzipSync(readFileSync(join(parentPath, name))).length]))
}

/** Parts of the predictor that the film's options never load. */
const isUnused = (folder: string, name: string) => basename(folder) === 'parts' && name !== 'film.js'

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const sizes = await buildPage(process.argv[2] ?? 'build/film')
  for (const [name, bytes] of sizes) console.log(`${name}: ${(bytes / 1000).toFixed(1)} KB gzip`)
  const sum = [...sizes.values()].reduce((a, b) => a + b, 0)
  console.log(
    `in all ${(sum / 1000).toFixed(1)} KB gzip, of ${MOST_BYTES / 1000} KB at most; ONNX Runtime is fetched when somebody draws`,
  )
  process.exit(sum > MOST_BYTES ? 1 : 0)
}
