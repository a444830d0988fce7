/**
 * JSON whose weight is values under keys named `data`: what is long is read in slices, so that tensors of megabytes do not hold the event
 * loop.
 */

import { joined } from '../base/arrays'
import { outOfRange } from '../base/check'
import type { ElementType } from '../base/element'
import { flattened, type JsonElements } from './element-list'
import { elementTypeOf } from './elements'
import { ArrayReader, afterString, ascii, COLON, isSpace, OPEN, parsed, QUOTE } from './json-array'

/** Bytes of a document that JSON.parse reads in a millisecond or two, whatever it holds, and faster than slices are. */
const AT_ONCE = 2 ** 16
/** What a longer one may hold beside the arrays of numbers: it is parsed at one go. */
const MOST_REST = 2 ** 16
/** As many as a message may have tensors. */
const MOST_ARRAYS = 1000
/** Bytes read before whatever else waits has its turn: one or two milliseconds. */
const SLICE = 2 ** 18

/** Bytes in front of an array in which its datatype is looked for. */
const NEAR = 512

const KEY = '"data"'
/** Of that key with each of its letters escaped. */
const LONGEST_KEY = '"\\u0064\\u0061\\u0074\\u0061"'.length

/** An object with an array under `data`, and perhaps what its elements are. */
interface DataHolder {
  data: unknown
  datatype?: unknown
}

/**
 * @param bytes   UTF-8; only read
 * @param atOnce  what is longer is read in slices
 * @returns the document; where it has an array under a key `data`, there are `JsonElements`, of the `datatype` beside it: else float32
 * @throws TypeError, RangeError for what is no JSON, with more than 64 KB beside the values, or with ragged arrays
 */
export async function parseJson(bytes: Uint8Array, atOnce = AT_ONCE): Promise<unknown> {
  if (bytes.length > atOnce) return parseSlices(bytes)
  const document = parsed(bytes)
  for (const holder of holdersIn(document)) {
    const elements = flattened(holder.data as unknown[], typeOf(holder))
    if (!elements) return parseSlices(bytes) // which reads integers of any length
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
    // Each array stands in the text as [its number]; no text of the sender's can pass for one, since all arrays under this key were taken out.
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

/** A task of its own for whatever waits. */
export function turn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve))
}

/** One after the other; a single part as it is. */
export function joinedBytes(parts: readonly Uint8Array[]): Uint8Array {
  return parts.length === 1 ? parts[0] : joined(parts, Uint8Array)
}

/** Each object with an array under a key `data`, however deep: without recursion, which a stack would end. */
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

/** Yields after every slice. @param arrays, rest  are filled */
function* scanned(bytes: Uint8Array, arrays: ScannedArray[], rest: Uint8Array[]): Generator<void> {
  let from = 0
  let left = MOST_REST
  let at = 0
  /** Where others had their last turn. */
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
    const reader = new ArrayReader(bytes, open, told(bytes, from, open))
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

/** The type that was told last, in most messages of this array: if it is another's, the array is read once more. */
function told(bytes: Uint8Array, from: number, to: number): ElementType {
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
    return false // parsing the rest says what is wrong
  }
}

/** Where the array begins that follows a key, or -1. @param most  where to give up */
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
