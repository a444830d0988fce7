/** Suites that hold for both cores, on every runtime; node and browser tests run the same ones. */

import { describe, expect, it } from 'vitest'
import { type Points, Scheme } from '../../src/base/scheme'
import { Codec } from '../../src/codec/codec'
import { chebyshev, locators } from '../../src/codec/locators'
import type { Core } from '../../src/core/core'
import decode from '../vectors/decode.json'
import locate from '../vectors/locate.json'
import schemes from '../vectors/scheme.json'

const close = (actual: Iterable<number>, expected: number[]) => {
  const values = [...actual]
  expect(values.length).toBe(expected.length)
  values.forEach((value, i) => {
    expect(Math.abs(value - expected[i])).toBeLessThan(1e-12)
  })
}

export function goldenScheme(): void {
  it.each(schemes)('scheme $points K=$queries S=$stragglers E=$byzantine', (vector) => {
    const { queries, stragglers, byzantine } = vector
    const scheme = new Scheme({ queries, stragglers, byzantine, points: vector.points as Points })
    expect(scheme.workers).toBe(vector.workers)
    close(scheme.alpha, vector.alpha)
    close(scheme.beta, vector.beta)
    scheme.encode.forEach((row, i) => {
      close(row, vector.encode[i])
    })
  })

  it.each(decode)('decode weights $points K=$queries of $have', (vector) => {
    const { queries, workers, have } = vector
    const scheme = new Scheme({ queries, workers, points: vector.points as Points })
    scheme.decode(have).forEach((row, i) => {
      close(row, vector.decode[i])
    })
  })
}

/** Votes and the leave-one-out order, from f64 answers as NumPy had them and from their f32 roundings. */
export function goldenLocators(core: Core): void {
  it.each(locate)(`locate (${core.kind}) $attack $sigma K=$queries E=$byzantine`, (vector) => {
    const { queries, byzantine, workers } = vector
    const scheme = new Scheme({ queries, byzantine })
    expect(scheme.workers).toBe(workers)
    const basis = chebyshev(scheme.beta, queries + byzantine)
    const exact = vector.answers.map((row) => Float64Array.from(row))
    const rounded = vector.answers.map((row) => Float32Array.from(row))
    const kernel = Float64Array.from(vector.kernel.flat())
    for (const answers of [exact, rounded]) {
      expect([...core.vote(answers, basis, byzantine, false)]).toEqual(vector.votes)
      expect([...core.vote(answers, basis, byzantine, true)]).toEqual(vector.votes_unit)
      expect([...core.residual(answers, kernel, vector.noise, byzantine).order]).toEqual(vector.loo)
    }
  })
}

/** The codec alone, K = 8: linear answers, a straggler, a liar. */
export function codecWorks(core: Core): void {
  describe(`codec (${core.kind})`, () => {
    const queries = Array.from({ length: 8 }, (_, j) =>
      Float32Array.from({ length: 50 }, (_, i) => Math.sin(i * 0.3 + j * 0.7)),
    )
    const model = (x: Float32Array) =>
      Float32Array.from({ length: 10 }, (_, c) => x.reduce((sum, v, i) => sum + v * Math.cos(i * (c + 1)), 0) / 5)

    it('finds the liar and recovers within the interpolation error', () => {
      const codec = new Codec(core, { queries: 8, stragglers: 1, byzantine: 1 })
      const group = codec.open()
      for (const query of queries) group.join(query)
      const rows = group.close()
      expect(rows.length).toBe(19)
      for (const row of rows) {
        if (row.index === 3) continue
        const answer = model(row.data)
        group.add(row, row.index === 11 ? answer.map((v) => v + 30) : answer)
      }
      expect(group.locate().map(({ row }) => row.index)).toEqual([11])
      const recovered = group.recover()
      expect(recovered.map(({ query }) => query)).toEqual(group.missing())
      for (const { query, answer } of recovered) {
        const honest = model(queries[query])
        answer.forEach((value, c) => {
          expect(Math.abs(value - honest[c])).toBeLessThan(0.6)
        })
      }
    })

    it('offers every locator', () => {
      expect(Object.keys(locators)).toEqual(['residual', 'vote', 'vote-unit', 'none'])
    })
  })
}
