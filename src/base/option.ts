/** Options of a function, said once: what each may be, what holds where nobody says, and a sentence for `--help` and docs/. */

import { checkFunction, checkInteger, checkNames, checkNumber, checkObject, checkWord } from './check'

/** @throws TypeError, RangeError naming the field, expected and got */
export type Check<T> = ((field: string, value: unknown) => T) & { words?: readonly string[] }

export interface Option<T = unknown> {
  check: Check<T>
  /** What holds where nobody says; undefined: nothing, or what other options decide. */
  fallback?: T
  /** How the tables put that, where the fallback does not tell. */
  otherwise?: string
  /** A sentence, in Markdown. */
  about: string
  /** On the command line, with what it takes. */
  flags?: string
  /** Those of a group. */
  options?: AnyOptions
}

export type AnyOptions = Readonly<Record<string, Option>>

/** All options of a function: the compiler refuses a table without one of them. */
export type TableOf<T> = { readonly [Name in keyof T]-?: Option<Exclude<T[Name], undefined>> }

/** What `read` gives: undefined only where there is no fallback. */
export type ValuesOf<T extends AnyOptions> = {
  [Name in keyof T]: ReturnType<T[Name]['check']> | (T[Name] extends { fallback: unknown } ? never : undefined)
}

export const option = <T>(check: Check<T>, fallback: T, about: string, flags?: string) => ({
  ...{ check, fallback, about },
  ...(flags && { flags }),
})

/** One of which others decide what holds where nobody says. */
export const open = <T>(check: Check<T>, otherwise: string, about: string, flags?: string) => ({
  ...{ check, otherwise, about },
  ...(flags && { flags }),
})

export function group<T extends AnyOptions>(about: string, options: T) {
  const check = (field: string, value: unknown) => read(options, field, value)
  return { check, fallback: read(options, '', {}), about, options }
}

/** Options that stand together, in whose place `false` may stand. */
export function switchable<T extends AnyOptions>(otherwise: string, about: string, options: T) {
  const check = (field: string, value: unknown) =>
    value !== false && read(options, field, checkObject(field, value, 'an object or false'))
  return { check, otherwise, about, options }
}

/**
 * @param field  what the object is called, in front of its options' names; '' where it is the only argument
 * @throws TypeError, RangeError for the first option that is unknown, or cannot be what it is
 */
export function read<T extends AnyOptions>(table: T, field: string, given: unknown): ValuesOf<T> {
  checkNames(field, given, Object.keys(table))
  const readOne = ([name, { check, fallback }]: [string, Option]) => {
    const value = (given as Record<string, unknown>)[name]
    return [name, value === undefined ? fallback : check(field ? `${field}.${name}` : name, value)]
  }
  return Object.fromEntries(Object.entries(table).map(readOne)) as ValuesOf<T>
}

export const integer = (least: number, most?: number) => (field: string, value: unknown) =>
  checkInteger(field, value, least, most)

export const number = (least: number, most: number) => (field: string, value: unknown) =>
  checkNumber(field, value, least, most)

export const words = <const T extends string>(list: readonly T[]): Check<T> =>
  Object.assign((field: string, value: unknown) => checkWord(field, value, list), { words: list })

export const callback = <T>(field: string, value: unknown) => checkFunction(field, value) as T

/** What is checked where it is used. */
export const any = <T>(_field: string, value: unknown) => value as T
