/**
 * Writes a saved state: a line with version and checksum, a line of JSON, then the arrays that the JSON describes, little endian. The checksum covers
 * everything after the first line. Reading is in unpack.ts, since web pages load this file.
 */

import { checksum } from '../base/checksum'

export const KINDS = { f4: Float32Array, f8: Float64Array, u2: Uint16Array, u1: Uint8Array, i1: Int8Array } as const

export type ElementKind = keyof typeof KINDS
type Elements = Float32Array | Float64Array | Uint16Array | Uint8Array | Int8Array

export const kinds = Object.keys(KINDS) as ElementKind[]

export type What = 'memory' | 'predictor'

export const VERSION = 3
/** The length of the first line, in bytes. */
export const FIRST = 'approxifer 3 0123456789abcdef\n'.length

/** @param content  plain data */
export function pack(what: What, content: unknown, arrays: Record<string, Elements>): Uint8Array {
  const kindOf = (array: Elements) => kinds.find((kind) => array instanceof KINDS[kind])
  const described = Object.entries(arrays).map(([name, array]) => ({ name, kind: kindOf(array), length: array.length }))
  const header = new TextEncoder().encode(`${JSON.stringify({ what, content, arrays: described })}\n`)
  const parts = [header, ...Object.values(arrays)]
  const bytes = new Uint8Array(FIRST + parts.reduce((sum, { byteLength }) => sum + byteLength, 0))
  let at = FIRST
  for (const part of parts) {
    bytes.set(new Uint8Array(part.buffer, part.byteOffset, part.byteLength), at)
    at += part.byteLength
  }
  bytes.set(new TextEncoder().encode(`approxifer ${VERSION} ${checksum(bytes.subarray(FIRST))}\n`))
  return bytes
}
