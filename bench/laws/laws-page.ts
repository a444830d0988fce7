/** docs/appendix/laws.md: what bench laws measured, as geometric means over cells, and where a hedge by hand is better. */

import { markdownTable } from '../shared/report'
import { type Cell, comparisons, LOADS, nameOf, SETTLED, WORKERS } from './cells'
import { worlds } from './worlds'

type Comparison = keyof typeof comparisons
const names = Object.keys(comparisons) as Comparison[]

const mean = (cells: readonly Cell[], name: Comparison) => {
  const logs = cells.map((cell) => Math.log(comparisons[name](cell)))
  return Math.exp(logs.reduce((sum, log) => sum + log, 0) / logs.length).toFixed(2)
}
/** The same cells beside one percentile in all of them. */
const beside = (cells: readonly Cell[], percentile: 'hedge95' | 'hedge90') =>
  cells.map((cell) => ({ ...cell, hedge: cell[percentile] }))

type Row = readonly [string, readonly Cell[]]

const table = (rows: readonly Row[], shown = names) =>
  markdownTable(
    ['', ...shown.map((name) => HEADS[name])],
    rows.map(([name, cells]) => [name, ...shown.map((each) => mean(cells, each))]),
  )

const HEADS: Record<Comparison, string> = {
  'hedge: p50': 'p50: hedge / queue',
  p50: 'p50: approxifer / queue',
  p99: 'p99: approxifer / hedge',
  'p99.9': 'p99.9: approxifer / hedge',
  'machine time': 'machine time: approxifer / hedge',
}

/** A world's name on the page. */
const inWords = (world: string) =>
  world
    .replace(/^Pareto/, 'Pareto, exponent')
    .replace(/tight (\d+ %)/, '$1 stragglers')
    .replace(/spread (\d+ %)/, 'wide, $1 stragglers')

/** The cell with the greatest ratio, in words. */
function worst(cells: readonly Cell[], name: Comparison, whose: string): string {
  const of = comparisons[name]
  const cell = cells.reduce((most, each) => (of(each) > of(most) ? each : most))
  return `${of(cell).toFixed(2)} times ${whose} (${nameOf({ ...cell, world: inWords(cell.world) })})`
}

const isOf = (words: readonly string[]) => (cell: Cell) => words.some((word) => cell.world.includes(word))
const UNEVEN = ['slower', 'wandering', '10 %']

export function page(all: readonly Cell[], seeds: number): string {
  const cells = all.filter(({ warmUp }) => !warmUp)
  const settled = all.filter(({ warmUp }) => warmUp)
  const [uneven, even] = [cells.filter(isOf(UNEVEN)), cells.filter((cell) => !isOf(UNEVEN)(cell))]
  const at = (...loads: number[]) => cells.filter(({ load }) => loads.includes(load))
  const small = (load: number) =>
    cells.filter((cell) => isOf(['half 3 times slower'])(cell) && cell.workers < 10 && cell.load === load)
  const longer = cells.filter((cell) => comparisons.p99(cell) > 1.1)
  const shorter = cells.filter((cell) => comparisons.p99(cell) < 1 / 1.1)

  const fleets = WORKERS.map((workers) => [
    `${workers} workers`,
    ...LOADS.map((load) => mean(at(load).filter((cell) => cell.workers === workers), 'p99')), // biome-ignore format: one line
  ])
  const laws = Object.keys(worlds).map((world): Row => [inWords(world), cells.filter((cell) => cell.world === world)])
  const hundred = at(0.9).filter(({ workers }) => workers === 100)
  const queries = cells[0].queries.toLocaleString('en')
  const start = SETTLED.warmUp.toLocaleString('en')

  return `# Any law of answer times

Does approxifer help without a memory and settings, whatever the law of answer times? \`npm run bench -- laws\` writes this page. The bench compares \`createPredictor({ workers })\` with a plain queue and with hand-written hedged requests. Time is simulated, so every machine gives the same figures.

Each of ${cells.length} cells is a [world](#by-world) (a law of answer times) with a number of workers and a load. In each cell every system gets the same ${queries} queries; figures are medians of ${seeds} seeds. The first queries count, too, when no system knows a service time. The command prints every cell, with \`--json\` all times.

- **queue**: any idle worker serves the oldest query.
- **hedge**: a plain queue with second requests. If a worker takes longer than a percentile of the last 1,000 times, a second worker gets the query, too. At most one query in five is sent twice, with bursts of ten. Second requests wait behind earlier queries ([why](research.md#second-requests)). The percentile is the 95th or the 90th, whichever turns out to have the shorter p99 in the cell.
- **approxifer**: policy \`retry\`, the default.

All figures are ratios, as geometric means over cells. "p99: approxifer / hedge" is approxifer's p99 divided by the hedge's p99. Below 1 the system that is named first is better.

## What it shows

${table([
  ['**all cells**', cells],
  ['all cells, hedge at the 95th percentile', beside(cells, 'hedge95')],
  ['all cells, hedge at the 90th percentile', beside(cells, 'hedge90')],
  ['load .3 and .6', at(0.3, 0.6)],
  ['load .8', at(0.8)],
  ['load .9', at(0.9)],
  ['worlds with slower machines or 10 % stragglers', uneven],
  ['all other worlds', even],
])}

A fixed percentile fails if some machines are slower, or if the share of stragglers equals the share of calls above the percentile. In such worlds approxifer is clearly better. In all other worlds approxifer's p99 is about the hedge's p99, and its p99.9 is shorter. approxifer's p99 is more than a tenth shorter than the hedge's in ${shorter.length} cells, and more than a tenth longer in ${longer.length} cells.

The hedge and approxifer lengthen the median, because second requests make other queries wait. If only the median matters at a load of .8 or more, do not hedge.

approxifer's p99 divided by the hedge's, by number of workers and load:

${markdownTable(['', ...LOADS.map((load) => `load ${load}`)], fleets)}

## Where the hedge is better

- **The first seconds of a large, busy fleet.** approxifer sends fewer second requests when workers are busy. It measures the load as a mean over the last half second. At the start this mean counts the workers as idle for a tenth of a second. A hundred workers of 10 ms get thousands of queries before the mean is right. Until then approxifer sends too many queries twice, and the resulting queue lasts for seconds. With 100 workers at load .9 approxifer's p50 is ${mean(hundred, 'p50')} times the plain queue's. After the first ${start} queries it is ${mean(settled, 'p50')} times as long as the queue's. The hedge's p50 is ${mean(hundred, 'hedge: p50')} times the plain queue's, and later ${mean(settled, 'hedge: p50')} times.
- **p99 at load .8 and .9.** approxifer sends about as many second requests as a hedge at the 95th percentile, and half as many as a hedge at the 90th. More second requests shorten p99 if one call in twenty is a straggler, and in \`steps\` once times have tripled. In some of these cells they lengthen p50.
- **Five or nine machines of two speeds.** approxifer waits for a fast machine that is soon free; the hedge uses all machines. approxifer's figures divided by the hedge's, if half of the machines are three times slower:

${markdownTable(
  ['', ...LOADS.map((load) => `load ${load}`)],
  (['p99', 'machine time'] as const).map((name) => [name, ...LOADS.map((load) => mean(small(load), name))]),
)}

The worst cell for p99 has ${worst(cells, 'p99', "the hedge's")}. The worst cell for p50 has ${worst(cells, 'p50', "the queue's")}.

## By world

Undisturbed answer times have a median of 10 ms. Load is a share of the capacity of all machines; in \`drift\` and \`steps\`, of their capacity when they are slowest.

- **deviation**: answer times are lognormal; this is the deviation of their logarithm.
- **stragglers**: this share of the calls takes ten times as long. Times of other calls are lognormal with a deviation of .1. The command's name for this is \`tight\`.
- **wide**: times of other calls have a mean of 10 ms and a deviation of 4 ms. The command's name for this is \`spread\`.
- **slower**: this share of the machines is slower by this factor. The deviation is .1 by default.
- **wandering**: two machines at a time are five times slower, for five seconds.
- **drift**: 2 % stragglers, and all times gradually triple and shrink again.
- **steps**: 2 % stragglers, and all times triple in the middle third of the run.
- **bursts**: 2 % stragglers. Queries arrive in turns at 1.6 and .4 times the mean rate, each turn for 200 ms on average.

${table(laws, ['p50', 'p99', 'p99.9'])}
`
}
