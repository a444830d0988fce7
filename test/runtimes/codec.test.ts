/** The codec on both cores: the golden vectors, and what survivors recover. */

import { Codec, loadCore as loadBuiltCore } from 'approxifer/codec'
import { describe, expect, it } from 'vitest'
import { loadCore } from '../../src/core/load'
import { codecWorks, goldenLocators, goldenScheme } from '../shared/core-suites'

const wasm = await loadCore()
const js = await loadCore({ prefer: 'js' })

it('runs on WASM', () => {
  expect([wasm.kind, js.kind]).toEqual(['wasm', 'js'])
})

goldenScheme()
goldenLocators(wasm)
goldenLocators(js)
codecWorks(wasm)
codecWorks(js)

/** So many outputs that a loaded core decodes them in WASM. */
const [K, S, LENGTH, OUTPUTS] = [4, 1, 33, 1000]
/** A linear model, which a code recovers but for rounding. */
const model = (x: Float32Array) =>
  Float32Array.from({ length: OUTPUTS }, (_, c) => x.reduce((sum, v, i) => sum + v * Math.sin(i + c), 0))
const queries = Array.from({ length: K }, (_, j) =>
  Float32Array.from({ length: LENGTH }, (_, i) => Math.cos(i * j + i)),
)

/** What a group recovers whose row `lost` has no answer. */
async function recoveredWithout(lost: number, prefer: 'wasm' | 'js') {
  const codec = new Codec(await loadBuiltCore({ prefer }), { queries: K, stragglers: S, decoder: 'least-squares' })
  const group = codec.open()
  for (const query of queries) group.join(query)
  for (const row of [...group.ready, ...group.close()]) if (row.index !== lost) group.add(row, model(row.data))
  return group.recover()
}

describe.each(Array.from({ length: K }, (_, lost) => lost))('the package’s build, answer %i of 4 lost', (lost) => {
  it('is recovered, in WASM and in JavaScript to the same bit', async () => {
    const [inWasm, inJs] = [await recoveredWithout(lost, 'wasm'), await recoveredWithout(lost, 'js')]
    expect(inWasm.map(({ query }) => query)).toEqual([lost])
    model(queries[lost]).forEach((value, c) => expect(inWasm[0].answer[c]).toBeCloseTo(value, 3))
    expect([...inJs[0].answer]).toEqual([...inWasm[0].answer])
  })
})
