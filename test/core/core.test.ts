import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, it, vi } from 'vitest'
import { seeded } from '../../src/base/random'
import { Scheme } from '../../src/base/scheme'
import { chebyshev } from '../../src/codec/locators'
import { JsCore } from '../../src/core/js'
import { loadCore } from '../../src/core/load'
import { WasmCore } from '../../src/core/wasm'
import { codecWorks, goldenLocators, goldenScheme } from '../shared/core-suites'

const bytes = readFileSync('build/core.wasm')
/** WASM at every size; a loaded core runs small calls in JavaScript. */
const wasm = new WasmCore(new WebAssembly.Module(bytes))
const js = new JsCore()
const loaded = await loadCore({ prefer: 'wasm' })

goldenScheme()
for (const core of [wasm, js, loaded]) {
  goldenLocators(core)
  codecWorks(core)
}

/** f32 values of every kind: ordinary, huge, subnormal, signed zeros, Inf. */
function floats(length: number, seed: number, wild: boolean): Float32Array {
  const random = seeded(seed)
  const special = [0, -0, 1e-42, -3e-45, 3e38, -3e38, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 1e-30]
  return Float32Array.from({ length }, () =>
    wild && random.next() < 0.2 ? special[random.below(special.length)] : random.gauss(),
  )
}

/** Bits, with every NaN alike: WASM leaves its payload open. */
function bits(rows: (Float32Array | Float64Array)[]): string[] {
  return rows.map((row) => {
    const same = row.map((value) => (Number.isNaN(value) ? Number.NaN : value))
    return Buffer.from(same.buffer).toString('base64')
  })
}

const shapes = { n: fc.integer({ min: 1, max: 30 }), k: fc.integer({ min: 1, max: 30 }), seed: fc.integer() }
const length = fc.oneof(fc.integer({ min: 0, max: 60 }), fc.integer({ min: 0, max: 5000 }))

describe('JS and WASM agree to the bit', () => {
  it('combine', () => {
    const property = fc.property(fc.record({ ...shapes, d: length, wild: fc.boolean() }), ({ n, k, d, seed, wild }) => {
      const weights = floats(n * k, seed, wild)
      const rows = Array.from({ length: k }, (_, i) => floats(d, seed + i + 1, wild))
      const expected = bits(js.combine(weights, rows))
      expect(bits(wasm.combine(weights, rows))).toEqual(expected)
      expect(bits(loaded.combine(weights, rows))).toEqual(expected)
    })
    fc.assert(property, { numRuns: 300 })
  })

  it('combine in pieces, for rows longer than a piece', () => {
    const rows = Array.from({ length: 8 }, (_, i) => floats(150528, i, true))
    const weights = floats(72, 99, false)
    expect(bits(wasm.combine(weights, rows))).toEqual(bits(js.combine(weights, rows)))
  })

  it('gram', () => {
    const property = fc.property(fc.record({ ...shapes, d: length, wild: fc.boolean() }), ({ n, d, seed, wild }) => {
      const rows = Array.from({ length: n }, (_, i) => floats(d, seed + i, wild))
      const expected = bits([js.gram(rows)])
      expect(bits([wasm.gram(rows)])).toEqual(expected)
      expect(bits([loaded.gram(rows)])).toEqual(expected)
    })
    fc.assert(property, { numRuns: 100 })
  })

  it('inverse', () => {
    for (let n = 1; n <= 30; n++) {
      const matrix = js.gram(Array.from({ length: n }, (_, i) => floats(40, i, false)))
      expect(bits([wasm.inverse(matrix)])).toEqual(bits([js.inverse(matrix)]))
      expect(bits([loaded.inverse(matrix)])).toEqual(bits([js.inverse(matrix)]))
    }
  })

  it('vote and vote-unit', () => {
    const shape = { k: fc.integer({ min: 1, max: 12 }), e: fc.integer({ min: 1, max: 3 }), seed: fc.integer() }
    const property = fc.property(fc.record({ ...shape, c: fc.integer({ min: 1, max: 20 }) }), ({ k, e, c, seed }) => {
      const { beta } = new Scheme({ queries: k, byzantine: e })
      const answers = beta.map((_, i) => floats(c, seed + i, false))
      const basis = chebyshev(beta, k + e)
      for (const unit of [false, true]) {
        expect(wasm.vote(answers, basis, e, unit)).toEqual(js.vote(answers, basis, e, unit))
      }
    })
    fc.assert(property, { numRuns: 60 })
  })

  it('residual', () => {
    const shape = { f: fc.integer({ min: 2, max: 30 }), c: fc.integer({ min: 1, max: 100 }), seed: fc.integer() }
    const property = fc.property(fc.record(shape), ({ f, c, seed }) => {
      const answers = Array.from({ length: f }, (_, i) => floats(c, seed + i, false))
      const kernel = wasm.gram(Array.from({ length: f }, (_, i) => floats(40, seed - i, false)))
      const rounds = 1 + (Math.abs(seed) % Math.min(4, f - 1))
      const [a, b] = [wasm.residual(answers, kernel, 0.01, rounds), js.residual(answers, kernel, 0.01, rounds)]
      expect(a.order).toEqual(b.order)
      expect(bits([a.scores])).toEqual(bits([b.scores]))
    })
    fc.assert(property, { numRuns: 100 })
  })
})

describe('residual', () => {
  it('later rounds equal a fresh start without the dropped row', () => {
    const answers = Array.from({ length: 12 }, (_, i) => floats(30, i, false))
    const inputs = Array.from({ length: 12 }, (_, i) => floats(20, 100 + i, false))
    const two = wasm.residual(answers, wasm.gram(inputs), 0, 2)
    const [first, second] = two.order
    const rest = answers.filter((_, i) => i !== first)
    const fresh = wasm.residual(rest, wasm.gram(inputs.filter((_, i) => i !== first)), 0, 1)
    const at = second - Number(second > first)
    expect(fresh.order[0]).toBe(at)
    expect(fresh.scores[at] / two.scores[second]).toBeCloseTo(1, 9)
  })

  it('refuses a kernel that is not positive definite', () => {
    const kernel = Float64Array.of(1, 2, 2, 1)
    for (const core of [wasm, js]) {
      expect(() => core.residual([floats(3, 1, false), floats(3, 2, false)], kernel, 0, 1)).toThrow(/positive definite/)
    }
  })
})

describe('vote', () => {
  it('a coordinate in which all answers agree has no vote', () => {
    const { beta } = new Scheme({ queries: 4, byzantine: 1 })
    const answers = beta.map(() => Float32Array.of(7, 0))
    for (const core of [wasm, js]) {
      expect([...core.vote(answers, chebyshev(beta, 5), 1, false)]).toEqual(beta.map(() => 0))
    }
  })
})

describe('core.wasm', () => {
  it('imports nothing and fits in 16 KiB', () => {
    expect(WebAssembly.Module.imports(new WebAssembly.Module(bytes))).toEqual([])
    expect(bytes.length).toBeLessThanOrEqual(16 * 1024)
  })

  it('loads from a ready module', async () => {
    expect((await loadCore({ module: new WebAssembly.Module(bytes) })).kind).toBe('wasm')
  })

  it('is refused when it is another ABI', async () => {
    const other = new WebAssembly.Module(Uint8Array.of(0, 97, 115, 109, 1, 0, 0, 0))
    await expect(loadCore({ module: other })).rejects.toThrow('expected ABI version 4, got undefined')
  })
})

describe('loadCore', () => {
  it('falls back to JS where WASM is forbidden, and says so', async () => {
    const compile = WebAssembly.compile
    WebAssembly.compile = () => Promise.reject(new Error('forbidden by policy'))
    vi.resetModules() // a process that has compiled it once keeps it
    const { loadCore } = await import('../../src/core/load')
    try {
      const core = await loadCore()
      expect([core.kind, core.fallback]).toEqual(['js', 'Error: forbidden by policy'])
      await expect(loadCore({ prefer: 'wasm' })).rejects.toThrow('forbidden by policy')
    } finally {
      WebAssembly.compile = compile
    }
    expect((await loadCore()).kind).toBe('wasm') // it is tried again
  })

  it('refuses an unknown preference', async () => {
    await expect(loadCore({ prefer: 'rust' as 'js' })).rejects.toThrow(
      "core.prefer: expected 'wasm' or 'js', got \"rust\"",
    )
  })
})
