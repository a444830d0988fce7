/** examples/transformers: a pipeline of transformers.js gives through our workers what it gives without. */

import { execFile } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readme, withoutNumbers } from '../consumers/example'
import { PATIENCE_MS } from '../shared/waiting'

const root = fileURLToPath(new URL('../../', import.meta.url))
const text = fileURLToPath(new URL('text/', import.meta.url))
/** Sections of Debian, in the order of the model's classes. */
const SECTIONS = [
  ...['python', 'perl', 'rust', 'devel', 'utils', 'golang', 'haskell', 'javascript', 'net', 'java', 'science', 'admin'],
  ...['gnu-r', 'ruby', 'games', 'x11', 'text', 'sound', 'ocaml', 'graphics', 'fonts', 'php', 'lisp', 'web'],
]
let folder: string

/** The example as a user has it, and a folder for each model as they lie on the Hub. */
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'approxifer-transformers-'))
  cpSync(join(root, 'examples/transformers'), folder, { recursive: true })
  const modules = join(folder, 'node_modules')
  mkdirSync(join(modules, '@huggingface'), { recursive: true })
  const link = (name: string, path: string) => symlinkSync(join(root, path), join(modules, name), 'dir')
  link('@huggingface/transformers', 'test/models/node_modules/@huggingface/transformers')
  link('approxifer', '.')
  for (const [name, architecture] of [
    ['embedder', 'BertModel'],
    ['sections', 'BertForSequenceClassification'],
  ]) {
    // biome-ignore format: one line
    const model = join(folder, name)
    mkdirSync(join(model, 'onnx'), { recursive: true })
    cpSync(join(text, `${name}.onnx`), join(model, 'onnx/model.onnx'))
    for (const file of ['tokenizer.json', 'tokenizer_config.json']) cpSync(join(text, file), join(model, file))
    const id2label = { ...SECTIONS }
    writeFileSync(join(model, 'config.json'), JSON.stringify({ model_type: 'bert', architectures: [architecture], id2label })) // biome-ignore format: one line
  }
  const main = readFileSync(join(folder, 'main.js'), 'utf8')
  writeFileSync(join(folder, 'plain.js'), main.replace(/^await withWorkers.*\n/m, ''))
})
afterAll(() => rmSync(folder, { recursive: true }))

async function printed(script: string, ...args: string[]) {
  const { stdout } = await promisify(execFile)(process.execPath, [script, ...args], { cwd: folder })
  return JSON.parse(stdout)
}

const TEXTS = ['a web server', 'a library for reading images in python', 'fonts', 'a game of chess']

describe('a pipeline of transformers.js', () => {
  it('feature extraction: the same vectors, with the line and without', { timeout: PATIENCE_MS }, async () => {
    const args = ['embedder', 'feature-extraction', ...TEXTS]
    const [ours, plain] = [await printed('main.js', ...args), await printed('plain.js', ...args)]
    expect(ours.length).toBe(TEXTS.length)
    for (const [i, vector] of (ours as number[][]).entries()) {
      expect(vector.length).toBe(128)
      expect(Math.max(...vector.map((value, k) => Math.abs(value - plain[i][k])))).toBeLessThan(1e-5)
    }
  })

  it('text classification: the same labels', { timeout: PATIENCE_MS }, async () => {
    const args = ['sections', 'text-classification', ...TEXTS]
    const [ours, plain] = [await printed('main.js', ...args), await printed('plain.js', ...args)]
    const labels = (all: { label: string }[][]) => all.map((best) => best.map(({ label }) => label))
    expect(labels(ours)).toEqual(labels(plain))
    expect(new Set(labels(ours).map(([best]) => best)).size).toBeGreaterThan(2)
  })
  it('prints what the README says', { timeout: PATIENCE_MS }, async () => {
    const { commands, printed: said } = readme('transformers')
    const given = await printed('main.js', ...commands[0].slice(2))
    expect(withoutNumbers(JSON.stringify(given))).toBe(withoutNumbers(said))
  })
})
