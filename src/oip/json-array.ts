/** Reads arrays of JSON under `data` in slices, straight from the bytes. */

import type { ElementType } from '../element'
import { type ElementList, type JsonElements, listOf, MOST_SUM } from './element-list'

/** Characters of a number, which is read at one go. */
const MOST_DIGITS = 2000
/** Room for numbers that are a little shorter than those so far. */
const MARGIN = 1.02
/** Bytes that are read in the time of one number that only JavaScript's own reader gets right, or of a string. */
const SLOW_BYTES = 256

const UTF8 = new TextDecoder('utf-8', { fatal: true })

const code = (char: string) => char.charCodeAt(0)
export const [QUOTE, BACKSLASH, OPEN, CLOSE, COMMA, COLON] = [...'"\\[],:'].map(code)
const [MINUS, PLUS, DOT, ZERO, NINE, LOWER_E, OPEN_BRACE, CLOSE_BRACE] = [...'-+.09e{}'].map(code)
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
    else if (!other) throw this.#wrong('a number')
    else if (first === QUOTE && this.#type === 'string') this.#list.push(this.#string())
    else if (other === this.#word(other)) this.#list.push(other === 'true')
    else this.#list.spoil(other)
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
  #number(): number | bigint {
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
    const value = this.#list.near(sum, exponent) ?? this.#slow(first, at)
    return first > start ? -value : value
  }

  /** Of a number in the middle between two float32, or far out. */
  #slow(from: number, to: number): number | bigint {
    this.#lost += SLOW_BYTES
    return this.#list.ofText(ascii(this.#bytes, from, to))
  }

  /** The word that stands here, where it is an element. */
  #word(word: string): string | undefined {
    if (this.#type !== 'bool' || (word !== 'true' && word !== 'false')) return undefined
    const end = this.at + word.length
    if (ascii(this.#bytes, this.at, end) !== word) throw this.#wrong(word)
    this.at = end
    return word
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
    return new TypeError(`the JSON: expected ${what} at byte ${at}, got ${got}`)
  }
}

/** @throws TypeError for what is no JSON */
export function parsed(bytes: Uint8Array): unknown {
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

function isDigit(byte: number): boolean {
  return byte >= ZERO && byte <= NINE
}
