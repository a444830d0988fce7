/** Writes docs/appendix/wasm.md and docs/appendix/wasm.svg. */

import { writeFileSync } from 'node:fs'
import { cpus } from 'node:os'
import { markdownTable, readableOnDark } from '../shared/report'
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

Is AssemblyScript worth it? From about 100 values per row, yes. For products of shorter rows JavaScript is faster. So the core uses WebAssembly (WASM) with SIMD where that pays, and elsewhere its twin in JavaScript. WASM and the twin give the same bits.

\`npm run bench -- kernels\` writes this page. The same script runs in each runtime, on one core of ${cpus()[0].model}. First the script checks all results: WASM and twin must be equal to the bit, libraries equal up to rounding. A time is the median of nine rounds, in which the implementations take turns. Versions: ${[...all].map(([name, { version }]) => `${name.replace(/ \d+$/, '')} ${version}`).join(', ')}. \`npm run wasm:page\` builds a page that runs the script in your own browser.

## A group of eight queries, one lost

The group is encoded, and the lost answer is decoded by kriging, the default. Columns are numbers of values per query and per answer. Each cell is the twin's time divided by WASM's time.

${markdownTable(["twin's time / WASM's", ...SIZES.map(count)], bySize)}

![the twin's time divided by WASM's, by size](wasm.svg)

## From which size WASM pays

Each cell is the size from which on WASM was faster than the twin, up to the largest measured size. The largest size is 1,000,000 values; for residuals it is 10,000, for the vote 1,000. The size of a product is the number of values per row. To locate a liar, it is the number per answer, and for a memory the number in all rows.

${markdownTable(
  ['', ...names],
  pays.filter((cells) => !isAlways(cells)),
)}

In all of these runtimes WASM is always faster for: ${pays
    .filter(isAlways)
    .map(([name]) => name)
    .join('; ')}.

A product copies its rows into WASM memory and its results out, which takes some microseconds. One parity uses each copied value once, the paper's code nine times. The rows of a memory stay in WASM memory, so only the query is copied.

## What a loaded core does

The core that \`loadCore\` gives runs calls with few multiplications in JavaScript, and others in WASM. Each cell is this core's time for the group above, divided by the time of the twin alone. Columns are numbers of values per query and per answer.

${markdownTable(['', ...LOADED_SIZES.map(count)], loaded)}

The first parity takes ${between(coldMs)} ms from the bytes of the core, compilation included. In each runtime ${count(Math.min(...each.map(({ equal }) => equal)))} results of WASM and the twin were compared to the bit.

## Others

Eight queries of ${count(RIVAL_SIZE)} values are encoded into nine. Each cell is an implementation's time divided by WASM's time, copies included.

${markdownTable(['', ...names], rivals)}

The twin rounds to f32 after each step, as SIMD does. Unrolled JavaScript rounds only when it stores a result. The libraries compute in f64.

## What a whole prediction gains

Times are in microseconds, in Node 20. An inference runs on one thread. "Code" is a query's share of the time to encode and decode its group. "Gain" is the share of the total time that the loaded core saves.

${markdownTable(['model', 'inference', 'code, twin', 'code, loaded core', 'gain'], whole)}

So WASM changes little for such models. WASM matters where rows are long and the model runs elsewhere: a gateway that codes photos for other machines, or a memory of thousands of rows.
`
  writeFileSync('docs/appendix/wasm.md', text)
  writeFileSync(
    'docs/appendix/wasm.svg',
    readableOnDark(
      picture(comparisons, 4).replace(
        /<svg ([^>]*>)/,
        '<svg color="#222" $1<rect width="100%" height="100%" fill="white"/>',
      ),
    ),
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
