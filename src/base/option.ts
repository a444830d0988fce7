/** Declares a function's options once: the check, the default, and a sentence for `--help` and docs/. */

import { checkFunction, checkInteger, checkNames, checkNumber, checkObject, checkWord } from './check'

/** @throws TypeError, RangeError naming the field, what was expected and what was given */
export type Check<T> = ((field: string, value: unknown) => T) & { words?: readonly string[] }

export interface Option<T = unknown> {
  check: Check<T>
  /** The default; undefined: none, or it depends on other options. */
  fallback?: T
  /** The default in words for the tables, if `fallback` does not say it. */
  otherwise?: string
  /** A sentence, in Markdown. */
  about: string
  /** The flag of the command line, with its argument. */
  flags?: string
  /** The options of a group. */
  options?: AnyOptions
}

export type AnyOptions = Readonly<Record<string, Option>>

/** All options of a function: the compiler refuses a table that lacks one. */
export type TableOf<T> = { readonly [Name in keyof T]-?: Option<Exclude<T[Name], undefined>> }

/** What `read` returns: undefined only for options without a fallback. */
export type ValuesOf<T extends AnyOptions> = {
  [Name in keyof T]: ReturnType<T[Name]['check']> | (T[Name] extends { fallback: unknown } ? never : undefined)
}

export const option = <T>(check: Check<T>, fallback: T, about: string, flags?: string) => ({
  ...{ check, fallback, about },
  ...(flags && { flags }),
})

/** An option whose default depends on other options. */
export const open = <T>(check: Check<T>, otherwise: string, about: string, flags?: string) => ({
  ...{ check, otherwise, about },
  ...(flags && { flags }),
})

export function group<T extends AnyOptions>(about: string, options: T) {
  const check = (field: string, value: unknown) => read(options, field, value)
  return { check, fallback: read(options, '', {}), about, options }
}

/** A group of options that `false` turns off. */
export function switchable<T extends AnyOptions>(otherwise: string, about: string, options: T) {
  const check = (field: string, value: unknown) =>
    value !== false && read(options, field, checkObject(field, value, 'an object or false'))
  return { check, otherwise, about, options }
}

/**
 * @param field  the object's name, which precedes its options' names in errors; '' if it is the only argument
 * @throws TypeError, RangeError for the first option that is unknown or invalid
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

/** Accepts any value; it is checked where it is used. */
export const any = <T>(_field: string, value: unknown) => value as T
