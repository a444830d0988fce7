/**
 * Checks of a saved state, which may come from anywhere: a field that `save` would not write is refused with a RangeError that starts with
 * `state:`.
 */

import { checkInteger, checkNumber, checkWord, expected } from './check'

/** The largest f32. */
export const MOST = 3.4028234663852886e38
/** The smallest f32 above 0. */
export const LEAST = 1.401298464324817e-45
/** Above all sums of squares of f32. */
export const MOST_SQUARE = 1e80
/** Most that a counter may have: half of the safe integers are left to count on. */
export const MOST_COUNT = 2 ** 52

const MOST_SHOWN = 200

/** A model's answers to probe queries, which identify it in saved states if it has no fingerprint. */
export interface Probed {
  /** The fingerprint that the model's server states, if any. */
  readonly fingerprint?: string | undefined
  /** Plain data, saved with what is learned of the model. */
  readonly saved: unknown
  /**
   * Whether `saved` belongs to the same model; false, with a warning, if that cannot be decided.
   * @throws RangeError if it belongs to another model, or is invalid
   */
  isOf(saved: unknown, warn?: (text: string) => void): boolean
}

/** @param got  in words */
export function refused(field: string, what: string, got: string | number): RangeError {
  return new RangeError(`state: ${field}: expected ${what}, got ${String(got).slice(0, MOST_SHOWN)}`)
}

function unfit(field: string, what: string, value: unknown): RangeError {
  return new RangeError(expected(`state: ${field}`, what, value))
}

/** An object with no fields but `names`, if given. */
export function object(field: string, value: unknown, names?: readonly string[]): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw unfit(field, 'an object', value)
  const odd = names && Object.keys(value).find((name) => !names.includes(name))
  if (odd !== undefined) throw unfit(field, `only ${names?.join(', ')}`, odd)
  return value as Record<string, unknown>
}

export function list(field: string, value: unknown, most: number, least = 0): unknown[] {
  if (Array.isArray(value) && value.length >= least && value.length <= most) return value
  const what = least === most ? `a list of ${most}` : `a list of ${least} to ${most}`
  throw unfit(field, what, Array.isArray(value) ? value.length : value)
}

export function number(field: string, value: unknown, least: number, most: number): number {
  return checkNumber(`state: ${field}`, value, least, most)
}

export function numbers(field: string, value: unknown, length: number, least: number, most: number): number[] {
  return list(field, value, length, length).map((each, i) => number(`${field}[${i}]`, each, least, most))
}

export function integer(field: string, value: unknown, least: number, most: number): number {
  return checkInteger(`state: ${field}`, value, least, most)
}

export function text(field: string, value: unknown): string {
  if (typeof value === 'string') return value
  throw unfit(field, 'a string', value)
}

export function flag(field: string, value: unknown): boolean {
  if (typeof value === 'boolean') return value
  throw unfit(field, 'true or false', value)
}

export function word<T extends string>(field: string, value: unknown, words: readonly T[]): T {
  return checkWord(`state: ${field}`, value, words)
}

/** Refuses a state unless it was made with the same settings. @param own  plain data */
export function same(field: string, own: unknown, value: unknown): void {
  const [wanted, got] = [JSON.stringify(own), written(value)]
  if (wanted !== got) throw refused(field, wanted.slice(0, MOST_SHOWN), got)
}

/** As JSON; a value nested too deep for JSON cannot be valid. */
function written(value: unknown): string {
  try {
    return JSON.stringify(value) ?? 'nothing'
  } catch {
    return 'something else'
  }
}
