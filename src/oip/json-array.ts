/** Parses JSON arrays of numbers, strings and booleans from bytes, in slices. */

import { wrongType } from '../base/check'
import type { ElementType } from '../base/element'
import { type ElementList, type JsonElements, listOf, MOST_SUM, POWERS } from './element-list'

/** The most characters of a number: it is parsed without a turn of the event loop. */
const MOST_DIGITS = 2000
/** An integer of this many digits is below 2^30, for which engines have fast arithmetic. */
const INTEGER_DIGITS = 9
/** Spare memory for the case that further numbers are a little shorter than those so far. */
const MARGIN = 1.02
/** How many bytes of plain numbers are parsed in the time of one string, or of one number that needs JavaScript's own parser. */
const SLOW_BYTES = 256

const UTF8 = new TextDecoder('utf-8', { fatal: true })

const code = (char: string) => char.charCodeAt(0)
export const [QUOTE, BACKSLASH, OPEN, CLOSE, COMMA, COLON] = [...'"\\[],:'].map(code)
const [MINUS, PLUS, DOT, ZERO, LOWER_E, OPEN_BRACE, CLOSE_BRACE] = [...'-+.0e{}'].map(code)
/** Elements other than numbers, by their first character. */
const OTHERS: Readonly<Record<string, string>> = { n: 'null', t: 'true', f: 'false', '"': 'a string', '{': 'an object' }

/** Parses one array, a slice at a time. */
export class ArrayReader {
  readonly #bytes: Uint8Array
  readonly #start: number
  readonly #type: ElementType
  readonly #list: ElementList
  /** The current position; at the end, the first byte after the array. */
  at: number
  /** The tokens that may come next, besides whitespace. */
  #next: 'element or end' | 'element' | 'comma or end' = 'element or end'
  #to = 0
  /** The time that slow elements of this slice took, as a number of bytes of plain numbers. */
  #lost = 0
  /** After a flaw: how many brackets and braces are open. */
  #open = 0
  /** After a flaw: whether the position is within a string. */
  #quoted = false

  /** @param start  the position of the array's opening bracket */
  constructor(bytes: Uint8Array, start: number, type: ElementType) {
    this.#bytes = bytes
    this.#start = start
    this.#type = type
    this.#list = listOf(type, 0)
    this.at = start
  }

  get elements(): JsonElements {
    return this.#list.elements
  }

  /** Parses about `slice` bytes. @returns whether the array has ended */
  read(slice: number): boolean {
    const { length } = this.#bytes
    this.#to = Math.min(length, this.at + slice)
    this.#lost = 0
    while (this.at + this.#lost < this.#to) {
      const byte = this.#bytes[this.at]
      if (isSpace(byte)) this.at++
      else if (this.#list.flaw === undefined ? this.#token(byte) : this.#skip(byte)) return true
    }
    if (this.at >= length) throw this.#wrong('a closing ]')
    // Growing to this size suffices for the whole array if further numbers are as long as those so far: allocating large arrays is slow.
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
    if (isNumber) this.#numbers()
    else if (!other) throw this.#wrong('a number')
    else if (first === QUOTE && this.#type === 'string') this.#list.push(this.#string())
    else if (other === 'null' || (this.#type === 'bool' && (other === 'true' || other === 'false'))) this.#word(other)
    else this.#list.spoil(other)
    if (this.#list.flaw !== undefined) this.#open = this.#list.depth
    this.#next = 'comma or end'
    return false
  }

  /** Parses numbers with only commas between them up to the end of the slice: faster by 8 % than token by token. */
  #numbers(): void {
    const list = this.#list
    for (;;) {
      list.push(this.#number())
      const { at } = this
      const next = this.#bytes[at + 1]
      const isNext = this.#bytes[at] === COMMA && (isDigit(next) || next === MINUS)
      if (!isNext || list.flaw !== undefined || at + this.#lost >= this.#to) return
      this.at = at + 1
    }
  }

  /** Skips one byte of an array with a flaw. @returns whether the array has ended */
  #skip(byte: number): boolean {
    this.at += this.#quoted && byte === BACKSLASH ? 2 : 1
    if (byte === QUOTE) this.#quoted = !this.#quoted
    else if (this.#quoted) return false
    else if (byte === OPEN || byte === OPEN_BRACE) this.#open++
    else if (byte === CLOSE || byte === CLOSE_BRACE) this.#open--
    return !this.#open
  }

  /** Parses one number by JSON's grammar. Digits are summed as integers, nine at a time, which is faster than as floats. */
  #number(): number | bigint {
    const bytes = this.#bytes
    const start = this.at
    const end = start + MOST_DIGITS
    const first = bytes[start] === MINUS ? start + 1 : start
    let at = first
    let point = -1
    let sum = 0
    let exponent = 0
    while (at <= end) {
      const from = at
      const to = Math.min(from + INTEGER_DIGITS, end)
      let part = 0
      for (; at < to && isDigit(bytes[at]); at++) part = 10 * part + (bytes[at] - 48)
      if (sum < MOST_SUM) sum = sum * POWERS[at - from] + part
      else exponent += at - from
      if (at === to && at < end) continue
      if (bytes[at] !== DOT || point >= 0) break
      point = at++
    }
    const whole = (point < 0 ? at : point) - first
    if (whole === 0 || (bytes[first] === ZERO && whole > 1)) throw this.#wrong('a number')
    if (at === point + 1) throw this.#wrong('a digit', at)
    if (point >= 0) exponent -= at - point - 1
    if ((bytes[at] | 0x20) === LOWER_E) {
      const sign = bytes[++at]
      const from = sign === MINUS || sign === PLUS ? ++at : at
      let power = 0
      for (; isDigit(bytes[at]) && at < end; at++) power = Math.min(10 * power + (bytes[at] - ZERO), 1e6)
      if (at === from) throw this.#wrong('a digit', at)
      exponent += sign === MINUS ? -power : power
    }
    this.at = at
    const value = this.#list.near(sum, exponent) ?? this.#slow(first, at)
    return first > start ? -value : value
  }

  /** Parses a number by JavaScript's own parser, where its digits are too many, or it is nearly halfway between two float32 values. */
  #slow(from: number, to: number): number | bigint {
    this.#lost += SLOW_BYTES
    return this.#list.ofText(ascii(this.#bytes, from, to))
  }

  #word(word: string): void {
    const end = this.at + word.length
    if (ascii(this.#bytes, this.at, end) !== word) throw this.#wrong(word)
    this.at = end
    if (word === 'null') this.#list.spoil(word)
    else this.#list.push(word === 'true')
  }

  #string(): string {
    const { at } = this
    this.#lost += SLOW_BYTES
    this.at = afterString(this.#bytes, at)
    if (this.at > this.#bytes.length) throw this.#wrong('a closing "')
    return parsed(this.#bytes.subarray(at, this.at)) as string
  }

  #wrong(what: string, at = this.at): TypeError {
    const got = at < this.#bytes.length ? JSON.stringify(ascii(this.#bytes, at, at + 1)) : 'the end'
    return wrongType(`the JSON: expected ${what} at byte ${at}, got ${got}`)
  }
}

/** JSON.parse of UTF-8 bytes. @throws TypeError for bytes that are not UTF-8 or not JSON */
export function parsed(bytes: Uint8Array): unknown {
  let text: string
  try {
    text = UTF8.decode(bytes)
  } catch {
    throw wrongType('the JSON: expected UTF-8, got other bytes')
  }
  try {
    return JSON.parse(text)
  } catch (error) {
    throw wrongType(`the body: expected JSON, got what breaks off or is none: ${(error as Error).message}`)
  }
}

/** The position after the string that begins at `from`. @param most  the position where the search gives up */
export function afterString(bytes: Uint8Array, from: number, most = bytes.length): number {
  let at = from + 1
  while (at < bytes.length && at < most && bytes[at] !== QUOTE) at += bytes[at] === BACKSLASH ? 2 : 1
  return at + 1
}

/** A few bytes as text, faster than by TextDecoder. Bytes beyond ASCII become wrong characters. */
export function ascii(bytes: Uint8Array, from: number, to: number): string {
  return String.fromCharCode.apply(undefined, bytes.subarray(from, to) as unknown as number[])
}

export function isSpace(byte: number): boolean {
  return byte === 32 || byte === 10 || byte === 13 || byte === 9
}

/** The codes of 0 and 9 are literals, as is the code of 0 in `#number`: reading a module's constant for each byte is slower. */
function isDigit(byte: number): boolean {
  return byte >= 48 && byte <= 57
}
