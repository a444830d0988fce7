/** Files that options name: which option it was stands in the error, and what is wrong in words; and the user's model. */

import { readFile, stat } from 'node:fs/promises'
import { isAbsolute } from 'node:path'
import { expected } from '../base/check'
import { ApproxiferError } from '../base/errors'
import type { TensorSpec } from '../base/tensor'
import { OnnxModel } from '../workers/onnx/model'
import { asModelError, type ModelFile } from '../workers/onnx/model-file'
import type { OnnxOptions } from '../workers/onnx/options'

/** @param field  the option, as the user wrote it. @throws Error with the system's code, such as ENOENT */
export async function readNamed(field: string, path: unknown): Promise<Buffer> {
  try {
    return await readFile(path as string)
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    const text = `${expected(field, 'a file', path)}: ${reason(code, String(path)) ?? message}`
    throw Object.assign(new Error(text, { cause: error }), { code })
  }
}

/** Whether there is a model of this path. @throws ApproxiferError MODEL that says what to do, in place of the system's word for it */
export async function checkModelFile(path: string): Promise<void> {
  const found = await stat(path).catch((error: NodeJS.ErrnoException) => error)
  const why = found instanceof Error ? reason(found.code, path) : found.isDirectory() && reason('EISDIR', path)
  if (!why) return // what else there may be is found out when it is loaded
  const elsewhere = '; where other servers have a model of this name, say which: --workers http://HOST:PORT,..'
  const todo = /\.(onnx|ort)$/.test(path) ? '' : elsewhere
  throw new ApproxiferError('MODEL', `${expected('model', 'an .onnx file', path)}: ${why}${todo}`)
}

function reason(code: string | undefined, path: string): string | undefined {
  const reasons: Record<string, string> = {
    ENOENT: `it is not there${isAbsolute(path) ? '' : `, seen from ${process.cwd()}`}`,
    EISDIR: 'it is a folder',
    EACCES: 'this user may not read it',
  }
  return reasons[code ?? '']
}

export type ModelOptions = Pick<OnnxOptions, 'inputShapes' | 'outputs'>

/** @throws ApproxiferError MODEL for one that cannot be run, in a sentence that names the command's options */
export async function loadModel(
  path: string,
  file: ModelFile,
  { inputShapes, outputs }: ModelOptions,
): Promise<OnnxModel> {
  try {
    return await OnnxModel.load(file, { inputShapes, outputs })
  } catch (cause) {
    const error = (await asModelError(cause, path, file.bytes)) as Error
    throw new ApproxiferError('MODEL', asOptions(error.message), { cause: error })
  }
}

/** A sentence of the library in the command's words. */
export function asOptions(message: string): string {
  return message
    .replace(/inputShapes: \{ "(.*)": \[\.\.\.\] \}/, '--input-shapes $1=AxBxC')
    .replace(/^(inputShapes|outputs):/, (_, name) => (name === 'outputs' ? '--outputs:' : '--input-shapes:'))
    .replace(/option outputs/, 'option --outputs')
    .replace(/onnx\.inputShapes/, '--input-shapes')
    .replace(/onnx\.outputs/, '--outputs')
    .trim()
}

export function shapes(specs: readonly TensorSpec[]): string {
  const lengths = ({ shape }: TensorSpec) => shape.map((n) => (n < 0 ? '?' : n)).join('x') || '1'
  return specs.map((spec) => `${spec.name} ${lengths(spec)}${spec.type ? ` ${spec.type}` : ''}`).join(', ')
}
