/** A user's code module as a `Coding`: each of its results is checked, and an error names the module and the function. */

import { checkInteger, expected, isObject } from '../base/check'
import { messageOf } from '../base/errors'
import type { Random } from '../base/random'
import { MOST, type SchemeOptions } from '../base/scheme'
import { allFinite } from '../base/tensor'
import type { CodeModule } from '../codec/code-module'
import type { Core } from '../core/core'
import type { CodedGroup, Coding, RecoveredQuery, SentRow } from './coding'

/** A module with the name that errors and tables give it. */
export interface NamedModule {
  name: string
  code: CodeModule
}

const REQUIRED = ['workers', 'needs', 'encode', 'decode'] as const

/** @throws TypeError that names the function which is missing */
export function checkModule(name: string, module: unknown): NamedModule {
  const code: Record<string, unknown> = isObject(module) ? module : {}
  const functions = [...REQUIRED, ...(code.locate === undefined ? [] : ['locate'])]
  for (const each of functions) {
    if (typeof code[each] !== 'function') throw new TypeError(expected(`${name}: ${each}`, 'a function', code[each]))
  }
  return { name, code: code as unknown as CodeModule }
}

type CodeSizes = Pick<SchemeOptions, 'queries' | 'stragglers' | 'byzantine'>

export class ModuleCoding implements Coding {
  readonly core: Core
  readonly code: string
  readonly scheme: Coding['scheme']
  readonly module: CodeModule
  /** Results that must arrive before a group is decoded. */
  readonly needs: number
  readonly #random: Random

  /**
   * @param random  what the module draws from; of its own, so that runs repeat
   * @throws RangeError if the module's numbers of workers and of results do not fit
   */
  constructor(core: Core, { name, code }: NamedModule, sizes: CodeSizes, random: Random) {
    const { queries, stragglers = 0, byzantine = 0 } = sizes
    this.core = core
    this.code = name
    this.module = code
    this.#random = random
    const count = (of: 'workers' | 'needs', most: number) =>
      checkInteger(
        `${name}: ${of}(${queries}, ${stragglers}, ${byzantine})`,
        this.call(of, () => code[of](queries, stragglers, byzantine)),
        1,
        most,
      )
    const workers = count('workers', MOST.workers)
    if (workers <= stragglers + byzantine)
      throw new RangeError(expected(`${name}: workers`, `more than S + E = ${stragglers + byzantine}`, workers))
    this.needs = count('needs', workers - stragglers)
    this.scheme = { queries, stragglers, byzantine, workers }
  }

  open(): CodedGroup {
    return new ModuleGroup(this)
  }

  /** Calls a function of the module. @throws Error that names both, if it throws */
  call<T>(name: keyof CodeModule, run: () => T): T {
    try {
      return run()
    } catch (cause) {
      throw new Error(`${this.code}: ${name} threw: ${messageOf(cause)}${placeOf(cause)}`, { cause })
    }
  }

  encode(queries: readonly Float32Array[]): readonly Float32Array[] {
    const { workers } = this.scheme
    const copies = queries.map((query) => query.slice()) // a module that writes to them spoils no other code's groups
    const rows = this.call('encode', () => this.module.encode(copies, workers, this.#random))
    return this.#rows('encode', rows, workers, queries[0].length)
  }

  decode(outputs: readonly Float32Array[], survivors: readonly number[]): readonly Float32Array[] {
    const { queries, workers } = this.scheme
    const [copies, numbers] = [outputs.map((output) => output.slice()), [...survivors]]
    const rows = this.call('decode', () => this.module.decode(copies, numbers, queries, workers))
    return this.#rows('decode', rows, queries, outputs[0].length)
  }

  /** The survivors that the module takes for liars. */
  locate(outputs: readonly Float32Array[], survivors: readonly number[]): readonly number[] {
    const { queries, byzantine: most, workers } = this.scheme
    const { module } = this
    if (!module.locate || !most) return []
    const [copies, numbers] = [outputs.map((output) => output.slice()), [...survivors]]
    const liars: unknown = this.call('locate', () => module.locate?.(copies, numbers, most, queries, workers))
    const field = `${this.code}: locate`
    if (!Array.isArray(liars)) throw new TypeError(expected(field, 'an array of numbers', liars))
    if (liars.length > most) throw new RangeError(expected(field, `at most ${most} numbers`, liars.length))
    for (const [i, each] of liars.entries()) {
      if (!survivors.includes(each) || liars.indexOf(each) < i)
        throw new RangeError(expected(`${field}[${i}]`, `another of the survivors ${survivors.join(', ')}`, each))
    }
    return liars
  }

  #rows(name: 'encode' | 'decode', rows: unknown, count: number, length: number): readonly Float32Array[] {
    const field = `${this.code}: ${name}`
    if (!Array.isArray(rows)) throw new TypeError(expected(field, `an array of ${count} Float32Arrays`, rows))
    if (rows.length !== count) throw new RangeError(expected(field, `${count} rows`, rows.length))
    for (const [i, row] of rows.entries()) {
      if (!(row instanceof Float32Array)) throw new TypeError(expected(`${field}[${i}]`, 'a Float32Array', row))
      if (row.length !== length) throw new RangeError(expected(`${field}[${i}]`, `${length} values`, row.length))
      if (allFinite(row)) continue
      const at = row.findIndex((value) => !Number.isFinite(value))
      throw new RangeError(expected(`${field}[${i}][${at}]`, 'a finite number', row[at]))
    }
    return rows
  }
}

/** A frame of a stack in a file; those of the runtime itself have no path. */
const FRAME = /^ +at .*?\(?((?:file:\/\/|\/|[A-Z]:)[^()\s]+:\d+:\d+)\)?$/gm

/** The place in the user's own code where an error was thrown, if its stack says so: the line to mend is in no package. */
export function placeOf(error: unknown): string {
  const places = [...stackOf(error).matchAll(FRAME)].map(([, place]) => place)
  const place = places.find((each) => !each.includes('/node_modules/'))
  return place ? ` (${place.replace(/^.*\//, '')})` : ''
}

const stackOf = (error: unknown) => (error instanceof Error ? String(error.stack) : '')

/** A group of the module. A row that equals a query to the bit has the query's own answer. */
class ModuleGroup implements CodedGroup {
  readonly ready: readonly SentRow[] = []
  readonly #coding: ModuleCoding
  readonly #queries: Float32Array[] = []
  #rows: readonly SentRow[] = []
  /** For each query the numbers of the rows that equal it. */
  #own: readonly number[][] = []
  /** Answers to rows, by number. */
  readonly #answers = new Map<number, Float32Array>()

  constructor(coding: ModuleCoding) {
    this.#coding = coding
  }

  join(query: Float32Array): number {
    return this.#queries.push(query) - 1
  }

  close(): readonly SentRow[] {
    const queries = this.#queries
    const coded = this.#coding.encode(queries)
    this.#own = queries.map((query) => [...coded.keys()].filter((index) => isSame(query, coded[index])))
    this.#rows = coded.map((data, index) => {
      const query = this.#own.findIndex((rows) => rows.includes(index))
      return query < 0 ? { index, data } : { index, data, query }
    })
    return this.#rows
  }

  add({ index }: SentRow, answer: Float32Array): void {
    this.#answers.set(index, answer)
  }

  locate(): readonly { row: SentRow }[] {
    const liars = this.#coding.locate(...this.#came())
    for (const index of liars) this.#answers.delete(index)
    return liars.map((index) => ({ row: this.#rows[index] }))
  }

  exact(query: number): Float32Array | undefined {
    const row = this.#own[query].find((index) => this.#answers.has(index))
    return row === undefined ? undefined : this.#answers.get(row)
  }

  missing(): readonly number[] {
    return [...this.#queries.keys()].filter((query) => !this.exact(query))
  }

  mixes(): boolean {
    return true
  }

  recover(): readonly RecoveredQuery[] {
    const queries = this.missing()
    if (!queries.length) return []
    const answers = this.#coding.decode(...this.#came())
    return queries.map((query) => ({ query, answer: answers[query], source: 'code', missing: queries.length }))
  }

  forget(): void {
    this.#answers.clear()
  }

  /** The answers that came, and the numbers of their rows, ascending. */
  #came(): [outputs: Float32Array[], survivors: number[]] {
    const survivors = [...this.#answers.keys()].sort((a, b) => a - b)
    return [survivors.map((index) => this.#answers.get(index) as Float32Array), survivors]
  }
}

/** Whether two rows are equal to the bit. */
function isSame(a: Float32Array, b: Float32Array): boolean {
  return a.every((value, i) => Object.is(value, b[i]))
}
