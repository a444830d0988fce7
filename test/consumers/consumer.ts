/** A consumer: a folder outside the repository, with the packed package and real tools in its node_modules. */

import { spawn } from 'node:child_process'
import { cpSync, linkSync, mkdirSync, mkdtempSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { inject } from 'vitest'
import { PATIENCE_MS } from '../shared/waiting'

const here = dirname(fileURLToPath(import.meta.url))

/** What `npm run test:install` installed. */
export const TOOLS = join(here, 'node_modules')
export const RECIPES = join(here, 'recipes')
/** What the first four images of MNIST's test set show. */
export const DIGITS = '7 2 1 0'

export const node = (version: 20 | 22 | 24) => join(TOOLS, `node${version}/bin/node`)

/**
 * Makes a consumer's folder and returns its path.
 *
 * @param sources  folders (of RECIPES, or absolute) whose files it gets, later ones over earlier ones
 * @param tools  packages of TOOLS that it uses
 */
export function consumer(sources: readonly string[], tools: readonly string[] = []): string {
  const folder = mkdtempSync(join(inject('folder'), `${sources.at(-1)?.split('/').at(-1)}-`))
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }')
  const filter = (path: string) => basename(path) !== 'node_modules' // that somebody installed in an example's folder
  for (const source of sources) cpSync(resolve(RECIPES, source), folder, { recursive: true, filter })
  addPackages(folder)
  for (const tool of tools) {
    const at = join(folder, 'node_modules', tool)
    mkdirSync(dirname(at), { recursive: true })
    symlinkSync(join(TOOLS, tool), at)
  }
  return folder
}

/** The packed package and onnxruntime-web, as `npm install` puts them there. */
export const addPackages = (folder: string) =>
  linkFiles(join(inject('folder'), 'packages'), join(folder, 'node_modules'))

/** A copy that takes no room; no symbolic links, which some bundlers resolve to outside of the consumer. */
function linkFiles(from: string, to: string): void {
  mkdirSync(to, { recursive: true })
  for (const entry of readdirSync(from, { withFileTypes: true })) {
    const [source, target] = [join(from, entry.name), join(to, entry.name)]
    if (entry.isDirectory()) linkFiles(source, target)
    else linkSync(source, target)
  }
}

/** The model and the digits, as files of a page or a program. */
export function addData(folder: string): void {
  const models = join(inject('folder'), 'packages/approxifer/models')
  mkdirSync(folder, { recursive: true })
  for (const file of ['mnist-lenet.onnx', 'mnist-digits.npy']) cpSync(join(models, file), join(folder, file))
}

/** Runs a program to its end. @returns what it printed @throws with all it said, unless it exits with 0 */
export function run(cwd: string, command: string, ...args: string[]): Promise<string> {
  const { PATH, HOME, NODE_EXTRA_CA_CERTS } = process.env // the last for networks whose proxy has a certificate of its own
  const child = spawn(command, args, { cwd, timeout: PATIENCE_MS, env: { PATH, HOME, NODE_EXTRA_CA_CERTS } })
  let [out, err] = ['', '']
  child.stdout.on('data', (text) => {
    out += text
  })
  child.stderr.on('data', (text) => {
    err += text
  })
  return new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (code, signal) => {
      if (code === 0) resolve(out.trim())
      else reject(new Error(`${command} ${args.join(' ')}: exit ${code ?? signal}\n${out}\n${err}`))
    })
  })
}
