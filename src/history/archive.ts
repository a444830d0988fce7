/** Saved state: one line of JSON, then the arrays it describes, one after the other, little endian. */

import { expected } from '../errors'

type Numbers = Float32Array | Float64Array | Uint16Array | Uint8Array

const KINDS = { f4: Float32Array, f8: Float64Array, u2: Uint16Array, u1: Uint8Array } as const

type Kind = keyof typeof KINDS

/** Who saved it. */
type What = 'memory' | 'predictor'

interface Header<T> {
  format: 'approxifer'
  version: 1
  what: What
  content: T
  arrays: { kind: Kind; length: number }[]
}

/** @param content  plain data */
export function pack(what: What, content: unknown, arrays: readonly Numbers[]): Uint8Array {
  const kindOf = (array: Numbers) => (Object.keys(KINDS) as Kind[]).find((kind) => array instanceof KINDS[kind]) as Kind
  const described = arrays.map((array) => ({ kind: kindOf(array), length: array.length }))
  const header: Header<unknown> = { format: 'approxifer', version: 1, what, content, arrays: described }
  const text = new TextEncoder().encode(`${JSON.stringify(header)}\n`)
  const bytes = new Uint8Array(text.length + arrays.reduce((sum, { byteLength }) => sum + byteLength, 0))
  bytes.set(text)
  let at = text.length
  for (const array of arrays) {
    bytes.set(new Uint8Array(array.buffer, array.byteOffset, array.byteLength), at)
    at += array.byteLength
  }
  return bytes
}

/**
 * @returns copies of what was packed
 * @throws RangeError for bytes that are no saved state of this kind, or not all of it
 */
export function unpack<T>(what: What, bytes: Uint8Array): { content: T; arrays: Numbers[] } {
  if (!(bytes instanceof Uint8Array)) throw new TypeError(expected('state', 'a Uint8Array', bytes))
  const end = bytes.indexOf(10)
  const header = parse<T>(end < 0 ? '' : new TextDecoder().decode(bytes.subarray(0, end)))
  if (header?.format !== 'approxifer' || header.version !== 1 || header.what !== what) {
    throw new RangeError(`state: expected what save() of a ${what} gave, got ${header?.what ?? 'something else'}`)
  }
  if (typeof header.content !== 'object' || !Array.isArray(header.arrays)) {
    throw new RangeError('state: expected content and arrays, got a header without')
  }
  let at = end + 1
  const arrays = header.arrays.map(({ kind, length }) => {
    const size = length * KINDS[kind].BYTES_PER_ELEMENT
    if (at + size > bytes.length)
      throw new RangeError(`state: expected ${at + size} bytes or more, got ${bytes.length}`)
    // A Buffer's own slice would be no copy.
    const array = new KINDS[kind](new Uint8Array(bytes.subarray(at, at + size)).buffer)
    at += size
    return array
  })
  return { content: header.content, arrays }
}

function parse<T>(text: string): Header<T> | undefined {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
