/** What a model on onnxruntime may be told, checked before a thread is started for it. */

import { platform } from '#platform'
import { checkLengths, checkObject, checkShare, checkString, expected } from '../../check'
import { any, open, type TableOf, words } from '../../option'
import type { OnnxOptions } from './model'

export const onnxOptions = {
  outputs: open(names, 'all', 'outputs to use (as a flag: `name,..`)', '--outputs <names>'),
  inputShapes: open(
    shapes,
    'the model’s',
    'of inputs with dynamic dimensions (as a flag: `name=AxBxC,..`)',
    '--input-shapes <shapes>',
  ),
  externalData: open(
    files,
    'beside the model',
    'paths, URLs or bytes of weights that the model keeps in other files, by its names for them',
  ),
  runtime: open(
    words(platform.runtimes),
    "`'onnxruntime-web'`",
    'the package that runs the model: see [below](#runtimes-of-the-model)',
    '--runtime <package>',
  ),
  providers: open(
    names,
    "`['wasm']`",
    'execution providers, most wanted first; the model is refused where its answers are not the CPU’s',
  ),
  rounding: open(
    checkShare,
    '`verify.rounding`',
    'how far an accelerator may be off the CPU; above thirty times that it is refused',
  ),
  wasmPaths: open(any<NonNullable<OnnxOptions['wasmPaths']>>, 'beside it', 'where onnxruntime-web’s files are'),
} satisfies TableOf<OnnxOptions>

function shapes(field: string, value: unknown): Record<string, readonly number[]> {
  const given = checkObject(field, value, 'an object of shapes by input')
  for (const [name, shape] of Object.entries(given)) checkLengths(`${field}.${name}`, shape, 'an array of integers')
  return given as Record<string, readonly number[]>
}

function files(field: string, value: unknown): NonNullable<OnnxOptions['externalData']> {
  const given = checkObject(field, value, 'an object of paths, URLs or bytes by name')
  return given as NonNullable<OnnxOptions['externalData']> // each is checked when it is read
}

function names(field: string, list: unknown): readonly string[] {
  if (!Array.isArray(list)) throw new TypeError(expected(field, 'an array of strings', list))
  if (!list.length) throw new RangeError(`${field}: expected at least one, got []`)
  for (const [i, name] of list.entries()) {
    checkString(`${field}[${i}]`, name)
    if (list.indexOf(name) < i) throw new RangeError(`${field}[${i}]: expected every name once, got ${name} again`)
  }
  return list
}
