/** The storage of a Durable Object as its documentation describes it: limits, structured clones, and writes that a crash may lose. */

import { serialize } from 'node:v8'

const MOST_KEYS = 128
const MOST_KEY = 2048
const MOST_VALUE = 128 * 1024

type Options = { allowConcurrency?: boolean; allowUnconfirmed?: boolean; noCache?: boolean }

/** Overloaded as `DurableObjectStorage` of @cloudflare/workers-types. */
export class DurableStorageModel {
  /** What has been written, and what `sync` has made durable. */
  readonly values: Map<string, unknown>
  #durable: Map<string, unknown>
  /** Counts down with each write; at zero the object dies. */
  left = Number.POSITIVE_INFINITY
  /** The writes that there were. */
  writes = 0

  constructor(values = new Map<string, unknown>()) {
    this.values = new Map(values)
    this.#durable = new Map(values)
  }

  async get<T = unknown>(key: string, options?: Options): Promise<T | undefined>
  async get<T = unknown>(keys: string[], options?: Options): Promise<Map<string, T>>
  async get(keys: string | string[], _?: Options): Promise<unknown> {
    if (typeof keys === 'string') return structuredClone(this.values.get(keys))
    check(keys)
    const found = keys.filter((key) => this.values.has(key))
    return new Map(found.map((key) => [key, structuredClone(this.values.get(key))]))
  }

  async put<T>(key: string, value: T, options?: Options): Promise<void>
  async put<T>(entries: Record<string, T>, options?: Options): Promise<void>
  async put(entries: string | Record<string, unknown>, value?: unknown): Promise<void> {
    const all = typeof entries === 'string' ? { [entries]: value } : entries
    check(Object.keys(all))
    for (const [key, each] of Object.entries(all)) {
      const bytes = bytesOf(each)
      if (bytes > MOST_VALUE) throw new RangeError(`${key}: a value of ${bytes} bytes`)
    }
    this.#write(() => {
      for (const [key, each] of Object.entries(all)) this.values.set(key, structuredClone(each))
    })
  }

  async delete(key: string, options?: Options): Promise<boolean>
  async delete(keys: string[], options?: Options): Promise<number>
  async delete(keys: string | string[], _?: Options): Promise<boolean | number> {
    if (typeof keys === 'string') return this.values.delete(keys)
    check(keys)
    let count = 0
    this.#write(() => {
      for (const key of keys) count += Number(this.values.delete(key))
    })
    return count
  }

  async sync(): Promise<void> {
    this.#dieAtZero()
    this.#durable = new Map(this.values)
  }

  #write(work: () => void): void {
    this.#dieAtZero()
    this.writes++
    work()
  }

  #dieAtZero(): void {
    if (--this.left < 0) throw new Error('the object is dead')
  }

  /** The storage after a crash. @param kept  whether writes since the last `sync` have reached the disk */
  after(kept: boolean): DurableStorageModel {
    return new DurableStorageModel(kept ? this.values : this.#durable)
  }
}

/** As workerd serializes it: the whole buffer of a view, and some bytes of type and length. */
const bytesOf = (value: unknown) => (ArrayBuffer.isView(value) ? value.buffer.byteLength + 16 : serialize(value).length)

function check(keys: readonly string[]): void {
  if (keys.length > MOST_KEYS) throw new RangeError(`${keys.length} keys`)
  for (const key of keys) if (Buffer.byteLength(key) > MOST_KEY) throw new RangeError(`a key of ${key.length} bytes`)
}
