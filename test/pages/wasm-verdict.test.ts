/** The sentence in which the comparison of WASM with JavaScript ends. */

import { expect, it } from 'vitest'
import type { Comparison } from '../../bench/kernels/comparison'
import { verdict } from '../../bench/kernels/findings'

it('says from which size on WASM is faster, by case, and what was measured', () => {
  const cells = (name: string, gains: number[]) =>
    gains.map((gain, i) => ({ name, size: 10 ** (i + 1), us: { WASM: 1, JavaScript: gain } }))
  const comparison = {
    cells: [
      ...cells('a', [0.5, 2, 3]),
      ...cells('b', [2, 2, 2]),
      ...cells('c', [2, 3, 0.9]),
      ...cells('d', [0.9, 1.5, 4]),
    ],
  } as unknown as Comparison
  expect(verdict(comparison)).toBe(
    'Here, of sizes up to 1,000 values, WASM is faster than JavaScript at every size for b, at no size for c, from 100 values on for all else.',
  )
})
