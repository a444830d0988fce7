/**
 * Parses JSON with large arrays under keys named `data`. Long documents are parsed in slices, so that tensors of megabytes do not hold the
 * event loop.
 */

import { joined } from '../base/arrays'
import { outOfRange } from '../base/check'
import { systemClock } from '../base/clock'
import type { ElementType } from '../base/element'
import { flattened, type JsonElements } from './element-list'
import { elementTypeOf } from './elements'
import { ArrayReader, afterString, ascii, COLON, isSpace, OPEN, parsed, QUOTE } from './json-array'

/** Up to this many bytes JSON.parse takes two milliseconds at most, and is faster than slices. */
const AT_ONCE = 2 ** 16
/** The most bytes of a long document besides its arrays: they are parsed at once, by JSON.parse. */
const MOST_REST = 2 ** 16
/** The most arrays under `data`: a message has at most this many tensors. */
const MOST_ARRAYS = 1000
/** Bytes that are parsed before the event loop gets a turn: one or two milliseconds. */
const SLICE = 2 ** 18

/** An array's datatype is looked for in this many bytes before the array. */
const NEAR = 512

const KEY = '"data"'
/** The length of the key if each of its letters is escaped. */
const LONGEST_KEY = '"\\u0064\\u0061\\u0074\\u0061"'.length

/** An object with an array under `data`, and perhaps a `datatype`. */
interface DataHolder {
  data: unknown
  datatype?: unknown
}

/**
 * Parses a document.
 *
 * @param bytes   UTF-8; not changed
 * @param atOnce  the most bytes that are not parsed in slices
 * @returns the document, where each array under a key `data` is replaced by `JsonElements` of the `datatype` beside it (default float32)
 * @throws TypeError, RangeError for invalid JSON, for more than 64 KB besides the arrays, or for ragged arrays
 */
export async function parseJson(bytes: Uint8Array, atOnce = AT_ONCE): Promise<unknown> {
  if (bytes.length > atOnce) return parseSlices(bytes)
  const document = parsed(bytes)
  for (const holder of holdersIn(document)) {
    const elements = flattened(holder.data as unknown[], typeOf(holder))
    if (!elements) return parseSlices(bytes) // slices parse integers of any length exactly
    holder.data = elements
  }
  return document
}

async function parseSlices(bytes: Uint8Array): Promise<unknown> {
  const arrays: ScannedArray[] = []
  const rest: Uint8Array[] = []
  const scan = scanned(bytes, arrays, rest)
  while (!scan.next().done) await turn()
  const document = parsed(joinedBytes(rest))
  let done = 0
  for (const holder of holdersIn(document)) {
    // `scanned` has replaced each array by [its number]. The sender cannot forge that: every array under `data` was replaced.
    const [n] = holder.data as number[]
    const { elements, from } = arrays[n]
    holder.data = elements
    if (elements.type === typeOf(holder)) continue
    const reader = new ArrayReader(bytes, from, typeOf(holder))
    while (!reader.read(SLICE)) await turn()
    holder.data = reader.elements
    done += reader.at - from
    if (done < SLICE) continue
    done = 0
    await turn()
  }
  return document
}

function typeOf({ datatype }: DataHolder): ElementType {
  return elementTypeOf(datatype) ?? 'float32'
}

/** Gives the event loop a turn. */
export function turn(): Promise<void> {
  return new Promise((resolve) => void systemClock.after(0, resolve))
}

/** Concatenates byte arrays; a single one is returned as it is. */
export function joinedBytes(parts: readonly Uint8Array[]): Uint8Array {
  return parts.length === 1 ? parts[0] : joined(parts, Uint8Array)
}

/** All objects with an array under a key `data`, at any depth. Without recursion, since deep nesting would overflow the stack. */
function holdersIn(document: unknown): DataHolder[] {
  const holders: DataHolder[] = []
  const todo = [document]
  while (todo.length) {
    const value = todo.pop()
    if (typeof value !== 'object' || value === null) continue
    for (const key in value) {
      const own = (value as Record<string, unknown>)[key]
      if (key === 'data' && Array.isArray(own)) holders.push(value as DataHolder)
      else if (typeof own === 'object') todo.push(own)
    }
  }
  return holders
}

interface ScannedArray {
  elements: JsonElements
  from: number
}

/** Scans a document for arrays under `data`; yields after every slice. @param arrays  gets the arrays. @param rest  gets all other bytes, with each array replaced by [its number] */
function* scanned(bytes: Uint8Array, arrays: ScannedArray[], rest: Uint8Array[]): Generator<void> {
  let from = 0
  let left = MOST_REST
  let at = 0
  /** The position at which the event loop had its last turn. */
  let rested = 0
  while (at < bytes.length) {
    if (at - from > left) {
      throw outOfRange(`the JSON: expected at most ${MOST_REST} bytes beside the tensors' data, got more`)
    }
    if (bytes[at] !== QUOTE) {
      at++
      continue
    }
    const most = from + left + 1
    const end = afterString(bytes, at, most)
    const open = isKey(bytes, at, end) ? afterColon(bytes, end, most) : -1
    if (open < 0) {
      at = end
      continue
    }
    if (arrays.length === MOST_ARRAYS) {
      throw outOfRange(`the JSON: expected at most ${MOST_ARRAYS} arrays under 'data', got more`)
    }
    const reader = new ArrayReader(bytes, open, likelyType(bytes, from, open))
    while (!reader.read(SLICE)) {
      rested = reader.at
      yield
    }
    rest.push(bytes.subarray(from, open), new TextEncoder().encode(`[${arrays.length}]`))
    left -= open - from
    arrays.push({ elements: reader.elements, from: open })
    from = at = reader.at
    if (at < rested + SLICE) continue
    rested = at
    yield
  }
  rest.push(bytes.subarray(from))
}

/** The datatype that stands last before the array, which in most messages is the array's own. If it is not, the array is parsed again. */
function likelyType(bytes: Uint8Array, from: number, to: number): ElementType {
  const text = ascii(bytes, Math.max(from, to - NEAR), to)
  const [, datatype] = /.*"datatype"\s*:\s*"(\w+)"/s.exec(text) ?? []
  return elementTypeOf(datatype) ?? 'float32'
}

function isKey(bytes: Uint8Array, from: number, to: number): boolean {
  if (to - from < KEY.length || to - from > LONGEST_KEY) return false
  const text = ascii(bytes, from, to)
  if (!text.includes('\\')) return text === KEY
  try {
    return JSON.parse(text) === 'data'
  } catch {
    return false // parsing the rest will report the error
  }
}

/** The position of the array that follows a key, or -1. @param most  the position where the search gives up */
function afterColon(bytes: Uint8Array, at: number, most: number): number {
  const colon = afterSpace(bytes, at, most)
  const open = afterSpace(bytes, colon + 1, most)
  return bytes[colon] === COLON && bytes[open] === OPEN ? open : -1
}

function afterSpace(bytes: Uint8Array, at: number, most: number): number {
  let to = at
  while (to < most && isSpace(bytes[to])) to++
  return to
}
