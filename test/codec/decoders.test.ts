import { describe, expect, it } from 'vitest'
import { seeded } from '../../src/base/random'
import { Scheme } from '../../src/base/scheme'
import { Codec, type CodecOptions } from '../../src/codec/codec'
import { codes } from '../../src/codec/codes'
import { type Decoder, decoders } from '../../src/codec/decoders'
import { gramOf, kriging } from '../../src/codec/kriging'
import { decoderNames } from '../../src/codec/names'
import { loadCore } from '../../src/core/load'
import vectors from '../vectors/kriging.json'

const core = await loadCore({ prefer: 'wasm' })
const js = await loadCore({ prefer: 'js' })
const row = (...values: number[]) => Float32Array.from(values)

describe('codes', () => {
  it('systematic: queries, then means that cover every query alike, for every K and M', () => {
    for (let K = 1; K <= 20; K++) {
      for (let M = 1; M <= 3 * K; M++) {
        const rows = codes.systematic(new Scheme({ queries: K, workers: K + M }))
        expect(rows.length).toBe(K + M)
        rows.forEach((weights, i) => {
          expect(weights.reduce((sum, w) => sum + w)).toBeCloseTo(1, 12)
          if (i < K) expect([weights.indexOf(1), weights.filter((w) => w).length]).toEqual([i, 1])
        })
        const seen = Array.from({ length: K }, (_, j) => rows.slice(K).filter((weights) => weights[j]).length)
        expect(Math.max(...seen) - Math.min(...seen)).toBeLessThanOrEqual(2)
        const copies = rows.slice(K).filter((weights) => weights.includes(1)).length
        if (M >= K) expect(copies).toBeGreaterThanOrEqual(K * Math.floor(M / K))
        if (M <= K / 2) expect(seen).toEqual(new Array(K).fill(1))
      }
    }
  })

  it('the systematic code inside Berrut: lobatto with N = 2K + 1 has K unit rows, and locators and decoders apply', () => {
    const codec = new Codec(core, { queries: 4, byzantine: 1, workers: 9, points: 'lobatto', locator: 'vote' })
    const group = codec.open()
    for (let j = 0; j < 4; j++) group.join(row(j, j * j, 1))
    const rows = group.close()
    expect(rows.filter(({ query }) => query !== undefined).map(({ query }) => query)).toEqual([0, 1, 2, 3])
    for (const coded of rows) group.add(coded, coded.data)
    expect(group.missing()).toEqual([])
  })
})

/** Weights of every query by a decoder, from the coded queries that are not lost. */
function weightsOf(name: keyof typeof decoders, options: CodecOptions, lost: number[]): Float64Array[] {
  const { code = 'berrut', ...size } = options
  const scheme = new Scheme(size)
  const all = codes[code](scheme)
  const have = [...all.keys()].filter((i) => !lost.includes(i))
  const gram = core.gram(Array.from({ length: scheme.queries }, (_, j) => row(Math.sin(j), Math.cos(2 * j), j)))
  const rows = have.map((i) => all[i])
  const decoder: Decoder = decoders[name]
  return [
    ...decoder.decode({
      core,
      code,
      scheme,
      have,
      rows,
      most: Math.max(...rows.map((weights) => weights.filter((w) => w).length)),
      wanted: [...scheme.alpha.keys()],
      gram: () => gram,
    }).weights,
  ]
}

describe('decoders', () => {
  it.each(decoderNames)('%s: finite weights that sum to 1, for every survivor set of K <= 4, S <= 2', (name) => {
    for (const code of (decoders[name] as Decoder).codes) {
      for (let K = 1; K <= 4; K++) {
        for (const lost of [[], [0], [K], [0, 1], [1, K], [0, K + 1]]) {
          for (const weights of weightsOf(name, { queries: K, stragglers: 2, code }, lost)) {
            expect(weights.every(Number.isFinite)).toBe(true)
            expect(Math.abs(weights.reduce((sum, w) => sum + w) - 1)).toBeLessThan(1e-5)
          }
        }
      }
    }
  })

  it.each(['berrut', 'systematic'] as const)('least squares is exact where the model is affine (%s)', (code) => {
    const codec = new Codec(core, { queries: 4, stragglers: 2, code, decoder: 'least-squares' })
    const queries = [0, 1, 2, 3].map((j) => row(Math.sin(j), Math.cos(j)))
    const model = (x: Float32Array) => row(3 * x[0] - x[1] + 2, x[1])
    const group = codec.open()
    for (const query of queries) group.join(query)
    for (const coded of [...group.ready, ...group.close()]) {
      if (coded.index !== 0 && coded.index !== 3) group.add(coded, model(coded.data))
    }
    for (const { query, answer } of group.recover()) {
      const expected = model(queries[query])
      answer.forEach((value, c) => expect(value).toBeCloseTo(expected[c], 4))
    }
  })

  it.each([
    [
      { queries: 4, code: 'systematic', decoder: 'berrut' },
      /decoder: expected one for code 'systematic', least-squares \| kriging, got 'berrut'/,
    ],
    [
      { queries: 4, code: 'systematic', byzantine: 1, locator: 'vote' },
      /locator: expected residual \| none for code 'systematic'/,
    ],
  ])('refuses what does not go together: %o', (options, message) => {
    expect(() => new Codec(core, options as CodecOptions)).toThrow(message)
  })
})

describe('kriging', () => {
  it.each(vectors)('golden weights K=$queries mix=$mix noise=$noise', (vector) => {
    const coded = vector.have.map((i) => vector.coded[i])
    const points = [...coded, ...vector.x].map((p) => Float64Array.from(p))
    const identity = Float64Array.from({ length: 144 }, (_, at) => Number(at % 13 === 0))
    for (const each of [core, js]) {
      const { weights, variance } = kriging(each, gramOf(points, identity), coded.length, vector)
      weights.forEach((found, j) => {
        found.forEach((w, i) => expect(Math.abs(w - vector.decode[j][i])).toBeLessThan(1e-9))
      })
      expect(variance.every((v) => v >= 0 && v < 2)).toBe(true)
    }
  })

  it('variance: small near a point that was seen, large far from all', () => {
    const gramOfPoints = (points: number[][]) => core.gram(points.map((p) => row(...p)))
    const gram = gramOfPoints([
      [1, 0],
      [0, 1],
      [-1, 0],
      [1, 0.01],
      [9, 9],
    ])
    const { variance } = kriging(core, gram, 3, { mix: 0, scale: 1, noise: 0.01 })
    expect(variance[0]).toBeLessThan(0.05)
    expect(variance[1]).toBeGreaterThan(0.9)
  })

  it('identical and all-zero queries do no harm', () => {
    const codec = new Codec(core, { queries: 4, stragglers: 1, code: 'systematic' })
    for (const value of [0, 3]) {
      const group = codec.open()
      for (let j = 0; j < 4; j++) group.join(row(value, value))
      for (const coded of [...group.ready, ...group.close()]) if (coded.index !== 2) group.add(coded, row(7))
      const [{ query, answer, variance }] = group.recover()
      expect([query, Math.round(answer[0])]).toEqual([2, 7])
      expect(variance).toBeLessThan(0.1)
    }
  })
})

describe('inverse', () => {
  it('WASM and JS agree to the bit, and it is the inverse', () => {
    const random = seeded(3)
    for (const n of [1, 2, 3, 8, 29]) {
      const rows = Array.from({ length: n }, () => Float32Array.from({ length: n + 5 }, () => random.gauss()))
      const matrix = core.gram(rows)
      const inverse = core.inverse(matrix)
      expect(inverse).toEqual(js.inverse(matrix))
      for (let i = 0; i < n; i++) {
        for (let j = 0; j < n; j++) {
          let sum = 0
          for (let k = 0; k < n; k++) sum += matrix[i * n + k] * inverse[k * n + j]
          expect(sum).toBeCloseTo(Number(i === j), 6)
        }
      }
    }
    expect(() => core.inverse(Float64Array.of(1, 2, 2, 1))).toThrow('positive definite')
  })
})

describe('the systematic group', () => {
  const codec = new Codec(core, { queries: 4, stragglers: 1, code: 'systematic' })

  it('queries can be sent while it is open; those answered by closing stay out of the parity', () => {
    const group = codec.open()
    for (let j = 0; j < 4; j++) expect(group.join(row(j))).toBe(j)
    const ready = group.ready
    expect(ready.map(({ query, data }) => [query, data[0]])).toEqual([
      [0, 0],
      [1, 1],
      [2, 2],
      [3, 3],
    ])
    group.add(ready[0], row(10))
    group.add(ready[3], row(13))
    expect(group.exact(3)).toEqual(row(13))
    const [parity, ...more] = group.close()
    expect(more).toEqual([])
    expect([parity.index, ...parity.weights, parity.data[0]]).toEqual([4, 0, 0.5, 0.5, 0, 1.5])
    group.add(ready[1], row(11))
    group.add(parity, row(11.5))
    expect(group.missing()).toEqual([2])
    expect(group.recover()[0].answer[0]).toBeCloseTo(12, 0)
  })

  it('one query left: the parity is that query again, and its answer exact', () => {
    const group = codec.open()
    for (let j = 0; j < 4; j++) group.join(row(j))
    for (const coded of group.ready) if (coded.query !== 1) group.add(coded, row(0))
    const [repeat] = group.close()
    expect(repeat.query).toBe(1)
    group.add(repeat, row(5))
    expect([group.missing(), group.exact(1)]).toEqual([[], row(5)])
  })

  it('parities are made of the queries that it is told, and of none of the others', () => {
    const pair = new Codec(core, { queries: 4, stragglers: 2, code: 'systematic' })
    const close = (mix: number[]) => {
      const group = pair.open()
      for (let j = 0; j < 4; j++) group.join(row(j))
      return { group, rows: group.close(mix) }
    }
    expect(close([3, 1]).rows.map(({ query, data }) => [query, data[0]])).toEqual([
      [3, 3],
      [1, 1],
    ])
    const { group, rows } = close([0, 1, 3])
    expect(rows.map(({ weights }) => [...weights].map((w) => Math.ceil(w)))).toEqual([
      [1, 1, 0, 0],
      [0, 1, 0, 1],
    ])
    expect([0, 1, 2, 3].map((query) => group.mixes(query))).toEqual([true, true, false, true])
    expect(close([]).rows).toEqual([])
    expect(() => close([4])).toThrow('mix[0]: expected an integer from 0 to 3, got 4')
    const open = new Codec(core, { queries: 2, stragglers: 1, code: 'berrut' }).open()
    open.join(row(1))
    expect(() => open.close([0])).toThrow('mix: expected none')
  })

  it('queries that are all alike, or far from zero, are recovered; rounding is no distance', () => {
    for (let K = 2; K <= 12; K++) {
      const alike = new Codec(core, { queries: K, stragglers: 1, code: 'systematic' })
      for (const make of [() => row(0.3, 0.1, 0.7), (j: number) => row(1.7e9 + 128 * j, Math.sin(j), 0.5)]) {
        const group = alike.open()
        for (let j = 0; j < K; j++) group.join(make(j))
        const rows = [...group.ready, ...group.close()]
        for (const coded of rows.slice(1)) group.add(coded, row(1, 2))
        expect(group.recover().map(({ answer }) => [...answer].map((value) => Math.round(value)))).toEqual([[1, 2]])
        group.add(rows[0], row(1, 2))
        expect(() => [...group.rehearse([0], group.survivors)]).not.toThrow()
      }
    }
  })

  it('nothing left: nothing to send', () => {
    const group = codec.open()
    group.join(row(1))
    group.add(group.ready[0], row(2))
    expect(group.close()).toEqual([])
    expect(group.recover()).toEqual([])
  })

  it('with liars expected nothing stays out, and a liar among the queries is found', () => {
    const robust = new Codec(core, { queries: 4, byzantine: 1, code: 'systematic' })
    const group = robust.open()
    for (let j = 0; j < 4; j++) group.join(row(Math.sin(j), Math.cos(j), 0.5))
    const ready = group.ready
    group.add(ready[0], row(90, -90, 90))
    for (const coded of ready.slice(1)) group.add(coded, coded.data)
    const parities = group.close()
    expect(parities.length).toBe(6)
    for (const coded of parities) group.add(coded, coded.data)
    expect(group.locate().map((suspect) => suspect.row.index)).toEqual([0])
    expect(group.exact(0)).toEqual(row(0, 1, 0.5)) // of its copy
    expect(group.survivors).not.toContain(0)
  })
})
