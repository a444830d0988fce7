/**
 * JSON whose weight is numbers under keys named `data`: what is long is read in slices, so that tensors of megabytes do not hold the event
 * loop.
 */

import { joined } from '../arrays'
import {
  ascii,
  BACKSLASH,
  COLON,
  flattened,
  isSpace,
  type JsonNumbers,
  NumberReader,
  OPEN,
  QUOTE,
} from './json-numbers'

/** Bytes of a document that JSON.parse reads in a millisecond or two, whatever it holds, and faster than slices are. */
const AT_ONCE = 2 ** 16
/** What a longer one may hold beside the arrays of numbers: it is parsed at one go. */
const MOST_REST = 2 ** 16
/** As many as a message may have tensors. */
const MOST_ARRAYS = 1000
/** Bytes read before whatever else waits has its turn: one or two milliseconds. */
const SLICE = 2 ** 18

const KEY = '"data"'
/** Of that key with each of its letters escaped. */
const LONGEST_KEY = '"\\u0064\\u0061\\u0074\\u0061"'.length
const UTF8 = new TextDecoder('utf-8', { fatal: true })

/**
 * @param bytes   UTF-8; only read
 * @param atOnce  what is longer is read in slices
 * @returns the document; where it has an array under a key `data`, there are `JsonNumbers`
 * @throws TypeError, RangeError for what is no JSON, with more than 64 KB beside the numbers, or with ragged arrays
 */
export async function parseJson(bytes: Uint8Array, atOnce = AT_ONCE): Promise<unknown> {
  if (bytes.length <= atOnce) return withNumbers(parsed(bytes), flattened)
  const arrays: JsonNumbers[] = []
  const rest: Uint8Array[] = []
  const scan = scanned(bytes, arrays, rest)
  while (!scan.next().done) await turn()
  // Each array stands in the text as [its number]; no text of the sender's can pass for one, since all arrays under this key were taken out.
  return withNumbers(parsed(joinedBytes(rest)), ([n]) => arrays[n as number])
}

/** A task of its own for whatever waits. */
export function turn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve))
}

/** One after the other; a single part as it is. */
export function joinedBytes(parts: readonly Uint8Array[]): Uint8Array {
  return parts.length === 1 ? parts[0] : joined(parts, Uint8Array)
}

function parsed(bytes: Uint8Array): unknown {
  let text: string
  try {
    text = UTF8.decode(bytes)
  } catch {
    throw new TypeError('the JSON: expected UTF-8, got other bytes')
  }
  try {
    return JSON.parse(text)
  } catch (error) {
    throw new TypeError(`the body: expected JSON, got what ends in ${(error as Error).message}`)
  }
}

/** Puts numbers in place of each array under a key `data`, however deep: without recursion, which a stack would end. */
function withNumbers(document: unknown, numbersOf: (array: readonly unknown[]) => JsonNumbers): unknown {
  const todo = [document]
  while (todo.length) {
    const value = todo.pop()
    if (typeof value !== 'object' || value === null) continue
    for (const [key, own] of Object.entries(value)) {
      if (key === 'data' && Array.isArray(own)) Object.assign(value, { data: numbersOf(own) })
      else if (typeof own === 'object') todo.push(own)
    }
  }
  return document
}

/** Yields after every slice. @param arrays, rest  are filled */
function* scanned(bytes: Uint8Array, arrays: JsonNumbers[], rest: Uint8Array[]): Generator<void> {
  let from = 0
  let left = MOST_REST
  let at = 0
  /** Where others had their last turn. */
  let rested = 0
  while (at < bytes.length) {
    if (at - from > left) {
      throw new RangeError(`the JSON: expected at most ${MOST_REST} bytes beside the tensors' data, got more`)
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
      throw new RangeError(`the JSON: expected at most ${MOST_ARRAYS} arrays under 'data', got more`)
    }
    const reader = new NumberReader(bytes, open)
    while (!reader.read(SLICE)) {
      rested = reader.at
      yield
    }
    rest.push(bytes.subarray(from, open), new TextEncoder().encode(`[${arrays.length}]`))
    left -= open - from
    arrays.push(reader.numbers)
    from = at = reader.at
    if (at < rested + SLICE) continue
    rested = at
    yield
  }
  rest.push(bytes.subarray(from))
}

/** @param most  where to give up */
function afterString(bytes: Uint8Array, from: number, most: number): number {
  let at = from + 1
  while (at < bytes.length && at < most && bytes[at] !== QUOTE) at += bytes[at] === BACKSLASH ? 2 : 1
  return at + 1
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
