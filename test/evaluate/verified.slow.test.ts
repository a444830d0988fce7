/** What `evaluate` says of verified inference on a user's own model. */

import { expect, it } from 'vitest'
import { seeded } from '../../src/base/random'
import { loadCore } from '../../src/core/load'
import type { BatchModel } from '../../src/evaluate/model'
import { evaluateVerified, recommendVerified, type Verified } from '../../src/evaluate/verified'

const random = seeded(1)
const inputs = Array.from({ length: 1200 }, () => Float32Array.of(random.gauss(), random.gauss()))
const model = (of: (x: Float32Array) => readonly number[]): BatchModel => ({
  signature: { inputs: [{ name: 'x', shape: [2] }], outputs: [{ name: 'y', shape: [3] }] },
  async infer(rows, count) {
    return Float32Array.from(Array.from({ length: count }, (_, i) => of(rows.subarray(2 * i, 2 * i + 2))).flat())
  },
})
const smooth = model(([a, b]) => [3 * Math.sin(a), 2 * b, a - b])
/** Nothing that is like a query tells its answer. */
const noisy = model(([a]) => [1, 7, 3].map((i) => Math.sin(1e6 * a * i)))

it('a model that a memory knows is checked cheaply, and almost no lie passes', async () => {
  const verified = await evaluateVerified({ core: await loadCore(), model: smooth, inputs, liars: 2, attack: 'swap' })
  const at = (integrity: number) => verified.levels.find((level) => level.integrity === integrity)
  expect(at(0.9)?.extra).toBeLessThan(1)
  expect(at(0.9)?.passed).toBeLessThan(0.02 * verified.queries)
  expect(at(1)).toMatchObject({ checked: 0, extra: 2, passed: 0, lies: verified.queries })
  expect(recommendVerified(verified, { extra: 1.25 }).integrity).toBeLessThan(1)
})

it('where no memory earns its keep all is proven', async () => {
  const verified = await evaluateVerified({ core: await loadCore(), model: noisy, inputs, liars: 1, attack: 'flip' })
  const { integrity, why } = recommendVerified(verified, { extra: 1.25 })
  expect([integrity, why]).toEqual([1, expect.stringContaining('duplicate and compare')])
})

it('what was measured on too few lies, or lets many pass, is not recommended', () => {
  const level = { integrity: 0.8, checked: 900, extra: 0.1, lies: 1000, passed: 11 }
  const verified: Verified = { liars: 1, attack: 'swap', memory: 100, queries: 1000, levels: [level] }
  expect(recommendVerified(verified, { extra: 1 }).integrity).toBe(1)
  expect(recommendVerified({ ...verified, levels: [{ ...level, passed: 10 }] }, { extra: 1 }).integrity).toBe(0.8)
  expect(recommendVerified({ ...verified, levels: [{ ...level, lies: 99, passed: 0 }] }, { extra: 1 }).integrity).toBe(
    1,
  )
})
