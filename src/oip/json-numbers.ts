/** Arrays of numbers in JSON, nested or not, as float32: to the bit the float32 next to what JSON.parse gives. */

export interface JsonNumbers {
  values: Float32Array
  /** Lengths from the outside in: one where the array is flat. */
  dims: readonly number[]
  /** The first element that is no finite float32, and where. Nothing behind it is read. */
  flaw?: string
}

/** No tensor has more dimensions. */
const MOST_DIMS = 32
/** Characters of a number, which is read at one go. */
const MOST_DIGITS = 2000
/** Room for numbers that are a little shorter than those so far. */
const MARGIN = 1.02
/** Bytes that are read in the time of one number that only JavaScript's own reader gets right. */
const SLOW_BYTES = 256
/** Up to here a double adds up digits with a relative error far below `ROUNDING`. */
const MOST_SUM = 1e18
/** Relative error of a number put together from its digits, generously. */
const ROUNDING = 2e-15
const POWERS = Array.from({ length: 23 }, (_, n) => Number(`1e${n}`))

const code = (char: string) => char.charCodeAt(0)
export const [QUOTE, BACKSLASH, OPEN, CLOSE, COMMA, COLON] = [...'"\\[],:'].map(code)
const [MINUS, PLUS, DOT, ZERO, NINE, LOWER_E, OPEN_BRACE, CLOSE_BRACE] = [...'-+.09e{}'].map(code)
/** What an array may hold other than numbers, by its first letter. */
const OTHERS: Readonly<Record<string, string>> = { n: 'null', t: 'true', f: 'false', '"': 'a string', '{': 'an object' }

/** Of an array that JSON.parse has read. */
export function flattened(array: readonly unknown[]): JsonNumbers {
  const list = new NumberList(array.length)
  const add = (part: readonly unknown[]): void => {
    list.open()
    for (const value of part) {
      if (typeof value === 'number') list.push(value)
      else if (Array.isArray(value)) add(value)
      else list.spoil(OTHERS[JSON.stringify(value)[0]])
      if (list.flaw !== undefined) return
    }
    list.close()
  }
  add(array)
  return list.numbers
}

/** Numbers as they come, and the lengths of the arrays around them, which have to be equal at every depth. */
class NumberList {
  flaw: string | undefined
  /** By how much the room grows when there is none left. */
  growth = 2
  #values: Float32Array
  #length = 0
  /** Elements so far, of each array that is open. */
  readonly #counts: number[] = []
  /** Filled from the inside out, as arrays end. */
  readonly #dims: number[] = []

  constructor(room: number) {
    this.#values = new Float32Array(Math.max(64, room))
  }

  /** Arrays that are open. */
  get depth(): number {
    return this.#counts.length
  }

  get numbers(): JsonNumbers {
    // What took more room than it needs does not keep it: there may be many arrays like that in one body.
    const isRoomy = this.#values.length > 2 * this.#length
    const values = isRoomy ? this.#values.slice(0, this.#length) : this.#values.subarray(0, this.#length)
    return { values, dims: this.#dims, ...(this.flaw !== undefined && { flaw: this.flaw }) }
  }

  open(): void {
    const { depth } = this
    if (depth === MOST_DIMS) throw new TypeError(`the JSON: expected at most ${MOST_DIMS} dimensions, got more`)
    if (this.#length && depth >= this.#dims.length) throw ragged()
    if (depth) this.#counts[depth - 1]++
    this.#counts.push(0)
  }

  close(): void {
    const count = this.#counts.pop() as number
    if ((this.#dims[this.depth] ?? count) !== count) throw ragged()
    this.#dims[this.depth] = count
  }

  push(value: number): void {
    const { depth } = this
    if (this.#dims.length !== depth) {
      if (this.#dims.length) throw ragged()
      this.#dims.length = depth
    }
    if (!Number.isFinite(Math.fround(value))) return this.spoil(String(value))
    if (this.#length === this.#values.length) {
      const larger = new Float32Array(Math.ceil(this.growth * this.#length))
      larger.set(this.#values)
      this.#values = larger
    }
    this.#counts[depth - 1]++
    this.#values[this.#length++] = value
  }

  spoil(what: string): void {
    this.flaw = `${what} at ${this.#length}`
  }
}

function ragged(): RangeError {
  return new RangeError('the JSON: expected arrays of equal lengths in data, got others')
}

export class NumberReader {
  readonly #bytes: Uint8Array
  readonly #start: number
  readonly #list = new NumberList(0)
  /** Where it is; behind the array when that has ended. */
  at: number
  /** Beside blanks. Behind a comma an array may not end. */
  #next: 'element or end' | 'element' | 'comma or end' = 'element or end'
  /** Bytes that could have been read in this slice in place of its slow numbers. */
  #lost = 0
  /** Of an array with a flaw, brackets and braces that are open, and whether a string is. */
  #open = 0
  #quoted = false

  /** @param start  where the array begins */
  constructor(bytes: Uint8Array, start: number) {
    this.#bytes = bytes
    this.#start = start
    this.at = start
  }

  get numbers(): JsonNumbers {
    return this.#list.numbers
  }

  /** @returns whether the array has ended */
  read(slice: number): boolean {
    const { length } = this.#bytes
    const to = Math.min(length, this.at + slice)
    this.#lost = 0
    while (this.at + this.#lost < to) {
      const byte = this.#bytes[this.at]
      if (isSpace(byte)) this.at++
      else if (this.#list.flaw === undefined ? this.#token(byte) : this.#skip(byte)) return true
    }
    if (this.at >= length) throw this.#wrong('a closing ]')
    // If all numbers are as long as these, the next time there is room for all: large blocks are dear.
    this.#list.growth = Math.max(2, (MARGIN * (length - this.#start)) / (this.at - this.#start))
    return false
  }

  /** @returns whether the array has ended */
  #token(byte: number): boolean {
    const isEnd = byte === CLOSE && this.#next !== 'element'
    if (isEnd) this.#list.close()
    else if (this.#next === 'comma or end') {
      if (byte !== COMMA) throw this.#wrong('a comma or ]')
    } else if (byte !== OPEN) return this.#element(byte)
    else this.#list.open()
    this.at++
    this.#next = isEnd ? 'comma or end' : byte === COMMA ? 'element' : 'element or end'
    return isEnd && !this.#list.depth
  }

  #element(first: number): false {
    const isNumber = isDigit(first) || first === MINUS
    const other = isNumber ? undefined : OTHERS[String.fromCharCode(first)]
    if (isNumber) this.#list.push(this.#number())
    else if (other) this.#list.spoil(other)
    else throw this.#wrong('a number')
    if (this.#list.flaw !== undefined) this.#open = this.#list.depth
    this.#next = 'comma or end'
    return false
  }

  /** @returns whether the array has ended */
  #skip(byte: number): boolean {
    this.at += this.#quoted && byte === BACKSLASH ? 2 : 1
    if (byte === QUOTE) this.#quoted = !this.#quoted
    else if (this.#quoted) return false
    else if (byte === OPEN || byte === OPEN_BRACE) this.#open++
    else if (byte === CLOSE || byte === CLOSE_BRACE) this.#open--
    return !this.#open
  }

  /** One number by JSON's grammar. Two loops with one check a digit take half the time of one with two. */
  #number(): number {
    const bytes = this.#bytes
    const start = this.at
    const end = start + MOST_DIGITS
    const first = bytes[start] === MINUS ? start + 1 : start
    let at = first
    let sum = 0
    let exponent = 0
    for (; isDigit(bytes[at]) && at < end; at++) {
      if (sum < MOST_SUM) sum = 10 * sum + (bytes[at] - ZERO)
      else exponent++
    }
    if (at === first || (bytes[first] === ZERO && at > first + 1)) throw this.#wrong('a number')
    if (bytes[at] === DOT) {
      const point = at++
      for (; isDigit(bytes[at]) && at < end; at++) {
        if (sum < MOST_SUM) sum = 10 * sum + (bytes[at] - ZERO)
        else exponent++
      }
      if (at === point + 1) throw this.#wrong('a digit', at)
      exponent -= at - point - 1
    }
    if ((bytes[at] | 0x20) === LOWER_E) {
      const sign = bytes[++at]
      const from = sign === MINUS || sign === PLUS ? ++at : at
      let power = 0
      for (; isDigit(bytes[at]) && at < end; at++) power = Math.min(10 * power + (bytes[at] - ZERO), 1e6)
      if (at === from) throw this.#wrong('a digit', at)
      exponent += sign === MINUS ? -power : power
    }
    this.at = at
    const value = float32Of(sum, exponent) ?? this.#slow(first, at)
    return first > start ? -value : value
  }

  /** Of a number in the middle between two float32, or far out. */
  #slow(from: number, to: number): number {
    this.#lost += SLOW_BYTES
    return Number(ascii(this.#bytes, from, to))
  }

  #wrong(what: string, at = this.at): TypeError {
    const got = at < this.#bytes.length ? JSON.stringify(ascii(this.#bytes, at, at + 1)) : 'the end'
    return new TypeError(`the JSON: expected ${what} at byte ${at}, got ${got}`)
  }
}

/** The float32 next to sum * 10^exponent; undefined where rounding may decide which one that is. */
function float32Of(sum: number, exponent: number): number | undefined {
  if (sum === 0) return 0
  if (exponent < -22 || exponent > 22) return undefined
  const near = exponent < 0 ? sum / POWERS[-exponent] : sum * POWERS[exponent]
  const value = Math.fround(near * (1 - ROUNDING))
  return value === Math.fround(near * (1 + ROUNDING)) && value < Number.POSITIVE_INFINITY ? value : undefined
}

/** Of a few bytes, faster than a decoder; others than letters of ASCII become other letters. */
export function ascii(bytes: Uint8Array, from: number, to: number): string {
  return String.fromCharCode.apply(undefined, bytes.subarray(from, to) as unknown as number[])
}

export function isSpace(byte: number): boolean {
  return byte === 32 || byte === 10 || byte === 13 || byte === 9
}

function isDigit(byte: number): boolean {
  return byte >= ZERO && byte <= NINE
}
