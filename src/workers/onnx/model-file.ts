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

const HEAD = 512
const MOST_LETTERS = 300

/** How files begin that people take for an ONNX model. */
const KINDS: readonly [RegExp, string][] = [
  [/^$/, 'an empty file'],
  [/^version https:\/\/git-lfs/, "a pointer of git-lfs: 'git lfs pull' fetches the file itself"],
  [/^\s*(<!--.*?-->\s*)?<(!doctype html|html|head|body)\b/is, 'an HTML page'],
  [/^(\xef\xbb\xbf)?\s*<\?xml/, 'an XML document'],
  [/^PK\x03\x04/, 'a zip archive, as PyTorch saves them: torch.onnx.export writes an ONNX model'],
  [/^\x1f\x8b/, 'a gzip archive: unpack it first'],
  [/^\x89HDF/, 'an HDF5 file, as Keras saves them: tf2onnx writes an ONNX model'],
  [/^....TFL3/s, 'a TensorFlow Lite model: tf2onnx writes an ONNX model'],
  [/^\x80[\x02-\x05]/, 'a Python pickle: torch.onnx.export writes an ONNX model'],
  [/^\x08[\x01-\x20]/, 'what begins as one and cannot be read to its end: it is damaged or cut off'], // the version of the format
]

/**
 * The error of a model that did not load: where its bytes are no ONNX model, one that says what they are. Nothing of a text is quoted,
 * since it may be a secret whose file was named by mistake.
 *
 * @param model  the path, URL or bytes that these bytes are from
 */
export function asModelError(error: unknown, model: unknown, bytes: Uint8Array): unknown {
  if (!(error instanceof ApproxiferError) || !UNPARSED.test(error.message)) return error
  const where = typeof model === 'string' || model instanceof URL ? ` in ${named(String(model))}` : ''
  return new ApproxiferError('MODEL', `model: expected an ONNX model${where}, got ${kindOf(bytes)}`, { cause: error })
}

const named = (model: string) => JSON.stringify(withoutPassword(model.slice(0, MOST_LETTERS)))

function kindOf(bytes: Uint8Array): string {
  const head = Array.from(bytes.subarray(0, HEAD))
  const text = String.fromCharCode(...head)
  const known = KINDS.find(([beginning]) => beginning.test(text))
  if (known) return known[1]
  if (/^[\t\n\r\x20-\x7e]+$/.test(text)) return `a text of ${bytes.length} bytes`
  const first = head.slice(0, 4).map((byte) => byte.toString(16).padStart(2, '0'))
  return `${bytes.length} bytes that begin with ${first.join(' ')}`
}
