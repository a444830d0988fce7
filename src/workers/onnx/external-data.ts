/** Weights that a model keeps in files beside its own, as exporters write them for large ones: `model.onnx.data`. */

import { ApproxiferError } from '../../base/errors'

/** An entry `external_data` of a tensor (onnx.proto, StringStringEntryProto) with the key "location", up to the length of its value. */
const LOCATION = Uint8Array.of(0x0a, 8, ...new TextEncoder().encode('location'), 0x12)
const MOST_LETTERS = 127

/** Names of the files that a model has weights in, each once; found by their mark, since nothing else of the model has to be read. */
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

/** Where a file beside the model is. @throws ApproxiferError MODEL for a name that leads elsewhere, since models come from strangers */
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
