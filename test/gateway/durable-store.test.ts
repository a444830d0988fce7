/** A gateway's store in the storage of a Durable Object. */

import { type DurableStorage, durableStore } from 'approxifer/gateway'
import { describe, expect, it } from 'vitest'
import { DurableStorageModel } from '../shared/durable-storage'

const PIECE = 120 * 1024

/** Bytes that differ by piece and by state. */
function state(byte: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length)
  for (let at = 0; at < length; at += 1000) bytes.fill(byte + at / 1000, at, at + 1000)
  return bytes
}

const same = (bytes: Uint8Array | undefined, wanted: Uint8Array) =>
  bytes !== undefined && Buffer.compare(bytes, wanted) === 0

const piecesIn = ({ values }: DurableStorageModel) =>
  [...values.values()].filter((value) => value instanceof Uint8Array).length

it.each([0, 1, PIECE - 1, PIECE, PIECE + 1, 10_000_000])(
  'keeps a state of %i bytes, and no piece of the one before',
  async (length) => {
    const storage = new DurableStorageModel()
    const store = durableStore(storage)
    expect(await store.read('m')).toBeUndefined()
    for (const [round, bytes] of [state(1, length), state(2, 3 * PIECE), state(3, length)].entries()) {
      await store.write('m', bytes)
      expect([round, same(await durableStore(storage).read('m'), bytes)]).toEqual([round, true])
      expect(piecesIn(storage)).toBe(Math.ceil(bytes.length / PIECE))
    }
  },
)

it('writes no more than a view holds, and does not keep the bytes', async () => {
  const storage = new DurableStorageModel()
  const whole = Buffer.alloc(4_000_000, 1)
  await durableStore(storage).write('m', whole.subarray(5, 105))
  whole.fill(2)
  expect([...((await durableStore(storage).read('m')) ?? [])]).toEqual(Array(100).fill(1))
})

describe('whatever write the object dies at', () => {
  /** Dies at the n-th call that writes. @returns the storage that is left, undefined if it did not die */
  async function died(before: DurableStorageModel, n: number, bytes: Uint8Array, kept: boolean) {
    const storage = before.after(true)
    storage.left = n
    const error = await durableStore(storage)
      .write('m', bytes)
      .then(
        () => undefined,
        (error) => error,
      )
    if (error) expect(error.message).toBe('the object is dead')
    return error && storage.after(kept)
  }

  it.each([
    ['the first state', undefined, 4],
    ['a longer one', 2, 9],
    ['a shorter one', 9, 2],
    ['one of the same length', 5, 5],
    ['an empty one', 5, 0],
  ])(
    '%s: the old state or the new one is there, whole, and the next write leaves nothing else',
    async (_, from, to) => {
      const before = new DurableStorageModel()
      const old = from === undefined ? undefined : state(1, from * PIECE - 7)
      if (old) await durableStore(before).write('m', old)
      const bytes = state(100, Math.max(0, to * PIECE - 5))
      const found = new Set<string>()
      for (const kept of [true, false]) {
        for (let n = 0; ; n++) {
          const storage = await died(before, n, bytes, kept)
          if (!storage) break
          const read = await durableStore(storage).read('m')
          const what = read === undefined ? 'none' : same(read, bytes) ? 'new' : old && same(read, old) ? 'old' : 'torn'
          found.add(what)
          // It dies once more, elsewhere.
          const again = (await died(storage, n >> 1, state(50, 6 * PIECE), kept)) ?? storage
          const last = state(200, 3 * PIECE - 1)
          await durableStore(again).write('m', last)
          expect(same(await durableStore(again).read('m'), last)).toBe(true)
          expect(piecesIn(again)).toBe(3)
        }
      }
      expect([...found].sort()).toEqual(['new', old ? 'old' : 'none'])
    },
  )
})

it('two models, odd names and two stores in one object do not meet', async () => {
  const storage = new DurableStorageModel()
  const names = [
    'm',
    'm/0',
    '["m"]',
    '["m",0,0]',
    'm",0',
    '../ä b\0',
    '\ud800',
    '\ud801',
    '__proto__',
    ' ',
    '🙂'.repeat(300),
  ]
  const stores = ['approxifer', 'a', 'a["m', '', '["m"]'].map((prefix) => durableStore(storage, { prefix }))
  const all = stores.flatMap((store, i) => names.map((name, j) => ({ store, name, bytes: state(i * 16 + j, 5 + j) })))
  await Promise.all(all.map(({ store, name, bytes }) => store.write(name, bytes)))
  for (const { store, name, bytes } of all) expect([name, same(await store.read(name), bytes)]).toEqual([name, true])
  expect(storage.values.size).toBe(2 * all.length)
})

it('two stores of the same names in one object never read a torn state', async () => {
  const storage = new DurableStorageModel()
  const [one, other] = [durableStore(storage), durableStore(storage)]
  const states = [state(1, 4 * PIECE), state(2, 2 * PIECE)]
  for (let round = 0; round < 5; round++) {
    const reads = [one.read('m'), other.read('m')]
    const writes = [one, other].map((store, i) => store.write('m', states[i]))
    reads.push(one.read('m'), other.read('m'))
    await Promise.all(writes)
    for (const read of reads) {
      const bytes = await read
      if (bytes || round) expect(states.some((each) => same(bytes, each))).toBe(true)
    }
  }
  expect(piecesIn(storage)).toBe(2)
})

it('a write that fails does not hold up the next one', async () => {
  const storage = new DurableStorageModel()
  const store = durableStore(storage)
  storage.left = 0
  await expect(store.write('m', state(1, 9))).rejects.toThrow('the object is dead')
  storage.left = Number.POSITIVE_INFINITY
  await store.write('m', state(2, 9))
  expect(same(await store.read('m'), state(2, 9))).toBe(true)
})

it('refuses what is changed or missing, and writes anew', async () => {
  const storage = new DurableStorageModel()
  const store = durableStore(storage)
  const bytes = state(1, 2 * PIECE + 9)
  const damages: [RegExp, (values: Map<string, unknown>) => void][] = [
    [/^approxifer\["m"\]: expected what a store wrote, got 7/, (values) => values.set('approxifer["m"]', 7)],
    [
      /^approxifer\["m",.,1\]: expected a piece of at most \d+ bytes, got undefined/,
      (values) => {
        values.delete([...values.keys()].find((key) => key.endsWith(',1]')) as string)
      },
    ],
    [
      /^approxifer\["m"\]: expected 245769 bytes with the checksum [0-9a-f]{16}, got 245769 with/,
      (values) => {
        const pieces = [...values.entries()].find(([, value]) => value instanceof Uint8Array) as [string, Uint8Array]
        values.set(
          pieces[0],
          pieces[1].map((byte, i) => (i === 77 ? byte ^ 1 : byte)),
        )
      },
    ],
    [
      /^approxifer\["m"\]: expected 245769 bytes .* got 122880 with/,
      (values) => {
        const head = values.get('approxifer["m"]') as object
        values.set('approxifer["m"]', { ...head, pieces: 1 })
      },
    ],
  ]
  for (const [message, damage] of damages) {
    await store.write('m', bytes)
    damage(storage.values)
    await expect(store.read('m')).rejects.toThrow(message)
  }
  await store.write('m', bytes)
  expect(same(await store.read('m'), bytes)).toBe(true)
})

it('says what is wrong with a storage, an option, a name and bytes', async () => {
  const create = (storage: unknown, options?: object) => () => durableStore(storage as DurableStorage, options)
  const storage = new DurableStorageModel()
  const whole = 'storage: expected the storage of a Durable Object, ctx.storage, got '
  expect(create(undefined)).toThrow(new TypeError(`${whole}undefined`))
  expect(create({ storage })).toThrow(new TypeError(`${whole}Object`))
  expect(create(storage, { prefx: 'a' })).toThrow("options.prefx: expected 'prefix', got an unknown option")
  expect(create(storage, { prefix: 7 })).toThrow(new TypeError('options.prefix: expected a string, got 7'))
  const store = durableStore(storage)
  await expect(store.write('m', [1] as unknown as Uint8Array)).rejects.toThrow(
    'bytes: expected a Uint8Array, got Array',
  )
  await expect(store.read(7 as unknown as string)).rejects.toThrow('name: expected a string, got 7')
  const long = 'ä'.repeat(1100)
  await expect(store.write(long, state(1, 1))).rejects.toThrow(
    /^name: expected at most 2048 bytes as a key of the storage, got 22\d\d/,
  )
  expect(storage.writes).toBe(0)
})
