/** A model's bytes, and what they are where they are no model: the runtimes only say that they cannot be parsed. */

import { platform } from '#platform'
import { expected } from '../../check'
import { ApproxiferError, asError, withoutPassword } from '../../errors'

/** A model's bytes from a path, a URL or bytes. @throws ApproxiferError MODEL, or TypeError for anything else */
export async function readModel(model: unknown): Promise<Uint8Array> {
  if (model instanceof Uint8Array) return model
  if (model instanceof ArrayBuffer) return new Uint8Array(model)
  if (typeof model !== 'string' && !(model instanceof URL)) {
    throw new TypeError(expected('model', 'a path, a URL or bytes', model))
  }
  try {
    return await platform.read(model)
  } catch (error) {
    throw asError(error, 'MODEL', `the model '${model}' cannot be read: `)
  }
}

/** What the runtimes say of a file that is no model, or not all of one; `onnxruntime-node` begins with its path and a capital. */
const UNPARSED = /protobuf parsing failed|no graph was found in the protobuf/i

const MOST_LETTERS = 300

/**
 * The error of a model that did not load: where its bytes are no ONNX model, one that says what they are. Nothing of a text is quoted,
 * since it may be a secret whose file was named by mistake.
 *
 * @param model  the path, URL or bytes that these bytes are from
 */
export async function asModelError(error: unknown, model: unknown, bytes: Uint8Array): Promise<unknown> {
  if (!(error instanceof ApproxiferError) || !UNPARSED.test(error.message)) return error
  const where = typeof model === 'string' || model instanceof URL ? ` in ${named(String(model))}` : ''
  const { kindOf } = await import('./kinds')
  return new ApproxiferError('MODEL', `model: expected an ONNX model${where}, got ${kindOf(bytes)}`, { cause: error })
}

const named = (model: string) => JSON.stringify(withoutPassword(model.slice(0, MOST_LETTERS)))
