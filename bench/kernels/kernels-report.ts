/** Writes docs/appendix/wasm.md and docs/appendix/wasm.svg. */

import { writeFileSync } from 'node:fs'
import { cpus } from 'node:os'
import { markdownTable } from '../shared/report'
import { DIGITS, ENCODE, GROUP, PHOTOS, SIZES } from './cases'
import type { Cell } from './comparison'
import { casesIn, cellsOf, gain, LOADED_SIZES, loadedBeside, paysFrom, picture, written } from './findings'
import type { Measured } from './kernels'

const count = (size: number) => size.toLocaleString('en')

/** Of libraries, which take arrays of their own. */
const RIVAL_SIZE = 10_000

export async function writePage(
  all: ReadonlyMap<string, Measured>,
  inferenceMs: Record<string, number>,
): Promise<void> {
  const names = [...all.keys()]
  const comparisons = new Map([...all].map(([name, { comparison }]) => [name, comparison]))
  const each = [...comparisons.values()]
  const [first] = each
  const cellsBy = (name: string) => each.map((comparison) => cellsOf(comparison, name))
  const at = (cells: readonly Cell[], wanted: number) => cells.find(({ size }) => size === wanted) as Cell

  const bySize = [...comparisons].map(([name, comparison]) => [
    name,
    ...cellsOf(comparison, GROUP).map((cell) => written(gain(cell))),
  ])
  const pays = casesIn(first).map((name) => [name, ...cellsBy(name).map((cells) => from(cells))])
  const loaded = [...comparisons].map(([name, comparison]) => [
    name,
    ...loadedBeside(comparison).map((ratio) => ratio.toFixed(2)),
  ])
  const ways = ['no copies', 'JavaScript', 'unrolled', 'ml-matrix', 'mathjs'] as const
  const rivals = ways.map((way) => [
    WAYS[way],
    ...cellsBy(ENCODE).map((cells) => {
      const { us } = at(cells, RIVAL_SIZE)
      return written((us[way] as number) / us.WASM)
    }),
  ])
  const own = comparisons.get('Node 20') ?? first
  const whole = [
    ['LeNet', DIGITS],
    ['ResNet-8', PHOTOS],
  ].map(([model, name]) => {
    const [{ us }] = cellsOf(own, name)
    const inference = 1000 * inferenceMs[model]
    const [js, loaded] = [us.JavaScript / 8, us.approxifer / 8]
    return [
      model,
      ...[inference, js, loaded].map((value) => value.toFixed(1)),
      percent((js - loaded) / (inference + js)),
    ]
  })

  const coldMs = each.map((comparison) => comparison.coldMs.WASM)
  const between = (values: readonly number[]) => [Math.min(...values), Math.max(...values)].map((value) => value.toFixed(1)).join(' to ') // biome-ignore format: one line

  const text = `# WASM beside JavaScript

Is AssemblyScript worth it? From about 100 values a row, yes; for a product of shorter rows JavaScript is faster. So the core takes WebAssembly with SIMD where that pays, and its twin in JavaScript elsewhere. Both compute the same bits.

\`npm run bench -- kernels\` writes this page. One script runs in each runtime, on one core of ${cpus()[0].model}. It checks results before it times them. WASM and twin must be equal to the bit, libraries equal up to rounding, or the run fails. A time is the median of nine rounds, in which the ways alternate. Versions: ${[...all].map(([name, { version }]) => `${name.replace(/ \d+$/, '')} ${version}`).join(', ')}. \`npm run wasm:page\` builds a page that runs it in your own browser.

## A group of eight queries, one lost

The group is encoded, and the lost answer is decoded by kriging, as by default. Columns: values of a query and of an answer. Cells: how many times as long the twin takes as WASM.

${markdownTable(['twin / WASM', ...SIZES.map(count)], bySize)}

![how many times as fast as JavaScript WASM is, by size](wasm.svg)

## From which size WASM pays

From this size on WASM was faster at all measured sizes, up to 1,000,000 (residuals 10,000, vote 1,000). Sizes are values of a row, of an answer (locators) or of all rows (memory).

${markdownTable(
  ['', ...names],
  pays.filter((cells) => !isAlways(cells)),
)}

Always, in all of these runtimes: ${pays
    .filter(isAlways)
    .map(([name]) => name)
    .join('; ')}.

A product copies its rows into WASM memory and its results out, which takes some microseconds. One parity uses each value once, and encoding nine times. A memory's rows stay in WASM memory; only the query is copied.

## What a loaded core does

\`loadCore\` runs calls with few multiplications in JavaScript. Cells: how many times as long the same group takes as with the twin alone, by values.

${markdownTable(['', ...LOADED_SIZES.map(count)], loaded)}

A first parity takes ${between(coldMs)} ms from the bytes of the core, compilation included. In each runtime ${count(Math.min(...each.map(({ equal }) => equal)))} results were compared to the bit.

## Others

Encoding 8 queries of ${count(RIVAL_SIZE)} values into 9: how many times as long others take as WASM with its copies.

${markdownTable(['', ...names], rivals)}

The twin rounds after each step, as SIMD does; unrolled JavaScript rounds when it stores. The libraries compute in f64.

## What a whole prediction gains

Microseconds in Node 20: an inference on one thread, and a query's share of its group, in JavaScript and as loaded.

${markdownTable(['model', 'inference', 'share, JavaScript', 'share, loaded', 'gain'], whole)}

So WASM decides nothing for such models. It does where rows are long and the model is far away: a gateway that codes photos for other machines, or a memory of thousands of rows.
`
  writeFileSync('docs/appendix/wasm.md', text)
  writeFileSync(
    'docs/appendix/wasm.svg',
    picture(comparisons, 4).replace('<svg ', '<svg color="#222" style="background:white" '),
  )
  console.log('docs/appendix/wasm.md')
}

const WAYS = {
  'no copies': 'WASM without copies',
  JavaScript: 'the twin',
  unrolled: 'unrolled JavaScript',
  'ml-matrix': 'ml-matrix',
  mathjs: 'mathjs',
}

const isAlways = ([, ...sizes]: readonly string[]) => sizes.every((size) => size === 'always')

const percent = (share: number) => `${(100 * share).toFixed(1)} %`

function from(cells: readonly Cell[]): string {
  const size = paysFrom(cells)
  return size === undefined ? 'never' : size === cells[0].size ? 'always' : count(size)
}
