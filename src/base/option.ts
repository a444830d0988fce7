/** Declares a function's options once: the check, the default, and a sentence for `--help` and docs/. */

import {
  checkFunction,
  checkInteger,
  checkNames,
  checkNumber,
  checkObject,
  checkWord,
  isObject,
  type OtherWord,
} from './check'

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
 * @param elsewhere  words for options of other functions
 * @throws TypeError, RangeError for the first option that is unknown or invalid
 */
export function read<T extends AnyOptions>(
  table: T,
  field: string,
  given: unknown,
  elsewhere?: () => readonly OtherWord[],
): ValuesOf<T> {
  checkNamesOf(table, field, given, elsewhere)
  const readOne = ([name, { check, fallback }]: [string, Option]) => {
    const value = (given as Record<string, unknown>)[name]
    return [name, value === undefined ? fallback : check(field ? `${field}.${name}` : name, value)]
  }
  return Object.fromEntries(Object.entries(table).map(readOne)) as ValuesOf<T>
}

/**
 * Checks the names of options and of those in groups. An option in the wrong place, and the word of another system, get the right one.
 *
 * @throws TypeError for the first unknown name
 */
export function checkNamesOf(
  table: AnyOptions,
  field: string,
  given: unknown,
  elsewhere: () => readonly OtherWord[] = () => [],
): void {
  const walk = (options: AnyOptions, field: string, given: unknown, group: readonly string[]) => {
    checkNames(field, given, Object.keys(options), () => [...otherWords(table, group), ...elsewhere()])
    for (const [name, { options: inside }] of Object.entries(options)) {
      const value = (given as Record<string, unknown>)[name]
      if (inside && isObject(value)) walk(inside, field ? `${field}.${name}` : name, value, [...group, name])
    }
  }
  walk(table, field, given, [])
}

/** A word for an option: its name or its flag's name. @param path  such as ['scheme', 'queries'] */
interface Word {
  word: string
  path: readonly string[]
  option: Option
}

/** All words for a table's options. */
export const wordsFor = (table: AnyOptions, above: readonly string[] = []): Word[] =>
  Object.entries(table).flatMap(([name, option]) => {
    const { flags, options = {} } = option
    const path = [...above, name]
    const words = [name, ...(flags ? [flagName(flags)] : [])].map((word) => ({ word, path, option }))
    return [...words, ...wordsFor(options, path)]
  })

/** The words with what to write for each. @param group  as seen from this group of the table */
export const otherWords = (table: AnyOptions, group: readonly string[] = []): OtherWord[] =>
  wordsFor(table).map(({ word, path }) => {
    if (path.length === 1) return [word, `'${path[0]}'${group.length ? ` beside ${group[0]}` : ''}`]
    return [word, `'${path[0] === group[0] ? path.slice(1).join('.') : path.join('.')}'`]
  })

/** The same, for errors of a function with options of its own: only what these do not mean. @param owner  the function that has the table */
export function wordsOf(owner: string, table: AnyOptions, own: AnyOptions = {}): OtherWord[] {
  const words = new Set(wordsFor(own).map(({ word }) => word))
  const others = otherWords(table).filter(([word]) => !words.has(word))
  return others.map(([word, written]) => [word, `${written} of ${owner}`, true])
}

/** '--max-queries <n>' is 'maxQueries'. */
const flagName = (flags: string) =>
  flags.replace(/^--| .*$/g, '').replace(/-(.)/g, (_, letter: string) => letter.toUpperCase())

export const integer = (least: number, most?: number) => (field: string, value: unknown) =>
  checkInteger(field, value, least, most)

export const number = (least: number, most: number) => (field: string, value: unknown) =>
  checkNumber(field, value, least, most)

export const words = <const T extends string>(list: readonly T[]): Check<T> =>
  Object.assign((field: string, value: unknown) => checkWord(field, value, list), { words: list })

export const callback = <T>(field: string, value: unknown) => checkFunction(field, value) as T

/** Accepts any value; it is checked where it is used. */
export const any = <T>(_field: string, value: unknown) => value as T
