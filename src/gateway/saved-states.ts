/** The saved states of all tenants of a model, in one file. */

import { joinedBytes } from '../oip/json'
import type { Predictor } from '../predictor/predictor'

const BRACE = '{'.charCodeAt(0)
const LINE = '\n'.charCodeAt(0)

/** Packs the states of all tenants: a line of JSON with their lengths, then the states. Without tenants: exactly what `save` gives. Undefined where nothing was learned. */
export async function packStates(predictor: Predictor): Promise<Uint8Array | undefined> {
  const names = predictor.tenants
  if (!names.length && !predictor.renewals) return undefined // after a renewal, an empty state must replace the saved one, which is another model's
  if (names.length === 1 && names[0] === '') return predictor.save()
  const states = await Promise.all(names.map((name) => predictor.save(name)))
  const tenants = names.map((name, i) => [name, states[i].length])
  return joinedBytes([new TextEncoder().encode(`${JSON.stringify({ tenants })}\n`), ...states])
}

/** Unpacks the states by tenant. Their contents are checked by predictors. @throws RangeError for wrong lengths */
export function unpackStates(bytes: Uint8Array): Record<string, Uint8Array> {
  if (bytes[0] !== BRACE) return { '': bytes }
  let at = bytes.indexOf(LINE) + 1
  const entries = lengthsOf(bytes.subarray(0, at)).map(([name, length]): [string, Uint8Array] => {
    const from = at
    at += length
    return [name, bytes.subarray(from, at)]
  })
  if (at !== bytes.length) throw new RangeError(`state: expected ${at} bytes, got ${bytes.length}`)
  return Object.fromEntries(entries)
}

function lengthsOf(line: Uint8Array): [string, number][] {
  try {
    const { tenants } = JSON.parse(new TextDecoder().decode(line))
    const isEntry = (entry: unknown) =>
      Array.isArray(entry) && typeof entry[0] === 'string' && Number.isSafeInteger(entry[1]) && entry[1] >= 0
    if (Array.isArray(tenants) && tenants.every(isEntry)) return tenants
  } catch {}
  throw new RangeError('state: expected the lengths of the tenants’ states, got none')
}
