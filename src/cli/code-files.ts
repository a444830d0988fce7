/** Loads the files that --code names: modules with a user's code. */

import { spawnSync } from 'node:child_process'
import { extname, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { expected, isObject } from '../base/check'
import { messageOf } from '../base/errors'
import type { CodeName } from '../codec/names'
import type { ChosenCode } from '../evaluate/compare-codes'
import { checkModule, type NamedModule, placeOf } from '../evaluate/module-coding'
import { readNamed } from './files'
import { isCodeFile } from './options'

const EXTENSIONS = ['.js', '.mjs', '.ts', '.mts']

/** Whether this runtime reads TypeScript: Node strips types without a flag from 22.18 and 23.6 on. */
const { features, versions } = process
const readsTypes = Boolean((features as { typescript?: unknown }).typescript || versions.bun || versions.deno)

/** Names as they are, files as modules. @throws TypeError for a file that is no code module; Error for one that is missing or broken */
export async function loadCodes(codes: readonly string[]): Promise<ChosenCode[]> {
  return Promise.all(codes.map((code) => (isCodeFile(code) ? loadModule(code) : (code as CodeName))))
}

/** Loads an ES module, whose functions are its exports or the properties of its default export. */
async function loadModule(path: string): Promise<NamedModule> {
  if (!EXTENSIONS.includes(extname(path)))
    throw new TypeError(expected('--code', `a file that ends with ${EXTENSIONS.join(' or ')}`, path))
  if (/ts$/.test(path) && !readsTypes)
    throw new TypeError(
      `${expected('--code', '.js or .mjs', path)}: TypeScript needs Node 22.18, 23.6 or later; this is ${process.version}`,
    )
  await readNamed('--code', path)
  let exported: { default?: unknown }
  const { href } = pathToFileURL(resolve(path))
  try {
    exported = await import(/* @vite-ignore */ href)
  } catch (cause) {
    throw new Error(`${path}: it cannot be loaded: ${messageOf(cause)}${placeIn(cause, href)}`, { cause })
  }
  return checkModule(path, isObject(exported.default) ? exported.default : { ...exported })
}

/** A line that has only a file and a line number, as above a quotation of wrong syntax. */
const QUOTED = /^(?!node:)(?:file:\/\/)?(\S+:\d+)$/m

/**
 * Where it went wrong. Of wrong JavaScript only an uncaught error prints the line. Linking fails before any code runs, so a second import
 * is safe.
 */
function placeIn(error: unknown, href: string): string {
  if (!(error instanceof SyntaxError)) return placeOf(error)
  const args = ['--input-type=module', '-e', `await import(${JSON.stringify(href)})`]
  const printed = () => spawnSync(process.execPath, args, { encoding: 'utf8' }).stderr
  const [, place] = QUOTED.exec(String(error.stack)) ?? QUOTED.exec(printed()) ?? []
  return place ? ` (${place.replace(/^.*\//, '')})` : ''
}
