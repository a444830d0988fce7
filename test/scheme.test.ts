import { describe, expect, it } from 'vitest'
import { seeded } from '../src/base/random'
import { type Points, pointSets, Scheme } from '../src/base/scheme'

/** All subsets of 0 .. n-1 with at least `least` members. */
function subsets(n: number, least: number): number[][] {
  return Array.from({ length: 2 ** n }, (_, mask) => [...Array(n).keys()].filter((i) => mask & (1 << i))).filter(
    (set) => set.length >= least,
  )
}

/** Finite, and summing to 1; returns the largest sum of absolute values of a row. */
function checkWeights(rows: readonly Float64Array[], tolerance: number): number {
  let most = 0
  for (const row of rows) {
    if (!row.every(Number.isFinite)) throw new Error(`not finite: ${row}`)
    const sum = row.reduce((total, w) => total + w, 0)
    if (Math.abs(sum - 1) > tolerance) throw new Error(`sums to ${sum}: ${row}`)
    most = Math.max(
      most,
      row.reduce((total, w) => total + Math.abs(w), 0),
    )
  }
  return most
}

describe('every survivor set, K <= 5, S <= 3', () => {
  // The largest weight sum over all sets, from NumPy (berrut in vectors/make.py).
  it.each([
    ['lobatto-open', 16.877054302287238],
    ['lobatto', 10.656854249492378],
  ] as [Points, number][])('%s: finite weights, rows sum to 1, the largest weight sum is %d', (points, golden) => {
    let most = 0
    for (let K = 1; K <= 5; K++) {
      for (let S = 0; S <= 3; S++) {
        const scheme = new Scheme({ queries: K, stragglers: S, points })
        for (const have of subsets(scheme.workers, scheme.quorum)) {
          most = Math.max(most, checkWeights(scheme.decode(have), 1e-12))
        }
      }
    }
    expect(most).toBeCloseTo(golden, 10)
  })
})

describe('nothing divides by zero, K 1..40, S 0..6, E 0..4', () => {
  it.each(pointSets)('%s', (points) => {
    const random = seeded(1)
    for (let K = 1; K <= 40; K++) {
      for (let S = 0; S <= 6; S++) {
        for (let E = 0; E <= 4; E++) {
          const scheme = new Scheme({ queries: K, stragglers: S, byzantine: E, points })
          checkWeights(scheme.encode, 1e-9)
          const gone = random.choose(scheme.workers, S + E)
          checkWeights(scheme.decode([...scheme.beta.keys()].filter((i) => !gone.includes(i))), 1e-9)
          checkWeights(scheme.decode([...scheme.beta.keys()]), 1e-9)
        }
      }
    }
  })
})

describe('counts', () => {
  it.each([
    [{ queries: 8, stragglers: 1 }, 9, 8],
    [{ queries: 8, byzantine: 1 }, 18, 18],
    [{ queries: 8, stragglers: 2, byzantine: 1 }, 20, 18],
    [{ queries: 8, byzantine: 1, workers: 10 }, 10, 10],
    [{ queries: 1 }, 1, 1],
  ])('%o: N = %d, quorum = %d', (options, workers, quorum) => {
    const scheme = new Scheme(options)
    expect([scheme.workers, scheme.quorum]).toEqual([workers, quorum])
  })

  it('a node that two sets share is an exact hit: the row is a query itself', () => {
    const { encode } = new Scheme({ queries: 3, stragglers: 1 })
    expect(encode.some((row) => row.includes(1))).toBe(true)
  })

  it('a short group keeps S, E, points and the workers beyond what is needed', () => {
    const scheme = new Scheme({ queries: 8, stragglers: 1, workers: 11, points: 'lobatto' }).shorter(3)
    expect(scheme).toMatchObject({ queries: 3, stragglers: 1, workers: 6, quorum: 5, points: 'lobatto' })
  })
})

describe('bad options are refused with field, expected, got', () => {
  it.each([
    [{ queries: 0 }, 'queries: expected an integer from 1 to 1000, got 0'],
    [{ queries: 2.5 }, 'queries: expected an integer from 1 to 1000, got 2.5'],
    [{ queries: '8' as unknown as number }, 'queries: expected an integer from 1 to 1000, got "8"'],
    [{ queries: 8, stragglers: -1 }, 'stragglers: expected an integer from 0 to 1000, got -1'],
    [{ queries: 8, byzantine: Number.NaN }, 'byzantine: expected an integer from 0 to 1000, got NaN'],
    [{ queries: 8, stragglers: 1, workers: 8 }, 'workers: expected an integer from 9 to 10000, got 8'],
    [{ queries: 8, points: 'gauss' as Points }, "points: expected 'lobatto-open' | 'lobatto', got \"gauss\""],
  ])('%o', (options, message) => {
    expect(() => new Scheme(options)).toThrow(new RangeError(message))
  })
})
