/**
 * A state as text: the whole graph of real objects, private fields included, so that nothing is forgotten that nobody thought of. Of two
 * states with one text either can be had from the other by calling workers by other names: whatever happens to one happens to the other.
 * What is left out is listed, and why.
 */

/** Fields that decide nothing here. Each is `Class.field`; of a plain object, the field that has it and its own. */
export type Omitted = Readonly<Record<string, string>>

/** What an object is taken for, where how it is stored decides nothing. */
export type Readings = Readonly<Record<string, (own: never) => unknown>>

export interface Reading {
  readonly omitted: Omitted
  readonly readings: Readings
  /** Names of workers, which are called by the order in which they are met. */
  readonly names: RegExp
}

/** What has no order: written last, when nearly all that is in it has been met in its place. */
export class Unordered {
  constructor(readonly items: readonly unknown[]) {}
}

/** @param roots  from where all that counts can be reached; what comes first names the workers */
export function canonical(roots: readonly unknown[], reading: Reading): string {
  return new Walk(reading).text(roots)
}

/** What becomes of a field: nothing, itself, or what it is read as. */
type Field = 'omitted' | 'own' | ((own: never) => unknown)

class Walk {
  readonly #reading: Reading
  readonly #met = new Map<object, number>()
  readonly #names = new Map<string, string>()
  #later: Unordered[] = []
  #text = ''

  constructor(reading: Reading) {
    this.#reading = reading
  }

  text(roots: readonly unknown[]): string {
    for (const root of roots) this.#value(root, 'root')
    while (this.#later.length) {
      const all = this.#later
      this.#later = []
      for (const each of all) this.#unordered(each)
    }
    return this.#text
  }

  /** Those that were met in the order in which they were, the others by what can be told of them without names. */
  #unordered({ items }: Unordered): void {
    const ranked = items.map((item) => ({ item, rank: this.#rank(item) }))
    ranked.sort((a, b) => (a.rank < b.rank ? -1 : Number(a.rank > b.rank)))
    this.#text += '\n{'
    for (const { item } of ranked) this.#value(item, 'item')
    this.#text += '}'
  }

  #rank(item: unknown): string {
    const known = typeof item === 'string' ? this.#names.get(item) : this.#met.get(item as object)
    if (known !== undefined) return `0${String(known).padStart(6, '0')}`
    if (Array.isArray(item)) return item.map((each) => this.#rank(each)).join()
    return typeof item === 'object' ? '1' : `2${String(item)}`
  }

  #value(value: unknown, at: string): void {
    if (typeof value === 'string') this.#text += `"${this.#named(value)}"`
    else if (typeof value === 'function') this.#function(value, at)
    else if (typeof value !== 'object' || value === null) this.#text += String(value)
    else this.#object(value, at)
    this.#text += ','
  }

  #named(text: string): string {
    return text.replace(this.#reading.names, (name) => {
      const known = this.#names.get(name) ?? `W${this.#names.size}`
      this.#names.set(name, known)
      return known
    })
  }

  /** What it closes over is met where its owner has it. */
  #function(own: object, at: string): void {
    if (this.#isMet(own)) return
    this.#text += 'f'
    for (const key of Object.keys(own)) this.#value((own as Record<string, unknown>)[key], at)
  }

  #isMet(own: object): boolean {
    const known = this.#met.get(own)
    if (known === undefined) this.#met.set(own, this.#met.size)
    else this.#text += `^${known}`
    return known !== undefined
  }

  #object(own: object, at: string): void {
    if (own instanceof Unordered) {
      this.#later.push(own)
      this.#text += '~'
      return
    }
    if (this.#isMet(own)) return
    const kind = own.constructor === Object || !own.constructor ? at : own.constructor.name
    const read = kind !== at && this.#reading.readings[kind]
    if (read) this.#value(read(own as never), kind)
    else if (ArrayBuffer.isView(own)) this.#text += `[${own}]`
    else if (Array.isArray(own) || own instanceof Map || own instanceof Set) this.#list(own, at)
    else if (own instanceof Promise) this.#text += 'promise'
    else if (own instanceof AbortController) this.#text += own.signal.aborted
    else if (own instanceof AbortSignal) this.#text += own.aborted
    else if (own instanceof Error) this.#value((own as { code?: string }).code ?? own.name, at)
    else this.#fields(own as Record<string, unknown>, kind)
  }

  #list(items: Iterable<unknown>, at: string): void {
    this.#text += '['
    for (const item of items) this.#value(item, at)
    this.#text += ']'
  }

  #fields(own: Record<string, unknown>, kind: string): void {
    const fields = fieldsOf(this.#reading, kind)
    this.#text += `\n${kind}{`
    for (const key of Object.keys(own)) {
      const field = fieldOf(this.#reading, fields, kind, key)
      if (field === 'omitted' || own[key] === undefined) continue
      this.#text += key
      this.#value(field === 'own' ? own[key] : field(own[key] as never), key)
    }
    this.#text += '}'
  }
}

/** By kind and key, so that no path is put together twice. */
const known = new WeakMap<Reading, Map<string, Map<string, Field>>>()

function fieldsOf(reading: Reading, kind: string): Map<string, Field> {
  const kinds = known.get(reading) ?? new Map<string, Map<string, Field>>()
  known.set(reading, kinds)
  const fields = kinds.get(kind) ?? new Map<string, Field>()
  kinds.set(kind, fields)
  return fields
}

function fieldOf({ omitted, readings }: Reading, fields: Map<string, Field>, kind: string, key: string): Field {
  const met = fields.get(key)
  if (met) return met
  const path = `${kind}.${key}`
  const field = path in omitted ? 'omitted' : (readings[path] ?? 'own')
  fields.set(key, field)
  return field
}
