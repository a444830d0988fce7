/** The WASM kernels beside plain JavaScript. Results are checked before anything is timed. */

import { readFileSync } from 'node:fs'
import { seeded } from '../../src/base/random'
import { table } from '../../src/cli/table'
import { Codec } from '../../src/codec/codec'
import { locators } from '../../src/codec/locators'
import type { LocatorName } from '../../src/codec/names'
import type { Core } from '../../src/core/core'
import { loadCore } from '../../src/core/load'
import { measure, type Timing } from '../shared/measure'
import { ordered, plain, unrolled } from './plain'

type Measured = Record<string, Timing>

interface Case {
  name: string
  times: Measured
  /** How many times as long others take as this one. */
  against: string[]
}

const random = seeded(1)
const row = (length: number, scale = 1) => Float32Array.from({ length }, () => scale * random.gauss())
const rows = (n: number, length: number) => Array.from({ length: n }, () => row(length))

export default async function kernels(json: boolean): Promise<void> {
  const wasm = await loadCore({ prefer: 'wasm' })
  const js = await loadCore({ prefer: 'js' })
  const cases: Case[] = []
  for (const [n, k, d] of [
    [9, 8, 784],
    [9, 8, 3072],
    [9, 8, 150528],
    [18, 8, 3072],
  ]) {
    cases.push(combine(n, k, d, wasm))
  }
  for (const [n, d] of [
    [9, 784],
    [9, 3072],
  ]) {
    cases.push(gram(n, d, wasm, js))
  }
  for (const [queries, byzantine] of [
    [8, 1],
    [12, 3],
  ]) {
    for (const c of [10, 1000]) cases.push(locate(queries, byzantine, c, wasm, js))
  }
  if (json)
    console.log(
      JSON.stringify(
        cases.map(({ name, times }) => ({ name, times })),
        null,
        2,
      ),
    )
  else print(cases)
}

function combine(n: number, k: number, d: number, wasm: Core): Case {
  const weights = row(n * k)
  const x = rows(k, d)
  const out = rows(n, d)
  const expected = wasm.combine(weights, x)
  for (const way of [plain, ordered, unrolled]) {
    way(out, weights, x)
    same(out, expected)
  }
  const kernel = bare(weights, x, n)
  same(kernel.run(), expected)
  const times = measure({
    kernel: kernel.call,
    'with copies': () => wasm.combine(weights, x, out),
    plain: () => plain(out, weights, x),
    ordered: () => ordered(out, weights, x),
    unrolled: () => unrolled(out, weights, x),
  })
  return { name: `combine ${n}x${k}x${d}`, times, against: ['kernel', 'with copies'] }
}

/** The kernel alone: everything lies in WASM memory before and after. */
function bare(weights: Float32Array, x: Float32Array[], n: number) {
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(readFileSync('build/core.wasm')))
  const memory = exports.memory as WebAssembly.Memory
  const run = exports.combine as (...pointers: number[]) => void
  const d = x[0].length
  const stride = Math.ceil(d / 12) * 12 + 12
  const w = Math.ceil((exports.heapBase as WebAssembly.Global).value / 16) * 16
  const rowsAt = w + Math.ceil(weights.byteLength / 16) * 16
  const outAt = rowsAt + x.length * stride * 4
  const missing = outAt + n * stride * 4 - memory.buffer.byteLength
  if (missing > 0) memory.grow(Math.ceil(missing / 65536))
  const floats = new Float32Array(memory.buffer)
  floats.set(weights, w / 4)
  x.forEach((values, j) => {
    floats.set(values, rowsAt / 4 + j * stride)
  })
  const call = () => run(outAt, w, rowsAt, n, x.length, stride)
  return {
    call,
    run: () => {
      call()
      return Array.from({ length: n }, (_, i) => floats.slice(outAt / 4 + i * stride, outAt / 4 + i * stride + d))
    },
  }
}

function gram(n: number, d: number, wasm: Core, js: Core): Case {
  const x = rows(n, d)
  same([wasm.gram(x)], [js.gram(x)])
  const times = measure({ wasm: () => wasm.gram(x), js: () => js.gram(x) })
  return { name: `gram ${n}x${d}`, times, against: ['wasm'] }
}

function locate(queries: number, byzantine: number, c: number, wasm: Core, js: Core): Case {
  const { scheme } = new Codec(wasm, { queries, byzantine })
  const have = [...scheme.beta.keys()]
  const coded = wasm.combine(Float32Array.from(scheme.encode.flatMap((weights) => [...weights])), rows(queries, 784))
  const results = transpose(wasm.combine(row(c * 784, 0.1), transpose(coded))) // a linear model of C outputs
  for (const lie of random.choose(have.length, byzantine)) results[lie] = row(c, 100)
  const gram = wasm.gram(coded)
  const by = (core: Core, name: LocatorName) => () =>
    locators[name]({ core, scheme, have, answers: results, gram: () => gram }, byzantine)
  const names: LocatorName[] = ['residual', 'vote', 'vote-unit']
  for (const name of names) {
    const [a, b] = [by(wasm, name)(), by(js, name)()]
    if (JSON.stringify(a) !== JSON.stringify(b)) throw new Error(`${name}: WASM and JS disagree`)
  }
  const ways = names.flatMap((name) => [wasm, js].map((core) => [`${name} ${core.kind}`, by(core, name)] as const))
  const times = measure(Object.fromEntries(ways), { rounds: 11 })
  return { name: `locate N=${have.length} C=${c}`, times, against: ['residual wasm', 'vote wasm'] }
}

function transpose(matrix: Float32Array[]): Float32Array[] {
  return Array.from(matrix[0], (_, i) => Float32Array.from(matrix, (values) => values[i]))
}

function same(actual: ArrayLike<number>[], expected: ArrayLike<number>[]): void {
  const largest = (values: ArrayLike<number>) => Array.from(values).reduce((most, v) => Math.max(most, Math.abs(v)), 0)
  const scale = Math.max(...expected.map(largest))
  expected.forEach((values, i) => {
    for (let at = 0; at < values.length; at++) {
      if (Math.abs(actual[i][at] - values[at]) > 1e-5 * scale) throw new Error(`results differ at ${i}, ${at}`)
    }
  })
}

function print(cases: Case[]): void {
  for (const { name, times, against } of cases) {
    const out = table([name, 'median', 'min', 'spread', ...against.map((base) => `x ${base}`)])
    for (const [way, { median, min, spread }] of Object.entries(times)) {
      const ratios = against.map((base) => (median / times[base].median).toPrecision(2))
      out.push([way, us(median), us(min), `${(100 * spread).toFixed(0)} %`, ...ratios])
    }
    console.log(`\n${out}`)
  }
}

const us = (ms: number) => `${(1000 * ms).toFixed(1)} us`
