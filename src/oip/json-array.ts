/** Reads arrays of JSON under `data` in slices, straight from the bytes. */

import { wrongType } from '../base/check'
import type { ElementType } from '../base/element'
import { type ElementList, type JsonElements, listOf, MOST_SUM, POWERS } from './element-list'

/** Characters of a number, which is read at one go. */
const MOST_DIGITS = 2000
/** Digits of an integer that is below 2^30 whatever they are. */
const INTEGER_DIGITS = 9
/** Room for numbers that are a little shorter than those so far. */
const MARGIN = 1.02
/** Bytes that are read in the time of one number that only JavaScript's own reader gets right, or of a string. */
const SLOW_BYTES = 256

const UTF8 = new TextDecoder('utf-8', { fatal: true })

const code = (char: string) => char.charCodeAt(0)
export const [QUOTE, BACKSLASH, OPEN, CLOSE, COMMA, COLON] = [...'"\\[],:'].map(code)
const [MINUS, PLUS, DOT, ZERO, LOWER_E, OPEN_BRACE, CLOSE_BRACE] = [...'-+.0e{}'].map(code)
/** What an array may hold other than numbers, by its first letter. */
const OTHERS: Readonly<Record<string, string>> = { n: 'null', t: 'true', f: 'false', '"': 'a string', '{': 'an object' }

export class ArrayReader {
  readonly #bytes: Uint8Array
  readonly #start: number
  readonly #type: ElementType
  readonly #list: ElementList
  /** Where it is; behind the array when that has ended. */
  at: number
  /** Beside blanks. Behind a comma an array may not end. */
  #next: 'element or end' | 'element' | 'comma or end' = 'element or end'
  #to = 0
  /** Bytes that could have been read in this slice in place of its slow numbers. */
  #lost = 0
  /** Of an array with a flaw, brackets and braces that are open, and whether a string is. */
  #open = 0
  #quoted = false

  /** @param start  where the array begins */
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

  /** @returns whether the array has ended */
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
    if (isNumber) this.#numbers()
    else if (!other) throw this.#wrong('a number')
    else if (first === QUOTE && this.#type === 'string') this.#list.push(this.#string())
    else if (other === 'null' || (this.#type === 'bool' && (other === 'true' || other === 'false'))) this.#word(other)
    else this.#list.spoil(other)
    if (this.#list.flaw !== undefined) this.#open = this.#list.depth
    this.#next = 'comma or end'
    return false
  }

  /** Numbers with nothing but commas between them, as most are, up to the end of the slice; each as a token of its own would take 8 % longer. */
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

  /** @returns whether the array has ended */
  #skip(byte: number): boolean {
    this.at += this.#quoted && byte === BACKSLASH ? 2 : 1
    if (byte === QUOTE) this.#quoted = !this.#quoted
    else if (this.#quoted) return false
    else if (byte === OPEN || byte === OPEN_BRACE) this.#open++
    else if (byte === CLOSE || byte === CLOSE_BRACE) this.#open--
    return !this.#open
  }

  /** One number by JSON's grammar. Its digits are added up as integers, which takes less time than as floating point. */
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

  /** Of a number in the middle between two float32, or far out. */
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

/** @throws TypeError for what is no JSON */
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
    throw wrongType(`the body: expected JSON, got what ends in ${(error as Error).message}`)
  }
}

/** Behind the string that begins here. @param most  where to give up */
export function afterString(bytes: Uint8Array, from: number, most = bytes.length): number {
  let at = from + 1
  while (at < bytes.length && at < most && bytes[at] !== QUOTE) at += bytes[at] === BACKSLASH ? 2 : 1
  return at + 1
}

/** Of a few bytes, faster than a decoder; others than letters of ASCII become other letters. */
export function ascii(bytes: Uint8Array, from: number, to: number): string {
  return String.fromCharCode.apply(undefined, bytes.subarray(from, to) as unknown as number[])
}

export function isSpace(byte: number): boolean {
  return byte === 32 || byte === 10 || byte === 13 || byte === 9
}

/** 0 and 9 are written out, here and where digits are added up, since that is done for each byte: constants of the module are read anew each time. */
function isDigit(byte: number): boolean {
  return byte >= 48 && byte <= 57
}
