/** An accelerator that computes wrong is refused with its worst difference; what merely rounds is not. */

import { describe, expect, it } from 'vitest'
import type { TensorList } from '../../../src/base/tensor'
import { compareWithCpu } from '../../../src/workers/onnx/reference'
import { listOf } from '../../shared/vectors'

const signature = { inputs: [{ name: 'x', shape: [4] }], outputs: [{ name: 'y', shape: [4] }] }
const truth = async ([{ data }]: TensorList) =>
  listOf(Float32Array.from(data as Float32Array, (x, i) => 3 * x * (i - 1)))
const queries = [
  [0, 0, 0, 0],
  [0.1, 0.9, 0.5, 0.7],
].map((values) => listOf(Float32Array.from(values)))

/** @param change  of each value that an accelerator answers */
async function compared(change: (value: number, i: number) => number, rounding = 1e-4): Promise<string> {
  const tried = queries.map(async (query) => {
    const [{ data }] = await truth(query)
    return { query, answer: listOf(Float32Array.from(data as Float32Array, change)) }
  })
  const ended = compareWithCpu({ providers: ['webgpu'], signature, rounding }, await Promise.all(tried), truth)
  return ended.then(
    () => 'taken',
    (error) => `${error.code}: ${error.message}`,
  )
}

describe('what an accelerator answers beside what the CPU does', () => {
  it.each([
    ['the same', (v: number) => v],
    ['rounded to halves', (v: number) => v * (1 + 2 ** -11)],
    ['zeros that are nearly none', (v: number) => v + 1e-5],
  ])('%s: it is taken', async (_, change) => {
    expect(await compared(change)).toBe('taken')
  })

  it.each([
    [
      'one value that is wrong',
      (v: number, i: number) => (i === 3 ? v + 1 : v),
      /^MODEL: wrong answers with providers webgpu: values are 45 % of their size off/,
    ],
    [
      'all zeros',
      () => 0,
      /values are \d+ % of their size off those of the CPU, expected 0\.3 % at most: above 30 times verify\.rounding they count as lies; where that is honest hardware, raise it$/,
    ],
    [
      'half a percent, which a predictor would take for a lie',
      (v: number) => v * 1.005,
      /values are 0\.\d+ % of their size off/,
    ],
    ['NaN', () => Number.NaN, /values are beyond measure off/],
  ])('%s: it is refused', async (_, change, text) => {
    expect(await compared(change)).toMatch(text)
  })

  it('half a percent is taken where verify.rounding forgives it', async () => {
    expect(await compared((v) => v * 1.005, 1e-3)).toBe('taken')
  })
})
