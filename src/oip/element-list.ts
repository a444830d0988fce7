/** Collects the elements of a JSON array, nested or flat, in a typed array. */

import { outOfRange, wrongType } from '../base/check'
import { type ElementType, kindOf, type NumericData, type TensorData } from '../base/element'
import { isWide, type JsonElement, put } from './elements'

/** The elements of an array under `data`. Those of float32 are exactly what JSON.parse gives, rounded to float32. */
export class JsonElements {
  constructor(
    readonly type: ElementType,
    readonly values: TensorData,
    /** The lengths of the nested arrays, from the outside in; a single length where the array is flat. */
    readonly dims: readonly number[],
    /** The first element that is no value of the type, and its index. Elements after it are not read. */
    readonly flaw?: string,
  ) {}
}

/** The most dimensions of a tensor. */
const MOST_DIMS = 32
/** Up to this sum, adding digits to a double has a relative error far below `ROUNDING`. */
export const MOST_SUM = 1e18
/** An upper bound of the relative error of a number that is computed from its digits. */
const ROUNDING = 2e-15
/** The powers of ten that a double represents exactly. */
export const POWERS = Array.from({ length: 23 }, (_, n) => Number(`1e${n}`))
/** The most characters of a value in an error message. */
const MOST_SHOWN = 100

/** The elements of an array that JSON.parse has read; undefined where JSON.parse may have rounded an integer. */
export function flattened(array: readonly unknown[], type: ElementType): JsonElements | undefined {
  if (type === 'float32' && array.every(isFloat)) return new JsonElements(type, new Float32Array(array), [array.length])
  if (isWide(type) && isRounded(array)) return undefined
  const list = listOf(type, array.length)
  const add = (part: readonly unknown[]): void => {
    list.open()
    for (const value of part) {
      if (typeof value === 'number') list.push(value)
      else if (Array.isArray(value)) add(value)
      else if (typeof value === 'object') list.spoil(value ? 'an object' : 'null')
      else list.push(value as JsonElement)
      if (list.flaw !== undefined) return
    }
    list.close()
  }
  add(array)
  return list.elements
}

const isFloat = (value: unknown): value is number => typeof value === 'number' && Number.isFinite(Math.fround(value))

/** Whether JSON.parse may have rounded any number of it. */
function isRounded(array: readonly unknown[], depth = MOST_DIMS): boolean {
  const isLarge = (value: unknown) => typeof value === 'number' && Math.abs(value) > Number.MAX_SAFE_INTEGER
  return array.some((value) => (Array.isArray(value) ? depth > 1 && isRounded(value, depth - 1) : isLarge(value)))
}

export function listOf(type: ElementType, room: number): ElementList {
  return type === 'float32' ? new Float32List(type, room) : new OtherList(type, room)
}

/** Collects elements in order, and checks that nested arrays of equal depth have equal lengths. */
export abstract class ElementList {
  flaw: string | undefined
  /** The factor by which the typed array grows when it is full. */
  growth = 2
  protected length = 0
  /** The number of elements so far in each open array. */
  readonly #counts: number[] = []
  /** The lengths of arrays by depth, known once an array of that depth has ended. */
  readonly #dims: number[] = []

  constructor(protected readonly type: ElementType) {}

  /** Adds an element; sets `flaw` if it is no value of the type. */
  abstract push(value: JsonElement): void

  /** The element nearest to sum * 10^exponent; undefined where only a parser of all digits rounds right. `sum` is exact up to `MOST_SUM`. */
  abstract near(sum: number, exponent: number): number | undefined

  protected abstract get values(): TensorData

  get depth(): number {
    return this.#counts.length
  }

  get elements(): JsonElements {
    return new JsonElements(this.type, this.values, this.#dims, this.flaw)
  }

  /** Parses all digits of an element. */
  ofText(text: string): number | bigint {
    return isWide(this.type) && /^\d+$/.test(text) ? BigInt(text) : Number(text)
  }

  open(): void {
    const { depth } = this
    if (depth === MOST_DIMS) throw wrongType(`the JSON: expected at most ${MOST_DIMS} dimensions, got more`)
    if (this.length && depth >= this.#dims.length) throw ragged()
    if (depth) this.#counts[depth - 1]++
    this.#counts.push(0)
  }

  close(): void {
    const count = this.#counts.pop() as number
    if ((this.#dims[this.depth] ?? count) !== count) throw ragged()
    this.#dims[this.depth] = count
  }

  /** Counts an element, and checks that all elements have the same depth. */
  protected enter(): void {
    const { depth } = this
    if (this.#dims.length !== depth) {
      if (this.#dims.length) throw ragged()
      this.#dims.length = depth
    }
    this.#counts[depth - 1]++
  }

  spoil(what: string): void {
    this.flaw = `${what.slice(0, MOST_SHOWN)} at ${this.length}`
  }
}

class Float32List extends ElementList {
  #values: Float32Array

  constructor(type: ElementType, room: number) {
    super(type)
    this.#values = new Float32Array(Math.max(64, room))
  }

  push(value: JsonElement): void {
    this.enter()
    if (typeof value !== 'number') return this.spoil(told(value))
    if (!Number.isFinite(Math.fround(value))) return this.spoil(String(value))
    if (this.length === this.#values.length) this.#values = grown(this.#values, this.growth)
    this.#values[this.length++] = value
  }

  near(sum: number, exponent: number): number | undefined {
    if (sum === 0) return 0
    if (exponent < -22 || exponent > 22) return undefined
    const near = exponent < 0 ? sum / POWERS[-exponent] : sum * POWERS[exponent]
    const value = Math.fround(near * (1 - ROUNDING))
    // Where the bounds of the error round to different float32 values, only all digits decide.
    return value === Math.fround(near * (1 + ROUNDING)) && value < Number.POSITIVE_INFINITY ? value : undefined
  }

  protected get values(): Float32Array {
    return fitted(this.#values, this.length)
  }
}

/** Elements of all other types. Float32 has its own class: JavaScript engines optimize code that sees a single array type. */
class OtherList extends ElementList {
  #values: NumericData | string[]

  constructor(type: ElementType, room: number) {
    super(type)
    this.#values = type === 'string' ? [] : new (kindOf(type))(Math.max(64, room))
  }

  push(value: JsonElement): void {
    this.enter()
    if (!Array.isArray(this.#values) && this.length === this.#values.length) {
      this.#values = grown(this.#values, this.growth)
    }
    if (put(this.type, this.#values, this.length, value)) this.length++
    else this.spoil(told(value))
  }

  near(sum: number, exponent: number): number | undefined {
    if (sum > Number.MAX_SAFE_INTEGER || exponent < -22 || exponent > 22) return undefined
    return exponent < 0 ? sum / POWERS[-exponent] : sum * POWERS[exponent]
  }

  protected get values(): TensorData {
    return Array.isArray(this.#values) ? this.#values : fitted(this.#values, this.length)
  }
}

function grown<T extends NumericData>(values: T, growth: number): T {
  const larger = new (values.constructor as new (length: number) => T)(Math.ceil(growth * values.length))
  ;(larger as Float32Array).set(values as Float32Array)
  return larger
}

/** The values without unused memory, if more than half is unused: a body may have many such arrays. */
function fitted<T extends NumericData>(values: T, length: number): T {
  return (values.length > 2 * length ? values.slice(0, length) : values.subarray(0, length)) as T
}

function told(value: JsonElement): string {
  return typeof value === 'string' ? 'a string' : String(value)
}

function ragged(): RangeError {
  return outOfRange('the JSON: expected arrays of equal lengths in data, got others')
}
