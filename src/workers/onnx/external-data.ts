/** Finds weights that a model keeps in separate files, as exporters write them for large models: `model.onnx.data`. */

import { ApproxiferError } from '../../base/errors'

/** The bytes of an `external_data` entry with the key "location" (onnx.proto, StringStringEntryProto), up to its value's length. */
const LOCATION = Uint8Array.of(0x0a, 8, ...new TextEncoder().encode('location'), 0x12)
const MOST_LETTERS = 127

/** The names of all weight files of a model. The entries are found by searching for their bytes, so that the model need not be parsed. */
export function weightFiles(bytes: Uint8Array): string[] {
  const names = new Set<string>()
  for (let at = bytes.indexOf(LOCATION[0]); at >= 0; at = bytes.indexOf(LOCATION[0], at + 1)) {
    if (!LOCATION.every((byte, i) => bytes[at + i] === byte)) continue
    const from = at + LOCATION.length
    const length = bytes[from]
    if (length <= MOST_LETTERS) names.add(new TextDecoder().decode(bytes.slice(from + 1, from + 1 + length)))
  }
  return [...names]
}

/**
 * The location of a weight file beside the model. @throws ApproxiferError MODEL for a path outside the model's folder, since models may
 * be malicious
 */
export function besideModel(model: string | URL, name: string): string | URL {
  if (/^[\\/]|^\w+:|(^|[\\/])\.\.([\\/]|$)/.test(name)) {
    throw new ApproxiferError('MODEL', `the model has weights in ${JSON.stringify(name)}: expected a file beside it`)
  }
  return locate(model, name)
}

export function locate(model: string | URL, name: string): string | URL {
  if (model instanceof URL || /^\w\w+:/.test(model)) return new URL(name, model)
  return `${model.slice(0, Math.max(model.lastIndexOf('/'), model.lastIndexOf('\\')) + 1)}${name}`
}
