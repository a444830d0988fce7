/**
 * JSON whose weight is numbers under keys named `data`: what is long is read and written in slices, so that tensors of megabytes do not
 * hold the event loop. There the numbers go from the bytes to float32 and back without a JavaScript array in between.
 */

import { joined } from '../arrays'

/** The numbers of an array, nested or not. */
export interface Numbers {
  values: Float32Array
  /** Lengths from the outside in: one where the array is flat. */
  dims: readonly number[]
  /** What stands in the array that is no finite float32, and where; `values` are worth nothing then. */
  flaw?: string
}

/** Bytes of a document that JSON.parse reads in a millisecond or two, whatever it holds, and faster than slices are. */
const AT_ONCE = 2 ** 16
/** What a longer one may hold beside the arrays of numbers: it is parsed at one go. */
const MOST_REST = 2 ** 16
/** As many as a message may have tensors. */
const MOST_ARRAYS = 1000
/** Bytes read, or numbers written, before whatever else waits has its turn: one or two milliseconds. */
const READ_SLICE = 2 ** 18
const WRITE_SLICE = 2 ** 13
/** No tensor has more dimensions. */
const MOST_DIMS = 32
/** Letters of a number, which is read at one go. */
const MOST_DIGITS = 2000
/** Numbers that tell how long the others are, and how much room is made in case these are a little shorter. */
const TELLING = 2 ** 12
const MARGIN = 1.02
/** Bytes that are read in the time of one number that only JavaScript's own reader gets right. */
const SLOW_BYTES = 256
/** The largest f32. */
const MOST = 3.4028234663852886e38
/** Relative error of a number put together from its digits, generously. */
const ROUNDING = 2e-15
/** Powers of ten that a double holds exactly. */
const POWERS = Array.from({ length: 23 }, (_, n) => Number(`1e${n}`))

const code = (char: string) => char.charCodeAt(0)
const [QUOTE, BACKSLASH, OPEN, CLOSE, COMMA, COLON] = [...'"\\[],:'].map(code)
const [MINUS, PLUS, DOT, ZERO, NINE, UPPER_E, LOWER_E] = [...'-+.09Ee'].map(code)
/** What an array may hold other than numbers, by its first letter. */
const OTHERS: Readonly<Record<string, string>> = { n: 'null', t: 'true', f: 'false', '"': 'a string', '{': 'an object' }
const KEY = new TextEncoder().encode('"data"')
/** Of that key with each of its letters escaped. */
const LONGEST_KEY = '"\\u0064\\u0061\\u0074\\u0061"'.length
const UTF8 = new TextDecoder('utf-8', { fatal: true })

/**
 * @param bytes   UTF-8; only read
 * @param atOnce  what is longer is read in slices
 * @returns the document; where it has an array under a key `data`, there are `Numbers`
 * @throws TypeError, RangeError for what is no JSON, with more than 64 KB beside the numbers, or with ragged arrays
 */
export async function parseJson(bytes: Uint8Array, atOnce = AT_ONCE): Promise<unknown> {
  if (bytes.length <= atOnce) return withNumbers(parsed(decoded(bytes)), (array) => flattened(array, bytes.length))
  const arrays: Numbers[] = []
  const rest: Uint8Array[] = []
  const scan = scanned(bytes, arrays, rest)
  while (!scan.next().done) await turn()
  // Each array stands in the text as [its number]; no text of the sender's can pass for one, since all arrays under this key were taken out.
  return withNumbers(parsed(decoded(joinedBytes(rest))), ([n]) => arrays[n as number])
}

/** A task of its own for whatever waits. */
export function turn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve))
}

/** One after the other; a single part as it is. */
export function joinedBytes(parts: readonly Uint8Array[]): Uint8Array {
  return parts.length === 1 ? parts[0] : joined(parts, Uint8Array)
}

/** The text between the brackets of an array of these numbers, in slices. @param rows  finite */
export function* written(rows: readonly Float32Array[]): Generator<string> {
  let comma = ''
  for (const row of rows) {
    for (let at = 0; at < row.length; at += WRITE_SLICE) {
      yield comma + row.subarray(at, at + WRITE_SLICE).join(',')
      comma = ','
    }
  }
}

function decoded(bytes: Uint8Array): string {
  try {
    return UTF8.decode(bytes)
  } catch {
    throw new TypeError('the JSON: expected UTF-8, got other bytes')
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    throw new TypeError(`the body: expected JSON, got what ends in ${(error as Error).message}`)
  }
}

/** Puts numbers in place of each array under a key `data`, however deep: without recursion, which a stack would end. */
function withNumbers(document: unknown, numbersOf: (array: readonly unknown[]) => Numbers): unknown {
  const todo = [document]
  while (todo.length) {
    const value = todo.pop()
    if (typeof value !== 'object' || value === null) continue
    const isList = Array.isArray(value)
    for (const key of isList ? value.keys() : Object.keys(value)) {
      const own = value[key as keyof typeof value] as unknown
      if (typeof own !== 'object') continue
      if (!isList && key === 'data' && Array.isArray(own)) Object.assign(value, { data: numbersOf(own) })
      else todo.push(own)
    }
  }
  return document
}

/** The same numbers as a `NumberReader` gives. @param most  values that there may be */
function flattened(array: readonly unknown[], most: number): Numbers {
  const dims: number[] = []
  for (let first: unknown = array; Array.isArray(first); first = first[0]) {
    if (dims.push(first.length) > MOST_DIMS)
      throw new TypeError(`the JSON: expected at most ${MOST_DIMS} dimensions, got more`)
  }
  const count = dims.reduce((product, length) => product * length, 1)
  const values = new Float32Array(Math.min(count, most)) // of ragged arrays the first may be much longer than the others
  let length = 0
  let flaw: string | undefined
  const ragged = () => new RangeError('the JSON: expected arrays of equal lengths in data, got others')
  const fill = (array: readonly unknown[], depth: number): void => {
    for (const value of array) {
      if (flaw !== undefined) return
      if (typeof value === 'number' && depth === dims.length) {
        if (value <= MOST && value >= -MOST) values[length++] = value
        else if (Number.isFinite(Math.fround(value)))
          values[length++] = value // it rounds to the largest
        else flaw = `${value} at ${length}`
      } else if (typeof value === 'number') throw ragged()
      else if (!Array.isArray(value)) flaw = `${kindOf(value)} at ${length}`
      else if (depth === dims.length || value.length !== dims[depth]) throw ragged()
      else fill(value, depth + 1)
    }
  }
  fill(array, 1)
  if (flaw !== undefined) return { values, dims, flaw }
  return { values, dims }
}

function kindOf(value: unknown): string {
  if (typeof value === 'string') return 'a string'
  return typeof value === 'object' && value !== null ? 'an object' : String(value)
}

/** Yields after every slice. @param arrays, rest  are filled */
function* scanned(bytes: Uint8Array, arrays: Numbers[], rest: Uint8Array[]): Generator<void> {
  let from = 0
  let restLength = 0
  let at = 0
  /** Where others had their last turn. */
  let rested = 0
  while (at < bytes.length) {
    if (restLength + at - from > MOST_REST) {
      throw new RangeError(`the JSON: expected at most ${MOST_REST} bytes beside the tensors' data, got more`)
    }
    if (bytes[at] !== QUOTE) {
      at++
      continue
    }
    const start = at
    at = afterString(bytes, start, from + MOST_REST + 1)
    const open = isKey(bytes, start, at) ? afterColon(bytes, at, from + MOST_REST + 1) : -1
    if (open < 0) continue
    if (arrays.length === MOST_ARRAYS) {
      throw new RangeError(`the JSON: expected at most ${MOST_ARRAYS} arrays under 'data', got more`)
    }
    const reader = new NumberReader(bytes, open)
    while (!reader.read(READ_SLICE)) {
      rested = reader.at
      yield
    }
    rest.push(bytes.subarray(from, open), new TextEncoder().encode(`[${arrays.length}]`))
    restLength += open - from
    arrays.push(reader.numbers)
    from = at = reader.at
    if (at < rested + READ_SLICE) continue
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
  const length = to - from
  if (length === KEY.length) return KEY.every((byte, i) => bytes[from + i] === byte)
  if (length < KEY.length || length > LONGEST_KEY || !bytes.subarray(from, to).includes(BACKSLASH)) return false
  try {
    return JSON.parse(ascii(bytes, from, to)) === 'data'
  } catch {
    return false // whoever parses the rest tells
  }
}

/** Where the array begins that follows a key, or -1. @param most  where to give up */
function afterColon(bytes: Uint8Array, at: number, most: number): number {
  const colon = afterSpace(bytes, at, most)
  const open = afterSpace(bytes, colon + 1, most)
  return bytes[colon] === COLON && bytes[open] === OPEN ? open : -1
}

/** Of a few bytes, faster than a decoder; others than letters of ASCII become other letters. */
function ascii(bytes: Uint8Array, from: number, to: number): string {
  return String.fromCharCode.apply(undefined, bytes.subarray(from, to) as unknown as number[])
}

function isSpace(byte: number): boolean {
  return byte === 32 || byte === 10 || byte === 13 || byte === 9
}

function isDigit(byte: number): boolean {
  return byte >= ZERO && byte <= NINE
}

function afterSpace(bytes: Uint8Array, at: number, most: number): number {
  let to = at
  while (to < most && isSpace(bytes[to])) to++
  return to
}

/** Reads one array of numbers, a slice at a time. */
class NumberReader {
  #values = new Float32Array(64)
  #length = 0
  /** How many elements each open array has so far, and how many each array of that depth has to have. */
  readonly #counts: number[] = []
  readonly #dims: number[] = []
  /** Whether an element or the end of an array may come, rather than a comma or the end. */
  #fresh = true
  /** Whether a comma came: then the array may not end. */
  #after = false
  #flaw: string | undefined
  /** Bytes that could have been read in this slice in place of its slow numbers. */
  #lost = 0
  /** With a flaw, brackets and braces still open, and whether a string is. */
  #open = 0
  #quoted = false
  readonly #start: number

  constructor(
    readonly bytes: Uint8Array,
    public at: number,
  ) {
    this.#start = at
  }

  get numbers(): Numbers {
    // What took more room than it needs does not keep it: there may be many such arrays in one body.
    const isRoomy = this.#values.length > 2 * this.#length
    const values = isRoomy ? this.#values.slice(0, this.#length) : this.#values.subarray(0, this.#length)
    return { values, dims: this.#dims, ...(this.#flaw && { flaw: this.#flaw }) }
  }

  /** @returns whether the array has ended; `at` is behind it then */
  read(slice: number): boolean {
    const { bytes } = this
    const to = Math.min(bytes.length, this.at + slice)
    this.#lost = 0
    while (this.at + this.#lost < to) {
      if (this.#flaw) return this.#skip(to)
      const byte = bytes[this.at]
      if (isSpace(byte)) this.at++
      else if (byte === OPEN) this.#enter()
      else if (byte === CLOSE) {
        this.#leave()
        if (!this.#counts.length) return true
      } else if (byte === COMMA) {
        if (this.#fresh) throw this.#wrong('a number')
        this.#fresh = this.#after = true
        this.at++
      } else if (this.#fresh) this.#element(byte)
      else throw this.#wrong('a comma or ]')
    }
    if (this.at >= bytes.length) throw this.#wrong('a closing ]')
    return false
  }

  #enter(): void {
    if (!this.#fresh) throw this.#wrong('a comma or ]')
    if (this.#counts.length >= MOST_DIMS) throw this.#wrong(`at most ${MOST_DIMS} dimensions`)
    if (this.#length && this.#counts.length >= this.#dims.length) throw this.#ragged()
    if (this.#counts.length) this.#counts[this.#counts.length - 1]++
    this.#counts.push(0)
    this.#after = false
    this.at++
  }

  #leave(): void {
    if (this.#after) throw this.#wrong('a number')
    const depth = this.#counts.length - 1
    const count = this.#counts.pop() as number
    // Filled from the inside out, so that an outer dimension has its place before it is known.
    if ((this.#dims[depth] ?? count) !== count) throw this.#ragged()
    this.#dims[depth] = count
    this.#fresh = this.#after = false
    this.at++
  }

  #element(first: number): void {
    const other = OTHERS[String.fromCharCode(first)]
    if (other) return this.#spoil(other)
    if (first !== MINUS && !isDigit(first)) throw this.#wrong('a number')
    const depth = this.#counts.length
    if (this.#dims.length && this.#dims.length !== depth) throw this.#ragged()
    if (!this.#dims.length) this.#dims.length = depth
    this.#counts[depth - 1]++
    const start = this.at
    const value = this.#number()
    if (value > MOST || value < -MOST) {
      return this.#spoil(ascii(this.bytes, start, Math.min(this.at, start + 40)))
    }
    if (this.#length === this.#values.length) this.#grow()
    this.#values[this.#length++] = value
    this.#fresh = this.#after = false
  }

  /** To twice the room or, when enough is read to tell, to room for all if they are alike: large blocks are dear. */
  #grow(): void {
    const { length } = this.#values
    const whole = (this.bytes.length - this.#start) / (this.at - this.#start)
    const larger = new Float32Array(length < TELLING ? 2 * length : Math.ceil(length * Math.max(2, MARGIN * whole)))
    larger.set(this.#values)
    this.#values = larger
  }

  /** One number by JSON's grammar; to the bit the float32 next to what JSON.parse gives. */
  #number(): number {
    const { bytes } = this
    const start = this.at
    const negative = bytes[start] === MINUS
    let at = negative ? start + 1 : start
    let digits = 0
    let exponent = 0
    const whole = at
    const end = start + MOST_DIGITS
    for (; isDigit(bytes[at]) && at < end; at++) {
      if (digits < 1e18) digits = 10 * digits + (bytes[at] - ZERO)
      else exponent++
    }
    if (at === whole || (bytes[whole] === ZERO && at > whole + 1)) throw this.#wrong('a number', whole)
    if (bytes[at] === DOT) {
      const fraction = ++at
      for (; isDigit(bytes[at]) && at < end; at++) {
        if (digits >= 1e18) continue
        digits = 10 * digits + (bytes[at] - ZERO)
        exponent--
      }
      if (at === fraction) throw this.#wrong('a digit', at)
    }
    if (bytes[at] === LOWER_E || bytes[at] === UPPER_E) {
      at++
      const down = bytes[at] === MINUS
      if (down || bytes[at] === PLUS) at++
      const power = at
      let value = 0
      for (; isDigit(bytes[at]) && at < end; at++) value = Math.min(10 * value + (bytes[at] - ZERO), 1e6)
      if (at === power) throw this.#wrong('a digit', at)
      exponent += down ? -value : value
    }
    this.at = at
    if (digits === 0) return negative ? -0 : 0
    if (exponent >= -22 && exponent <= 22) {
      const near = exponent < 0 ? digits / POWERS[-exponent] : digits * POWERS[exponent]
      const value = Math.fround(near * (1 - ROUNDING))
      if (value === Math.fround(near * (1 + ROUNDING))) return negative ? -value : value
    }
    this.#lost += SLOW_BYTES
    return Math.fround(Number(ascii(bytes, start, at))) // in the middle between two, or far out
  }

  /** From here on nothing is read: who wants the numbers is told what is wrong with them. */
  #spoil(what: string): void {
    this.#flaw = `${what} at ${this.#length}`
    this.#open = this.#counts.length
  }

  #skip(to: number): boolean {
    const { bytes } = this
    for (; this.at < to; this.at++) {
      const byte = bytes[this.at]
      if (this.#quoted) {
        if (byte === BACKSLASH) this.at++
        else if (byte === QUOTE) this.#quoted = false
      } else if (byte === QUOTE) this.#quoted = true
      else if (byte === OPEN || byte === 123) this.#open++
      else if ((byte === CLOSE || byte === 125) && --this.#open === 0) {
        this.at++
        return true
      }
    }
    if (this.at >= bytes.length) throw this.#wrong('a closing ]')
    return false
  }

  #wrong(what: string, at = this.at): TypeError {
    const got = at < this.bytes.length ? shownByte(this.bytes, at) : 'the end'
    return new TypeError(`the JSON: expected ${what} at byte ${at}, got ${got}`)
  }

  #ragged(): RangeError {
    return new RangeError(`the JSON: expected arrays of equal lengths in data, got others at byte ${this.at}`)
  }
}

/** What begins with a byte, in a word or two. */
function shownByte(bytes: Uint8Array, at: number): string {
  const char = String.fromCharCode(bytes[at])
  if (OTHERS[char]) return OTHERS[char]
  return bytes[at] > 32 && bytes[at] < 127 ? JSON.stringify(char) : `byte ${bytes[at]}`
}
