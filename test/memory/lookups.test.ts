/** What a lookup in the memory computes: the same on both cores, and what the formulas say in f64. */

import fc from 'fast-check'
import { describe, expect, it, vi } from 'vitest'
import { seeded } from '../../src/base/random'
import type { FilterBankOptions } from '../../src/core/core'
import { BLOCK, KernelMatrix } from '../../src/core/kernel-matrix'
import { loadCore } from '../../src/core/load'
import { FILTERS, mirrored as inTheMirror, PART_STEP, PATCH_FEATURES, toMirror } from '../../src/memory/mirror'
import { pack } from '../../src/memory/pack'
import { KernelRegression } from '../../src/memory/regression'
import { finished } from '../../src/memory/steps'
import { unpack } from '../../src/memory/unpack'

const wasm = await loadCore({ prefer: 'wasm' })
const js = await loadCore({ prefer: 'js' })
const noise = (length: number, seed: number, scale = 1) => {
  const random = seeded(seed)
  return Float32Array.from({ length }, () => scale * random.gauss())
}

describe('a table', () => {
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

describe('a table of halves', () => {
  it('has the exact distances, also of a row with its second half negated, on both cores, at every width', () => {
    const shape = { eighths: fc.integer({ min: 1, max: 9 }), count: fc.integer({ min: 0, max: 20 }), from: fc.constantFrom(0, 4), seed: fc.integer() } // biome-ignore format: one line
    const property = fc.property(fc.record(shape), ({ eighths, count, from, seed }) => {
      const half = 8 * eighths
      const random = seeded(seed)
      const any = () => Int8Array.from({ length: 2 * half }, () => random.below(255) - 127)
      const [rows, query] = [Array.from({ length: from + count }, any), any()]
      const square = (row: Int8Array, side: number) =>
        row.reduce((sum, v, at) => sum + (v - (at < half ? 1 : side) * query[at]) ** 2, 0) / 256
      const expected = [1, -1].map((side) => Float32Array.from(rows.slice(from), (row) => square(row, side)))
      for (const core of [wasm, js]) {
        const table = core.halvesTable(half, 26, 1 / 16)
        for (const [i, row] of [...rows, query].entries()) table.set(i, row)
        for (const [i, row] of rows.entries()) table.set(i, row) // over what was there
        const { plain, turned } = table.distances(query, from + count, from)
        expect([plain, turned]).toEqual(expected)
        if (count) expect(table.get(from)).toEqual(rows[from])
      }
    })
    fc.assert(property, { numRuns: 60 })
  })
})

describe('filter bank', () => {
  const options = (channels: number, height: number, width: number): FilterBankOptions => ({
    channels,
    height,
    width,
    filters: [1, 2, 3].map((seed) => noise(25 * channels, seed, 0.5)),
    mean: balanced(symmetric(noise(25 * channels, 9, 0.1))),
    contrast: 0.1,
    threshold: 0.4,
  })
  /** Of sum zero, as the mean of patches without their mean is. */
  const balanced = (row: Float32Array) => row.map((v) => v - row.reduce((sum, w) => sum + w, 0) / row.length)
  const mirrored = (row: Float32Array) => row.map((_, i) => row[i - (i % 5) + 4 - (i % 5)])
  const symmetric = (row: Float32Array) => row.map((v, i) => (v + mirrored(row)[i]) / 2)

  /** As Coates, Lee and Ng have it, patch by patch, in f64. */
  function plain({ height, width, filters, mean, contrast, threshold }: FilterBankOptions, image: Float32Array) {
    const [rows, columns] = [height - 4, width - 4]
    const both = [...filters, ...filters.map(mirrored)]
    const out = new Float64Array(2 * both.length * 16)
    const weight = (i: number, length: number, cell: number) =>
      Math.max(0, 1 - Math.abs(((i + 0.5) * 4) / length - 0.5 - cell))
    const total = new Float64Array(16)
    for (let y = 0; y < rows; y++) {
      for (let x = 0; x < columns; x++) {
        const patch = Float64Array.from(mean, (_, i) => {
          const [c, dy, dx] = [Math.floor(i / 25), Math.floor(i / 5) % 5, i % 5]
          return image[(c * height + y + dy) * width + x + dx]
        })
        const centre = patch.reduce((sum, v) => sum + v, 0) / patch.length
        const variance = patch.reduce((sum, v) => sum + (v - centre) ** 2, 0) / patch.length
        const normal = patch.map((v, i) => (v - centre) / Math.sqrt(variance + contrast) - mean[i])
        for (let cell = 0; cell < 16; cell++) {
          const w = weight(y, rows, cell >> 2) * weight(x, columns, cell & 3)
          total[cell] += w
          both.forEach((filter, k) => {
            const r = normal.reduce((sum, v, i) => sum + v * filter[i], 0)
            out[16 * k + cell] += w * Math.max(0, r - threshold)
            out[16 * (both.length + k) + cell] += w * Math.max(0, -r - threshold)
          })
        }
      }
    }
    return out.map((sum, i) => sum / total[i % 16])
  }

  it.each([
    [1, 12, 12],
    [1, 28, 28],
    [3, 13, 17],
    [3, 20, 12],
    [4, 12, 15],
  ])('%i x %i x %i: both cores agree to the bit, and with patches filtered one by one', (channels, height, width) => {
    const [given, image] = [options(channels, height, width), noise(channels * height * width, 5)]
    const [a, b] = [wasm, js].map((core) => core.filterBank(given).apply(image))
    expect(a).toEqual(b)
    const expected = plain(given, image)
    expect(a.length).toBe(expected.length)
    expect(Math.max(...expected)).toBeGreaterThan(0.1)
    expected.forEach((value, i) => {
      expect(Math.abs(a[i] - value)).toBeLessThan(1e-5)
    })
  })

  it('parts that mirroring keeps and negates: of the features, and of the image in the mirror, on both cores to the bit', () => {
    const [height, width] = [14, 15]
    const filters = Array.from({ length: FILTERS / 2 }, (_, k) => noise(25, k, 0.5))
    const given = { ...options(1, height, width), filters }
    const image = noise(height * width, 5)
    const turned = image.map((_, i) => image[i - (i % width) + width - 1 - (i % width)])
    const [centre, scale] = [noise(PATCH_FEATURES / 32, 7), noise(PATCH_FEATURES / 32, 8).map((v) => 4 * Math.abs(v))]
    const alike = (row: Float32Array) =>
      Float32Array.from({ length: PATCH_FEATURES }, (_, i) => row[i % 32 < 16 ? 0 : 1])
    const banks = [wasm, js].map((core) => {
      const bank = core.filterBank(given)
      bank.standardise(alike(centre), alike(scale))
      return bank
    })
    const [parts, other] = banks.map((bank) => bank.parts(image, PART_STEP))
    expect(parts).toEqual(other)
    const means = banks[0].apply(image)
    const features = means.map((v, i) => (Math.sqrt(v) - alike(centre)[i]) * alike(scale)[i])
    const partner = inTheMirror(features)
    const first = [...features.keys()].filter((i) => i % (16 * FILTERS) < 8 * FILTERS)
    const nearest = (v: number) => Math.max(-127, Math.min(127, Math.round(16 * v * Math.SQRT1_2))) + 0
    expect([...parts]).toEqual([1, -1].flatMap((side) => first.map((i) => nearest(features[i] + side * partner[i]))))
    const half = PATCH_FEATURES / 2
    const back = banks[0].parts(turned, PART_STEP)
    back.forEach((v, i) => {
      expect(Math.abs(v - (i < half ? 1 : -1) * parts[i])).toBeLessThanOrEqual(1) // sums run the other way
    })
    expect(toMirror(parts)).toBeCloseTo(4 * parts.slice(half).reduce((sum, v) => sum + (v * PART_STEP) ** 2, 0), 9)
  })

  it('says the same of an image whatever was filtered before', () => {
    const bank = wasm.filterBank(options(1, 14, 15))
    const [first, second] = [noise(14 * 15, 1), noise(14 * 15, 2)]
    const before = bank.apply(first).slice()
    bank.apply(second)
    expect(bank.apply(first)).toEqual(before)
  })
})

describe('kernel regression', () => {
  const points = Array.from({ length: 3 * BLOCK }, (_, i) => noise(3, i))
  const similarity = (a: Float32Array, b: Float32Array) => Math.exp(-a.reduce((sum, v, i) => sum + (v - b[i]) ** 2, 0))
  const answer = (x: Float32Array, outputs: number) =>
    Float32Array.from({ length: outputs }, (_, c) => Math.sin(x[0] + c) + x[1] * x[2])
  const to = (x: Float32Array, count: number) => Float32Array.from(points.slice(0, count), (y) => similarity(x, y))
  const NOISE = 0.01

  /** Taught `count` points, some of them twice, the later ones over the first. */
  function solved(core: typeof wasm, outputs: number, count: number, over = 0, sweeps = 20): KernelRegression {
    const regression = new KernelRegression(core, outputs, NOISE)
    const place = (i: number, at: number) => {
      regression.place(at, to(points[i], Math.max(regression.size, at)), 1, answer(points[i], outputs))
    }
    for (let i = 0; i < BLOCK; i++) place(i, i)
    finished(regression.begin())
    for (let i = BLOCK; i < count; i++) place(i, i)
    for (let i = 0; i < over; i++) place(i, i)
    for (let sweep = 0; sweep < sweeps; sweep++) {
      regression.settle()
      regression.finish()
    }
    return regression
  }

  it.each([
    [1, BLOCK, 0],
    [2, 300, 0],
    [12, 300, 0],
    [13, 2 * BLOCK, 0],
    [30, 3 * BLOCK, 70],
    [4500, 140, 20],
  ])('%i outputs, %i pairs, %i written over: both cores agree to the bit', (outputs, count, over) => {
    const [a, b] = [wasm, js].map((core) => solved(core, outputs, count, over, 4))
    expect(a.save()).toEqual(b.save())
    const query = noise(3, 1e6)
    const [first, second] = [a, b].map((each) => each.predict(to(query, count), 1))
    expect(first).toEqual(second)
  })

  it('is what solving all at once in f64 gives: answers within .001, the variance within .0001', () => {
    const count = 300
    const regression = solved(wasm, 2, count, 0, 200)
    const all = points.slice(0, count)
    const kept = (value: number) => Math.round(65535 * value) / 65535
    const system = (part: readonly Float32Array[]) =>
      wasm.inverse(
        Float64Array.from(part.flatMap((a, i) => part.map((b, j) => kept(similarity(a, b)) + (i === j ? NOISE : 0)))),
      )
    const weighted = (inverse: Float64Array, k: readonly number[]) =>
      k.map((_, i) => k.reduce((sum, w, j) => sum + w * inverse[i * k.length + j], 0))
    const whole = system(all)
    const blocks = [0, 1, 2].map((b) => all.slice(b * BLOCK, (b + 1) * BLOCK))
    const inverses = blocks.map(system)
    const mean = [0, 1].map((c) => blocks[0].reduce((sum, x) => sum + answer(x, 2)[c] / BLOCK, 0))
    for (let i = 0; i < 20; i++) {
      const query = noise(3, 1e6 + i)
      const k = all.map((x) => similarity(x, query))
      const predicted = regression.predict(Float32Array.from(k), 1)
      const weights = weighted(whole, k)
      for (const c of [0, 1]) {
        const exact = all.reduce((sum, x, j) => sum + weights[j] * (answer(x, 2)[c] - mean[c]), mean[c])
        expect(Math.abs(predicted.answer[c] - exact)).toBeLessThan(1e-3)
      }
      const variances = blocks.map((part, b) => {
        const own = part.map((x) => similarity(x, query))
        const w = weighted(inverses[b], own)
        const ones = w.reduce((sum, v) => sum + v, 0)
        const total = inverses[b].reduce((sum, v) => sum + v, 0)
        return 1 - w.reduce((sum, v, j) => sum + v * own[j], 0) + (1 - ones) ** 2 / total
      })
      expect(Math.abs(predicted.variance - Math.max(1e-4, Math.min(...variances)))).toBeLessThan(1e-4)
    }
  })

  it('forgetting solves each block of 5,000 outputs once: 14 sweeps of 140 pairs took 25 s for 100,000', () => {
    const [count, outputs] = [140, 5000]
    const before = solved(wasm, outputs, 143, 0, 0)
    const relax = vi.spyOn(KernelMatrix.prototype, 'relax')
    const regression = finished(before.only([...Array(count).keys()]))
    const solves = relax.mock.calls.map(([block, , [first]]) => `${block} ${first}`)
    vi.restoreAllMocks()
    expect([solves.length > 2, new Set(solves).size]).toEqual([true, solves.length])
    const kept = points.slice(0, count)
    const system = kept.map((a, i) => kept.map((b, j) => Math.round(65535 * similarity(a, b)) / 65535 + (i === j ? NOISE : 0))) // biome-ignore format: one line
    const inverse = wasm.inverse(Float64Array.from(system.flat()))
    const query = noise(3, 1e6)
    const k = kept.map((x) => similarity(x, query))
    const weights = k.map((_, i) => k.reduce((sum, w, j) => sum + w * inverse[i * count + j], 0))
    const predicted = regression.predict(Float32Array.from(k), 1).answer
    for (let c = 0; c < outputs; c += 499) {
      const values = kept.map((x) => answer(x, outputs)[c])
      const mean = values.reduce((a, b) => a + b) / count
      const exact = values.reduce((sum, value, j) => sum + weights[j] * (value - mean), mean)
      expect(Math.abs(predicted[c] - exact)).toBeLessThan(0.02)
    }
  })

  it('rows of 5,000 outputs are laid out a few in a step: 29 of 100,000 took 21 ms', () => {
    const before = solved(wasm, 5000, 140, 0, 0)
    const set = vi.spyOn(KernelMatrix.prototype, 'set')
    let most = 0
    for (const _ of before.only([...Array(138).keys()])) {
      most = Math.max(most, set.mock.calls.length)
      set.mockClear()
    }
    vi.restoreAllMocks()
    expect(most).toBe(3)
  })

  it('of a last block only the pairs that are there are solved', () => {
    const predict = vi.spyOn(KernelMatrix.prototype, 'predict')
    solved(wasm, 2, BLOCK + 3, 0, 1)
    const [last] = predict.mock.calls.filter(([block]) => block === 1)
    vi.restoreAllMocks()
    expect(last[1]).toEqual([0, 4])
  })

  it('comes back from what it saved to the bit, and keeps what was placed', () => {
    const regression = solved(wasm, 5, 300)
    const state = regression.save()
    expect([state.kernel.length, state.answers.length, state.shares.length]).toEqual([(300 * 301) / 2, 1500, 1500])
    expect(state.kernel[(200 * 201) / 2 + 7]).toBe(Math.round(65535 * Math.fround(similarity(points[200], points[7]))))
    const again = KernelRegression.load(wasm, 5, NOISE, unpack('memory', pack('memory', {}, state)), 300)
    expect(again.save()).toEqual(state)
    again.settle()
    regression.settle()
    const query = to(noise(3, 1e6), 300)
    expect(again.predict(query, 1)).toEqual(regression.predict(query, 1))
  })
})
