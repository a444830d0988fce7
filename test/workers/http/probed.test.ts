/** What is saved of an answer to the probe query, and whose it is taken for. */

import { expect, it } from 'vitest'
import type { TensorData } from '../../../src/base/element'
import type { Probed } from '../../../src/base/saved'
import { checkHttpOptions } from '../../../src/workers/http/options'
import { probedOf } from '../../../src/workers/http/probed'
import type { ModelIdentity } from '../../../src/workers/remote/model'

/** undefined: it cannot be told. */
function isOf(own: Probed, before: unknown): boolean | undefined {
  const warnings: string[] = []
  try {
    const is = own.isOf(before, (text) => warnings.push(text))
    expect(warnings.length).toBe(is ? 0 : 1)
    return is || undefined
  } catch (error) {
    if ((error as Error).message === "state: model.probed: expected this model's answer to the probe query, got another") return false // biome-ignore format: one line
    throw error
  }
}

function of(data: TensorData, { shape = [data.length], type = 'float32', probe = {} } = {}) {
  const spec = { name: 'y', shape, type } as ModelIdentity['signature']['outputs'][number]
  const signature = { inputs: [{ name: 'x', shape: [2] }], outputs: [spec] } as ModelIdentity['signature']
  const { probe: settings } = checkHttpOptions({ model: 'm', probe })
  const probed = probedOf({ signature, answer: [{ data, shape, type }] } as never, settings)
  if (!probed) throw new Error('nothing can be told')
  return probed
}
const saved = (...given: Parameters<typeof of>) => JSON.parse(JSON.stringify(of(...given).saved))

it.each([
  ['the same', Float32Array.of(1, -2, 3), Float32Array.of(1, -2, 3), 'float32', true],
  ['rounded otherwise', Float32Array.of(1, -2, 3), Float32Array.of(1.0001, -2, 2.9999), 'float32', true],
  ['another', Float32Array.of(1, -2, 3), Float32Array.of(1, -2, 3.1), 'float32', false],
  ['NaN and infinity, the same', Float32Array.of(Number.NaN, Number.NEGATIVE_INFINITY, 3), Float32Array.of(Number.NaN, Number.NEGATIVE_INFINITY, 3), 'float32', true], // biome-ignore format: one line
  ['NaN where there was a number', Float32Array.of(1, 2), Float32Array.of(1, Number.NaN), 'float32', false],
  ['half floats as bits', Uint16Array.of(0x3c00), Uint16Array.of(0x3c00), 'float16', true],
  ['integers', BigInt64Array.of(5n, 7n), BigInt64Array.of(5n, 7n), 'int64', true],
  ['other integers', BigInt64Array.of(5n, 7n), BigInt64Array.of(5n, 8n), 'int64', false],
  ['texts', ['a', 'b'], ['a', 'b'], 'string', true],
  ['other texts', ['a', 'b'], ['ab', ''], 'string', false],
  ['another length', Float32Array.of(1, 2), Float32Array.of(1, 2, 3), 'float32', false],
] as const)('an answer: %s', (_, before, now, type, isSame) => {
  expect(isOf(of(now, { type }), saved(before, { type }))).toBe(isSame)
})

it('a long one in 4,096 values, by which models are told apart', () => {
  const long = Float32Array.from({ length: 100_000 }, (_, i) => Math.sin(i ** 2))
  const before = saved(long)
  expect(JSON.stringify(before).length).toBeLessThan(100_000)
  expect(isOf(of(long.map((value) => value * 1.0001)), before)).toBe(true)
  expect(isOf(of(long.map((value) => value * 1.01)), before)).toBe(false)
})

it('to another query, nothing can be told', () => {
  const other = { probe: { query: Float32Array.of(3, 4) } }
  expect(isOf(of(Float32Array.of(1), other), saved(Float32Array.of(1)))).toBe(undefined)
  expect(isOf(of(Float32Array.of(1)), undefined)).toBe(undefined)
})

it('none is kept of models that need not answer the same twice', () => {
  expect(() => of(Float32Array.of(1), { probe: false as never })).toThrow('nothing can be told')
})

it('what was never saved is refused', () => {
  const own = of(Float32Array.of(1, 2))
  const { query, outputs } = saved(Float32Array.of(1, 2))
  const deep = JSON.parse('['.repeat(5000) + ']'.repeat(5000))
  for (const wrong of [
    null,
    [],
    { query, outputs: {} },
    { query, outputs: [] },
    { query, outputs: [1] },
    { query, outputs: [{ shape: '2', values: 'a' }] },
    { query, outputs: [{ shape: '2', values: [1] }] },
    { query, outputs: [{ shape: '2', values: [1, deep] }] },
    { query, outputs, more: 1 },
  ])
    expect(() => isOf(own, wrong)).toThrow(/^state: model\.probed/)
  for (const wrong of [{ query, outputs: [{ shape: deep, values: [1, 2] }] }, { query, outputs: [{ shape: '2', values: [1, 'a'] }] }]) expect(isOf(own, wrong)).toBe(false) // biome-ignore format: one line
  expect(isOf(own, { query: deep, outputs })).toBe(undefined)
})
