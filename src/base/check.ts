/** Checks of users' values. Each returns the value, or throws an error that names the field, what was expected and what was given. */

import leven from 'leven'
import { shown } from './errors'

/** The longest delay that setTimeout takes. */
export const MOST_MS = 2 ** 31 - 1

/** Characters of a text that an error quotes. */
const MOST_SHOWN = 500

/** "field: expected E, got G" */
export function expected(field: string, what: string, got: unknown): string {
  const text = typeof got === 'string' ? JSON.stringify(got.slice(0, MOST_SHOWN)) : shown(got)
  return `${field}: expected ${what}, got ${text}`
}

/** Errors that are the caller's fault. */
const misuses = new WeakSet<object>()

const misuse = <E extends Error>(error: E): E => {
  misuses.add(error)
  return error
}
// Errors about a request are made by these two alone: any other TypeError or RangeError is a defect of the package or of a user's function.
export const wrongType = (message: string) => misuse(new TypeError(message))
export const outOfRange = (message: string) => misuse(new RangeError(message))

/** Whether an error is the caller's fault, that is, made by `wrongType` or `outOfRange`. */
export const isMisuse = (error: unknown) => misuses.has(error as object)

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function must<T>(fits: boolean, field: string, value: unknown, what: string): T {
  if (fits) return value as T
  throw wrongType(expected(field, what, value))
}

// The following throw a TypeError.
export const checkObject = (field: string, value: unknown, what = 'an object') =>
  must<Record<string, unknown>>(isObject(value), field, value, what)
export const checkString = (field: string, value: unknown, what = 'a string') =>
  must<string>(typeof value === 'string', field, value, what)
/** A string that is not empty. */
export const checkText = (field: string, value: unknown, what = 'a string') =>
  must<string>(typeof value === 'string' && value !== '', field, value, what)
export const checkBoolean = (field: string, value: unknown) =>
  must<boolean>(typeof value === 'boolean', field, value, 'true or false')
export const checkFunction = <T>(field: string, value: T, what = 'a function') =>
  must<T>(typeof value === 'function', field, value, what)

/** @throws RangeError */
export function checkInteger(field: string, value: unknown, least: number, most = Number.MAX_SAFE_INTEGER): number {
  if (Number.isInteger(value) && (value as number) >= least && (value as number) <= most) return value as number
  const bound = most === Number.MAX_SAFE_INTEGER ? `>= ${least}` : `from ${least} to ${most}`
  throw outOfRange(expected(field, `an integer ${bound}`, value))
}

/** @throws RangeError */
export function checkNumber(field: string, value: unknown, least: number, most: number, what = 'a number'): number {
  if (typeof value === 'number' && value >= least && value <= most) return value
  throw outOfRange(expected(field, `${what} from ${least} to ${most}`, value))
}

/** @param what  names the number, such as 'a probability' @throws RangeError */
export function checkShare(field: string, value: unknown, what?: string): number {
  return checkNumber(field, value, 0, 1, what)
}

/** @throws RangeError */
export function checkMs(field: string, value: unknown): number {
  if (typeof value === 'number' && value >= 0 && value <= MOST_MS) return value
  throw outOfRange(expected(field, 'milliseconds from 0 to 2,147,483,647', value))
}

/** Lengths of a shape, each at least 1. @throws TypeError, RangeError */
export function checkLengths(field: string, shape: unknown, what = 'an array of lengths'): readonly number[] {
  if (!Array.isArray(shape)) throw wrongType(expected(field, what, shape))
  for (const [axis, length] of shape.entries()) checkInteger(`${field}[${axis}]`, length, 1)
  return shape
}

/** One of a few words. @throws RangeError that lists them */
export function checkWord<T extends string>(field: string, value: unknown, words: readonly T[]): T {
  if (words.includes(value as T)) return value as T
  throw outOfRange(expected(field, words.map((word) => `'${word}'`).join(' | '), value))
}

/** A word that is no option here, and what to write in its place. One for another function's option counts only if no name here is near. */
export type OtherWord = readonly [word: string, written: string, isElsewhere?: boolean]

/**
 * Checks that an object has no unknown names: a misspelt option would silently keep its default.
 *
 * @param field  the object's name, which precedes its options' names in errors; '' if it is the only argument
 * @param others  further words that may be meant: options of other places, words of other systems
 * @throws TypeError if it is no object, or with the unknown option and the nearest known one
 */
export function checkNames(
  field: string,
  options: unknown,
  known: readonly string[],
  others: () => readonly OtherWord[] = () => [],
): void {
  const unknown = Object.keys(checkObject(field || 'options', options)).find((name) => !known.includes(name))
  if (unknown === undefined) return
  const name = `${field ? `${field}.` : ''}${unknown}`
  const isHere = nearest(unknown, known) !== undefined
  const words = others().filter(([word, , isElsewhere]) => !known.includes(word) && !(isElsewhere && isHere))
  const near = nearest(unknown, known, words)
  const written = words.filter(([word]) => word === near).map((word) => word[1])
  const meant = written.length ? [...new Set(written)].join(' or ') : near && `'${near}'`
  throw wrongType(`${name}: expected ${meant ?? `one of ${known.join(', ')}`}, got an unknown option`)
}

/** Shorter names are not taken for misspellings: too many words are near them. */
const FEWEST_LETTERS = 5

/**
 * Like `checkNames`, but accepts unknown names that resemble no known one: clients send every server parameters that only some servers
 * know.
 *
 * @returns the ignored names
 */
export function foreignNames(field: string, options: unknown, known: readonly string[]): string[] {
  const names = Object.keys(checkObject(field, options)).filter((name) => !known.includes(name))
  const isMeant = (name: string) => name.length >= FEWEST_LETTERS && nearest(name, known) !== undefined
  checkNames(field, Object.fromEntries(names.filter(isMeant).map((name) => [name, true])), known)
  return names
}

/** Longer names are not taken for misspellings. */
const MOST_LETTERS = 100

/** Of equally near words that one is meant which only has more, such as a unit: 'deadline' is 'deadlineMs', not 'atDeadline'. */
const HALF = 0.5

/** Share of a word's letters that may be wrong. Among the many other words a name would soon be near one by chance. */
const WRONG = { known: 0.45, other: 0.25 }

/**
 * The known name, or else the other word, that was probably meant; undefined if none is near. A swap of letters counts as one edit.
 */
export function nearest(name: string, known: readonly string[], others: readonly OtherWord[] = []): string | undefined {
  if (name.length > MOST_LETTERS) return undefined
  const letters = (word: string) => [...word.toLowerCase()].sort().join('')
  const edits = (word: string) =>
    name.toLowerCase() !== word.toLowerCase() && letters(name) === letters(word)
      ? 1
      : leven(name.toLowerCase(), word.toLowerCase()) - (word.startsWith(name) ? HALF : 0)
  const most = (word: string, share: number) => share * Math.max(name.length, word.length)
  const all = [
    ...known.map((word) => ({ word, edits: edits(word), most: Math.max(1, most(word, WRONG.known)) })),
    ...others.map(([word]) => ({ word, edits: edits(word), most: most(word, WRONG.other) })),
  ]
  return all.filter((each) => each.edits <= each.most).sort((a, b) => a.edits - b.edits)[0]?.word
}
