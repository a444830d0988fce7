/** Options of ONNX models, checked before a thread is started. */

import { platform } from '#platform'
import { checkLengths, checkObject, checkShare, checkString, expected } from '../../base/check'
import { any, open, type TableOf, words } from '../../base/option'
import type { Runtime } from '../../platform/platform'

export interface OnnxOptions {
  outputs?: readonly string[]
  /**
   * Shapes without the batch dimension, for inputs with dynamic dimensions: all queries then have this shape, and can be coded and
   * remembered. An input called `__proto__` is written `['__proto__']`.
   */
  inputShapes?: Readonly<Record<string, readonly number[]>>
  /**
   * Locations of weights that the model keeps in separate files, by its names for them: paths, URLs or bytes. Default: beside the model,
   * if that is a path or a URL.
   */
  externalData?: Readonly<Record<string, string | URL | Uint8Array>>
  /**
   * Where onnxruntime-web finds its .mjs and .wasm files: the URL of their folder, or `{ mjs, wasm }` with the URL of either or both; passed on
   * as `env.wasm.wasmPaths`.
   */
  wasmPaths?: string | Record<string, string>
  /**
   * Execution providers, the preferred one first; passed on as `executionProviders`. Default `['wasm']`, with onnxruntime-node `['cpu']`.
   * In browsers `webgpu` and `webnn` need the worker script `approxifer/worker.webgpu`, passed by `createWorker`, which has the larger
   * runtime. The runtime skips providers that it does not have, with a line on the console; if none is left, or one fails, loading
   * rejects with MODEL.
   */
  providers?: readonly string[]
  /**
   * Tolerated difference of an accelerator's values from the CPU's, relative to the size of their output. Loading rejects with MODEL if
   * they differ by more than thirty times that, since predictors take larger differences for lies. Default: the predictor's
   * `verify.rounding`, else 1e-4.
   */
  rounding?: number
  /**
   * The package that runs the model, an optional peer dependency. Default `'onnxruntime-web'`. `'onnxruntime-node'`, on Node only, is
   * native code: faster, larger to install. It must be installed in the same `node_modules` as approxifer, or in a parent folder's.
   * Native code cannot be interrupted: a worker that is restarted or closed finishes its call first, and a process that exits during a
   * call aborts, so call `close()` before.
   */
  runtime?: Runtime
}

export const onnxOptions = {
  outputs: open(names, 'all', 'outputs to use; others are not computed (as a flag: `name,..`)', '--outputs <names>'),
  inputShapes: open(
    shapes,
    'the model’s',
    'shapes of inputs with dynamic dimensions (as a flag: `name=AxBxC,..`)',
    '--input-shapes <shapes>',
  ),
  externalData: open(
    files,
    'beside the model',
    'weights in other files: for each file name in the model its path, URL or bytes',
  ),
  runtime: open(
    words(platform.runtimes),
    "`'onnxruntime-web'`",
    'the package that runs the model: see [runtimes of the model](models.md#runtimes-of-the-model)',
    '--runtime <package>',
  ),
  providers: open(
    names,
    "`['wasm']`",
    'execution providers, in order of preference; the model is refused if a provider’s answers differ from the CPU’s',
  ),
  rounding: open(
    checkShare,
    '`verify.rounding`',
    'how far an accelerator’s values may differ from the CPU’s; beyond thirty times this the accelerator is refused',
  ),
  wasmPaths: open(
    any<NonNullable<OnnxOptions['wasmPaths']>>,
    'beside onnxruntime-web',
    'location of onnxruntime-web’s files: URL of their folder, or `{ mjs, wasm }` with URLs of one or both files',
  ),
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
