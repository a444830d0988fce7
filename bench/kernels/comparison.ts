/** WASM beside JavaScript in the runtime that this module runs in, whichever it is: nothing of Node is used. Checks come before timings. */

import core from '../../build/core-bytes.js'
import { median } from '../../src/base/stats'
import { JsCore } from '../../src/core/js'
import { WasmCore } from '../../src/core/wasm'
import { casesOf, type WayName, type Ways } from './cases'
import { pause, timesOf } from './timing'

/** Microseconds a call. */
export type Times = Partial<Record<WayName, number>> & Record<'WASM' | 'JavaScript' | 'approxifer', number>

export interface Cell {
  readonly name: string
  /** Values that the case works on. */
  readonly size: number
  readonly us: Times
}

export interface Comparison {
  readonly cells: readonly Cell[]
  /** Results of WASM that were compared with JavaScript's, all equal to the bit. */
  readonly equal: number
  /** Milliseconds from the bytes to the first result, in an instance of its own; of JavaScript, its first call in this runtime. */
  readonly coldMs: { readonly WASM: number; readonly JavaScript: number }
}

const bytes = Uint8Array.from(atob(core), (char) => char.charCodeAt(0))

/** What of the results must have the same bits; libraries round in other places. */
const SAME_BITS: readonly string[] = ['WASM', 'approxifer', 'no copies']
/** Error of a library's result, relative to the largest value: that of eight f32 additions. */
const ROUNDING = 1e-6

/** @returns the number of values that were compared to the bit @throws if a way computes something else than JavaScript */
function check(name: string, size: number, ways: Ways): number {
  const expected = ways.JavaScript.rows()
  let equal = 0
  let largest = 0
  for (const values of expected)
    for (let i = 0; i < values.length; i++) largest = Math.max(largest, Math.abs(values[i]))
  for (const [other, way] of Object.entries(ways)) {
    if (other === 'JavaScript') continue
    if (other === 'no copies') way.run()
    const actual = way.rows()
    const most = SAME_BITS.includes(other) ? 0 : ROUNDING * largest
    for (const [at, values] of expected.entries()) {
      for (let i = 0; i < values.length; i++) {
        const isSame = most ? Math.abs(actual[at][i] - values[i]) <= most : Object.is(actual[at][i], values[i])
        if (isSame) continue
        const where = `${name}, ${size} values, row ${at}, value ${i}`
        throw new Error(`${where}: expected ${values[i]} as in JavaScript, got ${actual[at][i]} by ${other}`)
      }
      if (!most) equal += values.length
    }
  }
  return equal
}

/** Copies of the module that no engine has seen: each has another byte in a section of its own, which engines ignore. */
const unseen = (i: number) => Uint8Array.from([...bytes, 0, 3, 1, 65, i])

const COLD = 9

async function cold(): Promise<Comparison['coldMs']> {
  const weights = new Float32Array(8).fill(1 / 8)
  const rows = Array.from({ length: 8 }, (_, j) => Float32Array.from({ length: 1000 }, (_, i) => i * j))
  const start = performance.now()
  new JsCore().combine(weights, rows)
  const JavaScript = performance.now() - start
  const times: number[] = []
  for (let i = 0; i < COLD; i++) {
    const copy = unseen(i)
    const start = performance.now()
    new WasmCore(await WebAssembly.compile(copy)).combine(weights, rows)
    times.push(performance.now() - start)
  }
  return { WASM: median(times) as number, JavaScript }
}

export interface CompareOptions {
  /** The largest size. Default: all. */
  readonly most?: number
  /** Is given the share that is done, and what comes next. */
  onProgress?(share: number, next: string): void
}

/**
 * Runs all cases: a minute or two.
 *
 * @throws if two ways compute different results
 */
export async function compare({
  most = Number.POSITIVE_INFINITY,
  onProgress,
}: CompareOptions = {}): Promise<Comparison> {
  const coldMs = await cold()
  const all = casesOf(await WebAssembly.compile(bytes))
  const cases = all.map((each) => ({ ...each, sizes: each.sizes.filter((size) => size <= most) }))
  const count = cases.reduce((sum, { sizes }) => sum + sizes.length, 0)
  const cells: Cell[] = []
  let equal = 0
  for (const { name, sizes, ways } of cases) {
    for (const size of sizes) {
      onProgress?.(cells.length / count, `${name}, ${size.toLocaleString('en')} values`)
      await pause()
      const all = ways(size)
      equal += check(name, size, all)
      const runs = Object.fromEntries(Object.entries(all).map(([way, { run }]) => [way, run]))
      cells.push({ name, size, us: (await timesOf(runs)) as Times })
    }
  }
  return { cells, equal, coldMs }
}
