import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { seeded } from '../../src/base/random'
import { loadCodes } from '../../src/cli/code-files'
import type { CodeModule } from '../../src/codec/code-module'
import { Codec } from '../../src/codec/codec'
import { loadCore } from '../../src/core/load'
import { compareCodes } from '../../src/evaluate/compare-codes'
import { evaluate } from '../../src/evaluate/evaluate'
import type { BatchModel } from '../../src/evaluate/model'
import { checkModule, ModuleCoding, type NamedModule } from '../../src/evaluate/module-coding'

const FOLDER = './examples/codes'
const core = await loadCore()
const files = readdirSync(FOLDER).filter((file) => file.endsWith('.js') && file !== 'algebra.js')
const loaded = (await loadCodes(files.map((file) => `${FOLDER}/${file}`))) as NamedModule[]
const codes = Object.fromEntries(loaded.map((each, i) => [files[i].replace('.js', ''), each]))
const liars = Object.keys(codes).filter((name) => codes[name].code.locate)

const WIDTH = 12
const CLASSES = 4
const randomRows = (count: number, random = seeded(5)) =>
  Array.from({ length: count }, () => Float32Array.from({ length: WIDTH }, () => random.gauss()))

/** Scores of smooth classes, so that a decode is sometimes right and sometimes wrong. */
const directions = randomRows(CLASSES, seeded(3))
const model: BatchModel = {
  signature: { inputs: [{ name: 'x', shape: [WIDTH] }], outputs: [{ name: 'y', shape: [CLASSES] }] },
  async infer(rows, count) {
    return Float32Array.from({ length: count * CLASSES }, (_, at) => {
      const row = rows.subarray(Math.floor(at / CLASSES) * WIDTH, (Math.floor(at / CLASSES) + 1) * WIDTH)
      return Math.tanh(row.reduce((sum, value, i) => sum + value * directions[at % CLASSES][i], 0))
    })
  },
}
const inputs = randomRows(150)
const settings = { model, inputs, groups: 40, memory: 0, policy: 'recover', rivals: false } as const

const module = (over: Partial<Record<keyof CodeModule, unknown>> = {}) =>
  checkModule('./mine.js', {
    workers: (k: number, s: number) => k + s,
    needs: (k: number) => k,
    encode: (queries: Float32Array[], n: number) => Array.from({ length: n }, (_, i) => queries[i % queries.length]),
    decode: (outputs: Float32Array[], _: number[], k: number) => Array.from({ length: k }, () => outputs[0]),
    ...over,
  })
const coding = (mine: NamedModule, queries = 4, stragglers = 1, byzantine = 0) =>
  new ModuleCoding(core, mine, { queries, stragglers, byzantine }, seeded(7))

describe('a code of one’s own', () => {
  it.each([
    [4, 1, 0],
    [5, 1, 0], // with rows that equal queries
    [8, 3, 0],
    [3, 0, 1],
    [4, 1, 2],
  ])('the paper’s scheme as a module has the figures of aaai22: K = %i, S = %i, E = %i', async (K, S, E) => {
    const sizes = { queries: K, stragglers: S, byzantine: E }
    const theirs = await evaluate({ ...settings, codec: new Codec(core, { ...sizes, preset: 'aaai22' }) })
    const mine = await evaluate({ ...settings, codec: coding(codes.berrut, K, S, E) })
    expect(mine.accuracy).toEqual(theirs.accuracy)
    expect(mine.drawn).toEqual(theirs.drawn)
    expect(mine.locator).toEqual(theirs.locator)
    expect(mine.accuracy.all).toBeLessThan(1)
  })

  it('is measured on the groups of all others, also with another number of workers', async () => {
    const twice = module({ workers: (k: number) => 2 * k })
    const [a, b] = [coding(twice), new Codec(core, { queries: 4, stragglers: 1 })]
    const [mine, ours] = [await evaluate({ ...settings, codec: a }), await evaluate({ ...settings, codec: b })]
    const drawn = ({ drawn }: typeof mine) => drawn.all.map(({ query, group }) => [query, group])
    expect(drawn(mine)).toEqual(drawn(ours))
    expect(mine.accuracy.recovered).toBeUndefined() // each query is sent twice, and one row is lost
    expect(mine.accuracy.all).toBe(1)
  })

  it('gets the same figures at every run, also where it draws', async () => {
    const compare = () =>
      compareCodes({
        ...{ core, model, inputs, groups: 20, sets: 3 },
        scheme: { queries: 4, stragglers: 1 },
        codes: [codes['privacy-noise'], codes['random-linear'], 'berrut'],
      })
    const { codes: figures } = await compare()
    expect(await compare()).toEqual({ base: 1, codes: figures })
    expect(figures.map(({ kind }) => kind)).toEqual(['ours', 'paper', 'module', 'module'])
    for (const each of figures.slice(1)) {
      const [low, high] = each.overOurs?.ci95 ?? []
      expect(each.overOurs?.mean).toBeCloseTo(each.accuracy.all - figures[0].accuracy.all)
      expect(low).toBeLessThanOrEqual(high as number)
    }
  })

  it('may write to what it is given', async () => {
    const [query] = inputs
    const before = query.slice()
    const mine = coding(
      module({
        encode: (queries: Float32Array[], n: number) => Array.from({ length: n }, () => queries[0].fill(1)),
        decode: (outputs: Float32Array[], _: number[], k: number) => Array(k).fill(outputs[0].fill(2)),
      }),
    )
    await evaluate({ ...settings, inputs: inputs.slice(0, 4), codec: mine, groups: 2 })
    expect(query).toEqual(before)
  })

  it('without a locator has the liars decoded, and none found', async () => {
    const { codes: figures } = await compareCodes({
      ...{ core, model, inputs, groups: 10, sets: 0 },
      scheme: { queries: 3, byzantine: 1 },
      codes: [module({ workers: () => 8 }), codes.median],
    })
    expect(figures.map(({ locator }) => locator !== undefined)).toEqual([true, true, false, true])
  })

  const nan = new Float32Array(WIDTH).fill(Number.NaN)
  it.each([
    [{ decode: undefined }, './mine.js: decode: expected a function, got undefined'],
    [{ locate: 3 }, './mine.js: locate: expected a function, got 3'],
    [{ workers: () => 4.5 }, './mine.js: workers(4, 1, 1): expected an integer from 1 to 10000, got 4.5'],
    [{ workers: () => 2 }, './mine.js: workers: expected more than S + E = 2, got 2'],
    [{ needs: () => 5 }, './mine.js: needs(4, 1, 1): expected an integer from 1 to 4, got 5'],
    [{ workers: () => { throw new Error('K must be odd') } }, './mine.js: workers threw: K must be odd'], // biome-ignore format: one line
    [{ encode: async () => [] }, './mine.js: encode: expected an array of 5 Float32Arrays, got Promise'],
    [{ encode: () => [] }, './mine.js: encode: expected 5 rows, got 0'],
    [{ encode: () => Array(5).fill([1]) }, './mine.js: encode[0]: expected a Float32Array, got Array'],
    [{ encode: () => Array(5).fill(new Float32Array(3)) }, './mine.js: encode[0]: expected 12 values, got 3'],
    [{ encode: () => Array(5).fill(nan) }, './mine.js: encode[0][0]: expected a finite number, got NaN'],
    [
      { encode: () => Array(5).fill(new Float32Array(WIDTH)), decode: () => [] },
      './mine.js: decode: expected 4 rows, got 0',
    ],
    [{ locate: () => 3 }, './mine.js: locate: expected an array of numbers, got 3'],
    [{ locate: () => [1, 2] }, './mine.js: locate: expected at most 1 numbers, got 2'],
    [{ locate: () => [17] }, /^\.\/mine\.js: locate\[0\]: expected another of the survivors [0-9, ]+, got 17$/],
    [
      { encode: (q: Float32Array[]) => (q as never as { x: { y: 1 } }).x.y },
      /^\.\/mine\.js: encode threw: .*\(codes\.test\.ts:\d+:\d+\)$/,
    ],
  ])('is refused in words: %o', async (over, message) => {
    const run = async () => evaluate({ ...settings, groups: 1, codec: coding(module(over), 4, 1, 1) })
    await expect(run()).rejects.toThrow(message)
  })
})

describe('examples/codes', () => {
  /** The largest error of any answer, over all sets of N - S survivors. @param answer  a model, exact in its queries */
  function largestError(name: string, queries: Float32Array[], answer: (query: Float32Array) => Float32Array): number {
    const { code } = codes[name]
    const k = queries.length
    const n = code.workers(k, 1, 0)
    const outputs = code.encode(queries, n, seeded(1)).map(answer)
    let worst = 0
    for (let lost = 0; lost < n; lost++) {
      const survivors = [...outputs.keys()].filter((i) => i !== lost)
      const came = survivors.map((i) => outputs[i])
      code.decode(came, survivors, k, n).forEach((decoded, j) => {
        const own = answer(queries[j])
        decoded.forEach((value, i) => {
          worst = Math.max(worst, Math.abs(value - own[i]))
        })
      })
    }
    return worst
  }
  const affine = (query: Float32Array) =>
    Float32Array.from(directions, (direction, c) => direction.reduce((sum, value, i) => sum + value * query[i], c))

  it.each([2, 3, 5, 8])('solve for affine models where they promise it, from every survivor set: K = %i', (k) => {
    const queries = inputs.slice(0, k)
    for (const name of ['least-squares', 'random-linear'])
      expect(largestError(name, queries, affine)).toBeLessThan(1e-3)
    if (k > 2) expect(largestError('berrut', queries, affine)).toBeGreaterThan(0.01) // it interpolates
  })

  it.each([2, 3, 5, 8])('reproduce queries on a line if they are of degree 1: K = %i', (k) => {
    const node = (j: number) => Math.cos(((2 * j + 1) * Math.PI) / (2 * k))
    const line = inputs.slice(0, k).map((_, j) => inputs[0].map((value, i) => value + node(j) * inputs[1][i]))
    for (const name of ['spline', 'smoothing-spline', 'floater-hormann'])
      expect(largestError(name, line, affine)).toBeLessThan(1e-4)
  })

  it.each(Object.keys(codes).filter((name) => !['sinc', 'privacy-noise'].includes(name)))(
    '%s has the answer of equal queries',
    (name) => {
      expect(largestError(name, Array(5).fill(inputs[0]), affine)).toBeLessThan(1e-4)
    },
  )

  it('systematic codes send the queries themselves', () => {
    for (const name of ['systematic-berrut', 'random-linear']) {
      const rows = codes[name].code.encode(inputs.slice(0, 5), 6, seeded(1))
      expect(rows.slice(0, 5)).toEqual(inputs.slice(0, 5))
    }
  })

  it.each(liars)('%s finds a coarse lie among honest answers, whoever tells it', (name) => {
    const { code } = codes[name]
    const [k, e] = [4, 1]
    const n = code.workers(k, 0, e)
    const near = inputs.slice(0, k).map((_, j) => inputs[0].map((value, i) => value + 0.01 * j * inputs[1][i]))
    const outputs = code.encode(near, n, seeded(1)).map(affine)
    const lie = seeded(9)
    const found = outputs.map((_, liar) => {
      const told = outputs.map((output, i) => (i === liar ? output.map((value) => value + 100 * lie.gauss()) : output))
      return code.locate?.(told, [...told.keys()], e, k, n)?.[0] === liar
    })
    // With Q(0) = 1 a lie at the node 0 cannot be found.
    expect(found.filter(Boolean).length).toBeGreaterThanOrEqual(n - 1)
  })

  it('stand in the README of the folder, each with its figures; the shortest in docs/how-to/own-code.md', () => {
    const readme = readFileSync(`${FOLDER}/README.md`, 'utf8')
    for (const file of files) expect(readme).toMatch(new RegExp(`\\| \\[${file}\\]\\(${file}\\) \\| \\d+ \\| \\d`))
    expect(readFileSync('docs/how-to/own-code.md', 'utf8')).toContain(
      readFileSync(`${FOLDER}/random-linear.js`, 'utf8'),
    )
  })
})
