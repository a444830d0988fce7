import { describe, expect, it } from 'vitest'
import { loadCore } from '../../src/core/load'
import { Confidence } from '../../src/memory/confidence'
import { Memory, type MemoryOptions, type Recollection } from '../../src/memory/memory'

const wasm = await loadCore({ prefer: 'wasm' })
const row = (...values: number[]) => Float32Array.from(values)

const point = (i: number) => row(Math.sin(i * 1.7), Math.cos(i * 2.3))
const model = (x: Float32Array) => row(Math.sin(3 * x[0]), x[0] * x[1])
const shape = [2]

/** A memory that was taught what the model says to `count` points. From 512 on it studies how to compare them at eight times the cost of 256. */
function taught(count: number, options: Partial<MemoryOptions> = {}, core = wasm): Memory {
  const memory = new Memory(core, { shape, outputs: 2, ...options })
  for (let i = 0; i < count; i++) memory.remember(point(i), model(point(i)))
  return memory
}

const error = (memory: Memory, query: Float32Array) => {
  const { answer } = memory.recover(query) as Recollection
  return Math.hypot(...model(query).map((value, c) => value - answer[c]))
}

describe('Memory', () => {
  it('recovers what it was not taught, the better the more it was taught', () => {
    const mean = (memory: Memory) =>
      [...Array(50).keys()].reduce((sum, i) => sum + error(memory, point(1e4 + i)), 0) / 50
    const [little, more] = [mean(taught(128)), mean(taught(500))]
    expect(little).toBeLessThan(0.2)
    expect(more).toBeLessThan(little / 2)
  })

  it('is not confident out of distribution, however well it knows what it has seen', () => {
    const memory = new Memory(wasm, { shape, outputs: 2 })
    const linear = (x: Float32Array) => row(2 * x[0], 2 * x[1])
    const confidence = new Confidence(wasm, { kind: 'label', positions: 1, classes: 2 })
    for (let i = 0; i < 400; i++) {
      const { predicted } = memory.remember(point(i), linear(point(i)))
      if (predicted) confidence.rehearse({ ...predicted, missing: 1 }, linear(point(i)))
    }
    const of = (query: Float32Array) => confidence.of({ ...(memory.recover(query) as Recollection), missing: 1 })
    const clear = Array.from({ length: 50 }, (_, i) => point(1e4 + i)).filter(([a, b]) => Math.abs(a - b) > 0.5)
    for (const near of clear) expect(of(near)).toBeGreaterThan(0.9)
    for (const far of [row(9, 9), row(-7, 40), row(0, 1e4)]) expect(of(far)).toBeLessThan(0.9)
  })

  it('one odd query among the first does not make all the others alike', () => {
    const memory = taught(20)
    memory.remember(row(1e20, 0), row(0, 0))
    for (let i = 20; i < 250; i++) memory.remember(point(i), model(point(i)))
    expect(memory.size).toBeGreaterThan(220)
    expect(error(memory, point(9999))).toBeLessThan(0.2)
  })

  it('features of the user’s may share a buffer and need not like zeros, but must keep their length', () => {
    const out = new Float32Array(3)
    let length = 3
    const features = (x: Float32Array) => {
      const norm = Math.hypot(...x)
      out.set([x[0] / norm, x[1] / norm, norm])
      return out.subarray(0, length)
    }
    const memory = taught(250, { features })
    expect(error(memory, point(9999))).toBeLessThan(0.1)
    length = 2
    expect(() => memory.recover(point(1))).toThrow('features(query): expected a Float32Array of 3 finite values, got')
    const other = { shape, outputs: 2, features: (x: Float32Array) => x }
    expect(() => new Memory(wasm, other, memory.save())).toThrow(
      'state: memory.options.features: expected "2 own", got "3 own"',
    )
  })

  it('agrees with kernel ridge regression solved at once', () => {
    const memory = taught(250)
    memory.settle()
    for (let i = 0; i < 4; i++) memory.settle()
    const queries = Array.from({ length: 250 }, (_, i) => point(i))
    const square = (a: Float32Array, b: Float32Array) => a.reduce((sum, v, i) => sum + (v - b[i]) ** 2, 0)
    const first = queries.slice(0, 128)
    const unit = first.flatMap((a) => first.map((b) => square(a, b))).reduce((sum, d) => sum + d, 0) / 128 ** 2
    const k = (a: Float32Array, b: Float32Array) => Math.exp(-square(a, b) / unit)
    const matrix = Float64Array.from(queries.flatMap((a, i) => queries.map((b, j) => k(a, b) + (i === j ? 0.01 : 0))))
    const inverse = wasm.inverse(matrix)
    const mean = first.reduce((sum, x) => sum + model(x)[0], 0) / 128
    const target = point(5000)
    const weights = queries.map((_, i) => queries.reduce((sum, b, j) => sum + inverse[i * 250 + j] * k(b, target), 0))
    const exact = queries.reduce((sum, x, i) => sum + weights[i] * (model(x)[0] - mean), mean)
    expect(memory.recover(target)?.answer[0]).toBeCloseTo(exact, 2)
  })

  it('recovers nothing until it knows what queries look like', () => {
    const memory = taught(127)
    expect([memory.ready, memory.size, memory.recover(point(0))]).toEqual([false, 127, undefined])
    memory.remember(point(127), model(point(127)))
    expect([memory.ready, memory.size]).toEqual([true, 128])
  })

  it('keeps no near duplicates', () => {
    const memory = taught(100)
    expect(memory.remember(point(4), row(0, 0))).toEqual({ kept: false })
    for (let i = 100; i < 140; i++) memory.remember(point(i), model(point(i)))
    const again = point(4).map((v) => v + 1e-4)
    expect(memory.remember(again, row(0, 0)).kept).toBe(false)
    expect(memory.size).toBe(140)
  })

  it('is bounded: the oldest goes, and a stream that moves is followed', () => {
    const memory = taught(0, { bytes: Memory.bytes({ shape, outputs: 2 }, 300) })
    const { capacity } = memory
    const model2 = (x: Float32Array) => row(5 - x[0], x[1])
    for (let i = 0; i < capacity; i++) memory.remember(point(i), model(point(i)))
    for (let i = capacity; i < 3 * capacity; i++) memory.remember(point(i), model2(point(i)))
    expect(memory.size).toBe(capacity)
    const { answer } = memory.recover(point(5000)) as Recollection
    expect(Math.abs(answer[0] - model2(point(5000))[0])).toBeLessThan(0.1)
  })

  it('a query unlike all that is remembered shows up as variance and as odds', () => {
    const memory = taught(250)
    const [near, far] = [memory.recover(point(1000)), memory.recover(row(40, -40))] as Recollection[]
    expect(near.variance).toBeLessThan(0.1)
    expect(far.variance).toBeGreaterThan(0.9)
    expect(far.odds).toBeLessThan(near.odds as number)
    expect(Math.abs(far.odds as number)).toBeLessThan(3)
  })

  it('compares queries by their features, and owns what it keeps', () => {
    const features = (query: Float32Array) => query.slice(0, 1)
    const memory = new Memory(wasm, { shape: [2], outputs: 1, features })
    const [query, answer] = [row(0, 0), row(0)]
    for (let i = 0; i < 256; i++) {
      query[0] = i / 256
      query[1] = 1000 * ((i * 37) % 11)
      answer[0] = i / 256
      memory.remember(query, answer)
    }
    query.fill(9)
    answer.fill(9)
    expect(memory.recover(row(0.5, -5))?.answer[0]).toBeCloseTo(0.5, 1)
    expect(() => new Memory(wasm, { shape: [2], outputs: 1, features: () => row(Number.NaN) })).toThrow('finite values')
  })

  it('comes back from what it saved as it was, and goes on', () => {
    const memory = taught(250)
    const again = new Memory(wasm, { shape, outputs: 2 }, memory.save())
    expect([again.size, again.ready]).toEqual([memory.size, true])
    for (const i of [9999, 240, 249]) expect(again.recover(point(i))).toEqual(memory.recover(point(i))) // the last do not count yet
    for (let i = 250; i < 500; i++) again.remember(point(i), model(point(i)))
    expect(error(again, point(9999))).toBeLessThan(0.1)
    expect(new Memory(wasm, { shape, outputs: 2 }, taught(5).save()).size).toBe(0) // not ready: nothing to save
  })

  it('refuses the state of another memory, and what is none', () => {
    const state = taught(270).save()
    const load = (bytes: Uint8Array, options = {}) => new Memory(wasm, { shape, outputs: 2, ...options }, bytes)
    expect(() => load(state, { outputs: 3 })).toThrow('state: memory.options.outputs: expected 3, got 2')
    expect(() => load(state, { bytes: Memory.bytes({ shape, outputs: 2 }, 260) })).toThrow(
      /state: memory.size: expected at most \d+ pairs, for its bytes, got \d+/,
    )
    expect(() => load(state.slice(0, -1))).toThrow(/state: expected checksum .* bytes of it are missing/)
    expect(() => load(new Uint8Array(10))).toThrow('state: expected what save() of a memory gave, got something else')
  })

  it.each([
    [{ shape: [0], outputs: 1 }, 'shape[0]: expected an integer >= 1, got 0'],
    [{ shape: [4], outputs: 1, bytes: 3 }, 'for 256 pairs, got 3'],
    [{ shape: [4], outputs: 1, features: 'patches' as const }, "features: expected 'raw' for shape [4], got 'patches'"],
    [
      { shape: [4], outputs: 1, features: 'odd' as 'raw' },
      "features: expected 'raw' | 'patches' | 'signals', got \"odd\"",
    ],
  ])('refuses %o', (options, message) => {
    expect(() => new Memory(wasm, options)).toThrow(message)
  })
})

describe('an absurd answer', () => {
  const absurd = row(1e6, -1e6)
  const mean = (memory: Memory) => {
    return [...Array(50).keys()].reduce((sum, i) => sum + error(memory, point(1e4 + i)), 0) / 50
  }

  const well = taught(500)

  it.each([0, 127, 400])('as answer %i changes nothing of what is recovered for the others', (at) => {
    const memory = new Memory(wasm, { shape, outputs: 2 })
    for (let i = 0; i < 500; i++) memory.remember(point(i), i === at ? absurd : model(point(i)))
    expect(memory.size).toBeGreaterThan(0.95 * well.size)
    expect(mean(memory)).toBeLessThan(1.2 * mean(well) + 0.01)
  })

  it('is believed when it is the rule', () => {
    const memory = taught(150)
    const before = memory.size
    const elsewhere = (i: number) => point(i).map((x) => x + 10)
    for (let i = 150; i < 500; i++) memory.remember(elsewhere(i), row(200, 0))
    expect(memory.size).toBeGreaterThan(before + 200)
    expect((memory.recover(elsewhere(2000)) as Recollection).answer[0]).toBeGreaterThan(150)
  })
})

describe('forget', () => {
  /** Every third answer is worker b's, and not the model's. */
  const withLiar = (count: number, options: Partial<MemoryOptions> = {}) => {
    const memory = new Memory(wasm, { shape, outputs: 2, ...options })
    for (let i = 0; i < count; i++) {
      const from = i % 3 === 1 ? 'b' : i % 2 ? 'a' : undefined
      memory.remember(point(i), from === 'b' ? row(3, -3) : model(point(i)), from)
    }
    return memory
  }
  /** As if worker b had never been there. */
  const without = (count: number) => {
    const memory = new Memory(wasm, { shape, outputs: 2 })
    for (let i = 0; i < count; i++) if (i % 3 !== 1) memory.remember(point(i), model(point(i)))
    return memory
  }
  const mean = (memory: Memory) => {
    return [...Array(50).keys()].reduce((sum, i) => sum + error(memory, point(1e4 + i)), 0) / 50
  }

  it('all that came from a worker is as if it had never been, also after saving', () => {
    const honest = without(450)
    const memory = withLiar(450)
    expect(mean(memory)).toBeGreaterThan(10 * mean(honest))
    const again = new Memory(wasm, { shape, outputs: 2 }, memory.save())
    for (const each of [memory, again]) {
      const { size } = each
      const { gone } = each.forget('b')
      expect(gone).toBeGreaterThan(130)
      expect(each.recover(point(5))).toBeUndefined() // until it has solved it all anew
      each.settle()
      expect(each.size).toBe(size - gone)
      expect(mean(each)).toBeLessThan(1.2 * mean(honest))
      const { error, odds } = each.recover(point(1e5)) as Recollection
      expect(error).toBeLessThan(1.2 * (honest.recover(point(1e5)) as Recollection).error)
      expect(odds).toBeGreaterThan(0)
      expect(each.forget('b').gone).toBe(0)
      expect(each.forget('c').gone).toBe(0)
    }
    expect(again.recover(point(7))).toEqual(memory.recover(point(7)))
  })

  it('goes on from what is left, also where that is less than a memory begins with', () => {
    for (const count of [60, 150, 300]) {
      const memory = withLiar(count)
      expect(memory.forget('b').gone).toBeGreaterThan(0.3 * count)
      for (let i = count; i < count + 200; i++) memory.remember(point(i), model(point(i)), 'a')
      expect(mean(memory)).toBeLessThan(0.2)
    }
  })

  it('the oldest go first afterwards as well', () => {
    const { capacity } = new Memory(wasm, { shape, outputs: 2, bytes: 1.5e6 })
    const memory = withLiar(Math.round(1.5 * capacity), { bytes: 1.5e6 })
    expect(memory.size).toBe(capacity)
    memory.forget('b')
    for (let i = 0; i < 2 * capacity; i++) memory.remember(point(1e5 + i), model(point(1e5 + i)))
    expect(memory.size).toBe(capacity)
    expect(mean(memory)).toBeLessThan(0.1)
  })
})
