/** Loads the files that --code names: modules with a user's code. */

import { extname, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { expected, isObject } from '../base/check'
import { messageOf } from '../base/errors'
import type { CodeName } from '../codec/names'
import type { ChosenCode } from '../evaluate/compare-codes'
import { checkModule, type NamedModule, placeOf } from '../evaluate/module-coding'
import { readNamed } from './files'
import { isCodeFile } from './options'

const EXTENSIONS = ['.js', '.mjs']

/** Names as they are, files as modules. @throws TypeError for a file that is no code module; Error for one that is missing or broken */
export async function loadCodes(codes: readonly string[]): Promise<ChosenCode[]> {
  return Promise.all(codes.map((code) => (isCodeFile(code) ? loadModule(code) : (code as CodeName))))
}

/** Loads an ES module, whose functions are its exports or the properties of its default export. */
async function loadModule(path: string): Promise<NamedModule> {
  if (!EXTENSIONS.includes(extname(path)))
    throw new TypeError(expected('--code', `a file that ends with ${EXTENSIONS.join(' or ')}`, path))
  await readNamed('--code', path)
  let exported: { default?: unknown }
  try {
    exported = await import(/* @vite-ignore */ pathToFileURL(resolve(path)).href)
  } catch (cause) {
    throw new Error(`${path}: it cannot be loaded: ${messageOf(cause)}${hint(cause, path)}`, { cause })
  }
  return checkModule(path, isObject(exported.default) ? exported.default : { ...exported })
}

/** Where it went wrong. Only Node itself prints the line of a syntax error. */
function hint(error: unknown, path: string): string {
  return error instanceof SyntaxError ? `; 'node ${path}' says where` : placeOf(error)
}
