/** What is compared: each case computes the same thing in several ways, at several sizes. */

import { Matrix } from 'ml-matrix'
import { seeded } from '../../src/base/random'
import { Scheme } from '../../src/base/scheme'
import { Codec } from '../../src/codec/codec'
import { flat } from '../../src/codec/decode'
import { chebyshev } from '../../src/codec/locators'
import type { Core } from '../../src/core/core'
import { JsCore } from '../../src/core/js'
import { SizedCore } from '../../src/core/sized'
import { WasmCore } from '../../src/core/wasm'
import { multiply } from './mathjs'
import { unrolled } from './plain'
import { Resident } from './resident'

/** `WASM` and `JavaScript` are the two cores, each at every size; `approxifer` is what a loaded core does. */
export type WayName = 'WASM' | 'JavaScript' | 'approxifer' | 'no copies' | 'unrolled' | 'ml-matrix' | 'mathjs'

type Rows = readonly ArrayLike<number>[]

export interface Way {
  run(): unknown
  /** What it computes. */
  rows(): Rows
}

export type Ways = Partial<Record<WayName, Way>> & Record<'WASM' | 'JavaScript' | 'approxifer', Way>

export interface Case {
  readonly name: string
  /** Values of what it works on. */
  readonly sizes: readonly number[]
  ways(size: number): Ways
}

export const SIZES = [10, 100, 1000, 10_000, 100_000, 1_000_000] as const
const upTo = (most: number) => SIZES.filter((size) => size <= most)

/** Of a group: queries, and the one that is lost. */
const [K, LOST] = [8, 3]
/** Above, a call of a library takes seconds, or its arrays all memory of a phone. */
const [MOST_MATHJS, MOST_ML_MATRIX] = [10_000, 100_000]

function way<Result>(run: () => Result, read: (result: Result) => Rows): Way {
  return { run, rows: () => read(run()) }
}
const asRows = (rows: Rows) => rows

const random = seeded(1)
const row = (length: number) => Float32Array.from({ length }, () => random.gauss())
const matrix = (n: number, length: number) => Array.from({ length: n }, () => row(length))

/** All cases, on a module of the core. */
export function casesOf(module: WebAssembly.Module): Case[] {
  const wasm = new WasmCore(module)
  const js = new JsCore()
  const cores = { WASM: wasm, JavaScript: js, approxifer: new SizedCore(module) }
  /** One way for each core. */
  const inCores = (make: (core: Core) => Way): Ways => ({
    WASM: make(cores.WASM),
    JavaScript: make(cores.JavaScript),
    approxifer: make(cores.approxifer),
  })

  function product(weights: readonly Float64Array[], length: number): Ways {
    const w = flat(weights)
    const x = matrix(K, length)
    const ways: Ways = inCores((core) => way(() => core.combine(w, x), asRows))
    const resident = new Resident(module, w, x)
    ways['no copies'] = way(
      () => resident.run(),
      () => resident.rows(),
    )
    ways.unrolled = way(() => unrolled(w, x), asRows)
    const doubles = (rows: Rows) => rows.map((values) => Array.from(values))
    if (length <= MOST_ML_MATRIX) {
      const [a, b] = [new Matrix(doubles(weights)), new Matrix(doubles(x))]
      ways['ml-matrix'] = way(
        () => a.mmul(b),
        (result) => result.to2DArray(),
      )
    }
    if (length <= MOST_MATHJS) {
      const [a, b] = [doubles(weights), doubles(x)]
      ways.mathjs = way(() => multiply(a, b), asRows)
    }
    return ways
  }

  /** Queries are encoded, all rows but one are answered, the lost answer is recovered. */
  function group(inputs: number, outputs: number): Ways {
    const queries = matrix(K, inputs)
    const answers = matrix(K + 1, outputs)
    return inCores((core) => {
      const codec = new Codec(core, { queries: K, stragglers: 1 })
      const run = () => {
        const group = codec.open()
        for (const query of queries) group.join(query)
        for (const row of [...group.ready, ...group.close()]) if (row.index !== LOST) group.add(row, answers[row.index])
        return group.recover()[0].answer
      }
      return way(run, (answer) => [answer])
    })
  }

  const liars = new Scheme({ queries: K, byzantine: 1 })

  function residual(outputs: number): Ways {
    const answers = matrix(liars.workers, outputs)
    const kernel = js.gram(matrix(liars.workers, 40))
    return inCores((core) =>
      way(
        () => core.residual(answers, kernel, 0.01, 1),
        ({ order, scores }) => [order, scores],
      ),
    )
  }

  function vote(outputs: number): Ways {
    const answers = matrix(liars.workers, outputs)
    const basis = chebyshev(liars.beta, K + 1)
    return inCores((core) =>
      way(
        () => core.vote(answers, basis, 1, false),
        (votes) => [votes],
      ),
    )
  }

  /** From a query to all rows of a memory's table. */
  function distances(size: number): Ways {
    const width = Math.min(size, 1000)
    const all = matrix(size / width, width)
    const query = row(width)
    return inCores((core) => {
      const table = core.table(width, all.length)
      for (const [i, each] of all.entries()) table.set(i, each)
      return way(
        () => table.distances(query, all.length),
        (found) => [found],
      )
    })
  }

  /** A memory's prediction: the weighted sum of the shares of up to 1,000 pairs. */
  function regression(size: number): Ways {
    const outputs = Math.max(10, size / 1000)
    const shares = matrix(size / outputs, outputs)
    const weights = row(shares.length)
    return inCores((core) => {
      const kernel = core.kernelMatrix(outputs)
      for (const [i, each] of shares.entries()) {
        kernel.set(i, new Uint16Array(i + 1).fill(1))
        kernel.shares(i).set(each)
      }
      return way(
        () => kernel.combine(weights, [0, outputs]),
        (sums) => [sums],
      )
    })
  }

  const paper = new Scheme({ queries: K, stragglers: 1 })
  const survivors = Array.from({ length: K + 1 }, (_, i) => i).filter((i) => i !== LOST)
  return [
    { name: PARITY, sizes: SIZES, ways: (size) => product([new Float64Array(K).fill(1 / K)], size) },
    { name: GROUP, sizes: SIZES, ways: (size) => group(size, size) },
    { name: ENCODE, sizes: SIZES, ways: (size) => product(paper.encode, size) },
    { name: 'decode, paper’s code, 8 x 8', sizes: SIZES, ways: (size) => product(paper.decode(survivors), size) },
    { name: 'locate a liar, residuals', sizes: upTo(10_000), ways: residual },
    { name: 'locate a liar, paper’s vote', sizes: upTo(1000), ways: vote },
    { name: 'distances in a memory', sizes: SIZES, ways: distances },
    { name: 'regression in a memory', sizes: SIZES, ways: regression },
    { name: DIGITS, sizes: [784], ways: (size) => group(size, 10) },
    { name: PHOTOS, sizes: [3072], ways: (size) => group(size, 10) },
  ]
}

export const PARITY = 'one parity, 1 x 8'
export const GROUP = 'a group of 8, one lost'
export const ENCODE = 'encode, paper’s code, 9 x 8'
export const DIGITS = 'a group of 8 digits'
export const PHOTOS = 'a group of 8 photos'
