import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Codec } from '../src/codec/codec'
import { loadCore } from '../src/core/core'
import { Memory } from '../src/history/memory'
import { seeded } from '../src/random'

const wasm = await loadCore({ prefer: 'wasm' })
const js = await loadCore({ prefer: 'js' })
const row = (...values: number[]) => Float32Array.from(values)
const noise = (length: number, seed: number) => {
  const random = seeded(seed)
  return Float32Array.from({ length }, () => random.gauss())
}

describe('table', () => {
  it('JS and WASM agree to the bit, at every width', () => {
    const shape = {
      width: fc.integer({ min: 1, max: 300 }),
      count: fc.integer({ min: 0, max: 20 }),
      seed: fc.integer(),
    }
    const property = fc.property(fc.record(shape), ({ width, count, seed }) => {
      const tables = [wasm.table(width, 20), js.table(width, 20)]
      for (const table of tables) for (let i = 0; i < count; i++) table.set(i, noise(width, seed + i))
      const [a, b] = tables.map((table) => table.distances(noise(width, seed - 1), count))
      expect(a).toEqual(b)
      if (count) expect(tables[0].get(count - 1)).toEqual(noise(width, seed + count - 1))
    })
    fc.assert(property, { numRuns: 60 })
  })
})

describe('Memory', () => {
  it('gives the nearest, nearest first, as a search over all would', () => {
    const memory = new Memory(wasm, { inputs: 5, outputs: 1, neighbours: 7 })
    const rows = Array.from({ length: 100 }, (_, i) => noise(5, i))
    rows.forEach((query, i) => expect(memory.remember(query, row(i))).toBe(true))
    const target = noise(5, 1000)
    const distance = (a: Float32Array) => a.reduce((sum, v, i) => sum + (v - target[i]) ** 2, 0)
    const expected = rows.map((query, i) => ({ i, d: distance(query) })).sort((a, b) => a.d - b.d)
    expect(memory.near(target).map(({ answer }) => answer[0])).toEqual(expected.slice(0, 7).map(({ i }) => i))
  })

  it('keeps no near duplicates', () => {
    const memory = new Memory(wasm, { inputs: 3, outputs: 1 })
    for (let i = 0; i < 10; i++) memory.remember(noise(3, i), row(i))
    expect(memory.remember(noise(3, 4), row(4))).toBe(false)
    expect(
      memory.remember(
        noise(3, 4).map((v) => v + 1e-4),
        row(4),
      ),
    ).toBe(false)
    expect(memory.size).toBe(10)
  })

  it('is bounded: the oldest goes', () => {
    const memory = new Memory(wasm, { inputs: 3, outputs: 1, bytes: 5 * 16, neighbours: 10 })
    expect(memory.capacity).toBe(5)
    for (let i = 0; i < 8; i++) memory.remember(noise(3, i), row(i))
    expect(memory.size).toBe(5)
    const kept = memory.near(noise(3, 0)).map(({ answer }) => answer[0])
    expect(kept.sort()).toEqual([3, 4, 5, 6, 7])
  })

  it('compares queries by their features', () => {
    const features = (query: Float32Array) => query.slice(0, 1)
    const memory = new Memory(wasm, { inputs: 2, outputs: 1, neighbours: 1, features })
    memory.remember(row(0, 100), row(1))
    memory.remember(row(5, 0), row(2))
    expect(memory.near(features(row(1, 0)))[0].answer).toEqual(row(1))
  })

  it('owns what it keeps', () => {
    const memory = new Memory(wasm, { inputs: 1, outputs: 1 })
    const [query, answer] = [row(1), row(2)]
    memory.remember(query, answer)
    query.fill(9)
    answer.fill(9)
    expect(memory.near(row(1))).toEqual([{ features: row(1), answer: row(2) }])
  })

  it.each([
    [{ inputs: 0, outputs: 1 }, 'inputs: expected an integer >= 1, got 0'],
    [{ inputs: 4, outputs: 1, bytes: 3 }, 'bytes: expected an integer >= 1, got 0'],
    [{ inputs: 4, outputs: 1, neighbours: 0 }, 'neighbours: expected an integer >= 1, got 0'],
  ])('refuses %o', (options, message) => {
    expect(() => new Memory(wasm, options)).toThrow(message)
  })
})

describe('a group with a memory', () => {
  const model = (x: Float32Array) => row(Math.sin(3 * x[0]), x[0] * x[1])
  const point = (i: number) => row(Math.sin(i * 1.7), Math.cos(i * 2.3))

  it.each(['berrut', 'systematic'] as const)('%s: recovers without redundancy and below the quorum', (code) => {
    const memory = new Memory(wasm, { inputs: 2, outputs: 2 })
    for (let i = 0; i < 400; i++) memory.remember(point(i), model(point(i)))
    const group = new Codec(wasm, { queries: 4, code }).open()
    const queries = [1000, 1001, 1002, 1003].map(point)
    for (const query of queries) group.join(query)
    group.close()
    const recovered = group.recover(memory)
    expect(recovered.map(({ query }) => query)).toEqual([0, 1, 2, 3])
    for (const { query, answer, variance } of recovered) {
      const own = model(queries[query])
      expect(Math.hypot(answer[0] - own[0], answer[1] - own[1])).toBeLessThan(0.1)
      expect(variance).toBeLessThan(0.05)
    }
  })

  it('a query unlike all that is remembered shows up as variance', () => {
    const memory = new Memory(wasm, { inputs: 2, outputs: 2 })
    for (let i = 0; i < 100; i++) memory.remember(point(i), model(point(i)))
    const group = new Codec(wasm, { queries: 1, code: 'systematic' }).open()
    group.join(row(40, -40))
    group.close()
    expect(group.recover(memory)[0].variance).toBeGreaterThan(0.9)
  })

  it('an empty memory leaves it to the code', () => {
    const group = new Codec(wasm, { queries: 2, stragglers: 1, code: 'systematic' }).open()
    for (let i = 0; i < 2; i++) group.join(point(i))
    for (const coded of [...group.ready, ...group.close()]) if (coded.index) group.add(coded, model(coded.data))
    expect(group.recover(new Memory(wasm, { inputs: 2, outputs: 2 }))).toEqual(group.recover())
  })
})
