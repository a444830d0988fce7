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
  'hedge: p50': 'p50: hedge',
  p50: 'p50: approxifer',
  p99: 'p99',
  'p99.9': 'p99.9',
  'machine time': 'machine time',
}

/** The cell with the greatest ratio, in words. */
function worst(cells: readonly Cell[], name: Comparison): string {
  const of = comparisons[name]
  const cell = cells.reduce((most, each) => (of(each) > of(most) ? each : most))
  return `${of(cell).toFixed(2)} (${nameOf(cell)})`
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
  const laws = Object.keys(worlds).map((world): Row => [world, cells.filter((cell) => cell.world === world)])
  const hundred = at(0.9).filter(({ workers }) => workers === 100)
  const start = SETTLED.warmUp.toLocaleString('en')

  return `# Any law of answer times

Does approxifer help without a memory and settings, whatever the law of answer times? \`npm run bench -- laws\` writes this page. It compares \`createPredictor({ workers })\` with a plain queue and with hand-written hedged requests. Simulated time gives the same figures on every machine.

Each of ${cells.length} cells is a world, a number of workers and a load. Each system gets the same ${cells[0].queries.toLocaleString('en')} queries; figures are medians of ${seeds} seeds. The first query counts, when no system knows a service time. The command prints every cell, with \`--json\` all times.

- **queue**: any idle worker serves the oldest query.
- **hedge**: the same queue. A query that a worker holds for longer than a percentile of the last 1,000 first requests is sent to a second worker. At most one query in five is sent twice, with bursts of ten. Second requests wait behind earlier queries ([why](research.md#second-requests)). The percentile is 95 or 90, whichever has the shorter p99 in the cell, chosen afterwards.
- **approxifer**: policy \`retry\`.

All figures are ratios, and geometric means over cells. p50 is compared with the queue's; p99, p99.9 and machine time with the hedge's. Below 1 approxifer is better.

## What it shows

${table([
  ['**all cells**', cells],
  ['the same, hedge at the 95th percentile', beside(cells, 'hedge95')],
  ['the same, at the 90th', beside(cells, 'hedge90')],
  ['load .3 and .6', at(0.3, 0.6)],
  ['load .8', at(0.8)],
  ['load .9', at(0.9)],
  ['two speeds, wandering, one straggler in ten', uneven],
  ['all other worlds', even],
])}

A fixed percentile fails if machines differ, or if the share of stragglers equals the share above the percentile. There approxifer is clearly better. In the other worlds its p99 is about the hedge's, and its p99.9 is shorter. p99 is more than a tenth shorter in ${shorter.length} cells, and more than a tenth longer in ${longer.length}.

Both lengthen the median, because second requests make other queries wait. If only the median matters at a load of .8 or more, do not hedge.

p99 by fleet and load:

${markdownTable(['', ...LOADS.map((load) => `load ${load}`)], fleets)}

## Where the hedge is better

- **The first seconds of a large, busy fleet.** approxifer sends fewer second requests where workers are busy. It takes the load as a mean of the last half second, which begins as if workers had been idle for a tenth of a second. A hundred workers of 10 ms get thousands of queries before that mean is right. Until then approxifer sends too many queries twice, and the queue lasts for seconds. With 100 workers at load .9 p50 is ${mean(hundred, 'p50')} of the queue's, after ${start} queries ${mean(settled, 'p50')}. The hedge's is ${mean(hundred, 'hedge: p50')} and ${mean(settled, 'hedge: p50')}.
- **p99 at load .8 and .9.** approxifer makes about as many second requests as a hedge at the 95th percentile, half as many as at the 90th. More second requests shorten p99 if one call in twenty is a straggler, and in \`steps\` after the jump, in some cells with a longer p50.
- **Five or nine machines of two speeds.** With half of them three times slower p99 is ${LOADS.map((load) => mean(small(load), 'p99')).join(', ')} of the hedge's at loads ${LOADS.join(', ')}. Machine time is ${LOADS.map((load) => mean(small(load), 'machine time')).join(', ')}. approxifer waits for a fast machine that is soon free; the hedge uses all machines.

The greatest ratio of p99 is ${worst(cells, 'p99')}, of p50 ${worst(cells, 'p50')}.

## By world

All times have a median of 10 ms. Load is the share of all machines' capacity; in \`drift\` and \`steps\` the share at the slowest time.

- **deviation**: lognormal with this deviation of the logarithm. **Pareto**: with this exponent.
- **tight**: deviation .1, and a share of the calls takes ten times as long. **spread**: the same around a mean of 10 ms with a deviation of 4.
- **slower**: a share of the machines is slower by this factor; deviation .1 by default. **wandering**: two machines are five times slower, two others every five seconds.
- **drift**: tight 2 %; times triple and shrink again. **steps**: tight 2 %; times triple in the middle third.
- **bursts**: tight 2 %; queries arrive at 1.6 and .4 times the mean rate by turns, each for 200 ms on average.

${table(laws, ['p50', 'p99', 'p99.9'])}
`
}
