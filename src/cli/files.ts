/** Reads files and models that options name. Errors name the option and say in words what is wrong. */

import { readFile, stat } from 'node:fs/promises'
import { isAbsolute } from 'node:path'
import { expected } from '../base/check'
import { ApproxiferError } from '../base/errors'
import type { TensorSpec } from '../base/tensor'
import { OnnxModel } from '../workers/onnx/model'
import { asModelError, type ModelFile } from '../workers/onnx/model-file'
import type { OnnxOptions } from '../workers/onnx/options'

/** Reads a file. @param field  the option as the user wrote it, for the error. @throws Error with the system's code, such as ENOENT */
export async function readNamed(field: string, path: unknown): Promise<Buffer> {
  try {
    return await readFile(path as string)
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    const text = `${expected(field, 'a file', path)}: ${reason(code, String(path)) ?? message}`
    throw Object.assign(new Error(text, { cause: error }), { code })
  }
}

/** Checks that a model's file is there and readable. @throws ApproxiferError MODEL that says what to do */
export async function checkModelFile(path: string): Promise<void> {
  const found = await stat(path).catch((error: NodeJS.ErrnoException) => error)
  const why = found instanceof Error ? reason(found.code, path) : found.isDirectory() && reason('EISDIR', path)
  if (!why) return // loading the model reports all other errors
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

/** @throws ApproxiferError MODEL for a model that cannot be run; the message names flags of the command line */
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

/** An error message of the library with the names of options replaced by those of flags. */
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
