/** A store in the storage of a Durable Object, whose values hold 128 KiB, or 2 MiB with SQLite: states are written in pieces. */

import { checkNames, checkString, expected, isObject } from '../base/check'
import { checksum } from '../base/checksum'
import { turn } from '../oip/json'
import type { Store } from './store'

/** What `durableStore` uses of the interface `DurableObjectStorage`. */
export interface DurableStorage {
  get(keys: string[], options?: object): Promise<Map<string, unknown>>
  put(entries: Record<string, unknown>, options?: object): Promise<void>
  delete(keys: string[], options?: object): Promise<number>
  sync(): Promise<void>
}

/** Bytes of a piece. Both kinds of storage take a value of this length; larger pieces are not faster with SQLite. */
const PIECE = 120 * 1024
/**
 * Pieces per call of the storage. In workerd neither calls of the storage nor their promises let other events in. Three pieces take 1 to 4 ms, and a
 * state of 10 MB without turns of the event loop 40 ms.
 */
const BATCH = 3
/** The longest key of a storage without SQLite, in bytes. */
const MOST_KEY = 2048
/** No state has more pieces: they would be 115 GB. */
const MOST_PIECES = 1_000_000

/** Requests go on while a state is read or written, and replies do not wait for its last write. Pieces do not stay in the storage's cache. */
const ASIDE = { allowConcurrency: true, allowUnconfirmed: true, noCache: true }

/** Describes the pieces of a state. It is written after them, and names another slot than before: the old state is whole until then. */
interface Head {
  slot: 0 | 1
  pieces: number
  length: number
  checksum: string
  /** The most pieces that may lie in the other slot: of the state before, or of a write that did not end. */
  others: number
}

/** The head before the first state. */
const NO_STATE: Head = { slot: 1, pieces: 0, length: 0, checksum: '', others: 0 }

/**
 * A store for a gateway in a Durable Object. After a crash or an eviction at any moment, also within a write, the old state or the new
 * one is there, whole.
 *
 * @param storage         `ctx.storage` of the object, with SQLite or without
 * @param options.prefix  begins the keys of the store. Gateways of one object that have models of the same name need different prefixes.
 *   Default: 'approxifer'
 * @throws TypeError for another `storage`, or a wrong option
 */
export function durableStore(storage: DurableStorage, options: { prefix?: string } = {}): Store {
  const calls = ['get', 'put', 'delete', 'sync'] as const
  if (calls.some((name) => typeof storage?.[name] !== 'function')) {
    throw new TypeError(expected('storage', 'the storage of a Durable Object, ctx.storage', storage))
  }
  checkNames('options', options, ['prefix'])
  return new DurableStore(storage, checkString('options.prefix', options.prefix ?? 'approxifer'))
}

class DurableStore implements Store {
  constructor(
    private readonly storage: DurableStorage,
    private readonly prefix: string,
  ) {}

  async read(name: string): Promise<Uint8Array | undefined> {
    this.#check(name)
    return inTurn(this.storage, () => this.#read(name))
  }

  async write(name: string, bytes: Uint8Array): Promise<void> {
    this.#check(name)
    if (!(bytes instanceof Uint8Array)) throw new TypeError(expected('bytes', 'a Uint8Array', bytes))
    return inTurn(this.storage, () => this.#write(name, bytes))
  }

  async #read(name: string): Promise<Uint8Array | undefined> {
    const key = this.#keyOf(name)
    const value = (await this.storage.get([key], ASIDE)).get(key)
    if (value === undefined) return undefined
    if (!isHead(value)) throw new RangeError(expected(key, 'what a store wrote', value))
    if (!value.checksum) return undefined // the first write did not end
    const bytes = new Uint8Array(value.length)
    const sums: string[] = []
    let at = 0
    await inBatches(0, value.pieces, async (indices) => {
      const keys = indices.map((index) => this.#keyOf(name, value.slot, index))
      const pieces = await this.storage.get(keys, ASIDE)
      for (const each of keys) {
        const piece = pieces.get(each)
        const left = value.length - at
        if (!(piece instanceof Uint8Array) || piece.length > left) {
          throw new RangeError(expected(each, `a piece of at most ${left} bytes`, piece))
        }
        bytes.set(piece, at)
        sums.push(checksum(piece))
        at += piece.length
      }
    })
    const sum = checksumOf(sums)
    if (at === value.length && sum === value.checksum) return bytes
    const wanted = `${value.length} bytes with the checksum ${value.checksum}`
    throw new RangeError(`${key}: expected ${wanted}, got ${at} with ${sum}`)
  }

  async #write(name: string, bytes: Uint8Array): Promise<void> {
    const { storage } = this
    const key = this.#keyOf(name)
    const value = (await storage.get([key], ASIDE)).get(key)
    const old = isHead(value) ? value : NO_STATE
    const pieces = Math.ceil(bytes.length / PIECE)
    const slot = old.slot === 0 ? 1 : 0
    const others = Math.max(old.others, pieces)
    if (others > old.others) await storage.put({ [key]: { ...old, others } }, ASIDE) // so that the next write finds the pieces if this one does not end
    const sums: string[] = []
    await inBatches(0, pieces, async (indices) => {
      // Copies: the storage writes the whole buffer of a view.
      const copies = indices.map((index) => new Uint8Array(bytes.subarray(index * PIECE, (index + 1) * PIECE)))
      sums.push(...copies.map(checksum))
      const keys = indices.map((index) => this.#keyOf(name, slot, index))
      await storage.put(Object.fromEntries(keys.map((each, i) => [each, copies[i]])), ASIDE)
    })
    await this.#delete(name, slot, pieces, others)
    await storage.sync()
    const head = { slot, pieces, length: bytes.length, checksum: checksumOf(sums), others: old.pieces } satisfies Head
    await storage.put({ [key]: head }, ASIDE)
    await storage.sync()
    await this.#delete(name, old.slot, 0, old.pieces)
  }

  #delete(name: string, slot: 0 | 1, from: number, to: number): Promise<void> {
    return inBatches(from, to, (indices) =>
      this.storage.delete(
        indices.map((index) => this.#keyOf(name, slot, index)),
        ASIDE,
      ),
    )
  }

  /** The key of a state's head, or of a piece of it, by slot and index. JSON escapes names, so that no two keys are equal. */
  #keyOf(name: string, ...piece: number[]): string {
    return this.prefix + JSON.stringify([name, ...piece])
  }

  #check(name: string): void {
    const longest = this.#keyOf(checkString('name', name), 1, MOST_PIECES)
    const { length } = new TextEncoder().encode(longest)
    if (length <= MOST_KEY) return
    throw new RangeError(`name: expected at most ${MOST_KEY} bytes as a key of the storage, got ${length}`)
  }
}

const checksumOf = (sums: readonly string[]) => checksum(new TextEncoder().encode(sums.join('')))

function isHead(value: unknown): value is Head {
  if (!isObject(value)) return false
  const { slot, pieces, length, others } = value
  const isCount = (number: unknown) => Number.isSafeInteger(number) && (number as number) >= 0
  return (slot === 0 || slot === 1) && [pieces, length, others].every(isCount) && typeof value.checksum === 'string'
}

/** Works on the numbers from `from` to `to - 1`, a few at a time, and lets other events in between. */
async function inBatches(from: number, to: number, work: (indices: number[]) => Promise<unknown>): Promise<void> {
  for (let at = from; at < to; at += BATCH) {
    await work(Array.from({ length: Math.min(BATCH, to - at) }, (_, i) => at + i))
    await turn()
  }
}

/** The end of the last call on each storage, which the next call waits for: two stores of one object may have the same names. */
const ends = new WeakMap<DurableStorage, Promise<void>>()

function inTurn<T>(storage: DurableStorage, work: () => Promise<T>): Promise<T> {
  const done = (ends.get(storage) ?? Promise.resolve()).then(work)
  const end = () => {}
  ends.set(storage, done.then(end, end)) // not `done`, which would keep the bytes that were read
  return done
}
