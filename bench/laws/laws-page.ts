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

const table = (rows: readonly Row[]) =>
  markdownTable(
    ['', 'p50: hedge', 'p50: approxifer', 'p99', 'p99.9', 'machine time'],
    rows.map(([name, cells]) => [name, ...names.map((each) => mean(cells, each))]),
  )

/** The cells with the greatest ratios, in a table. */
function worst(cells: readonly Cell[], name: Comparison, count: number): string {
  const of = comparisons[name]
  const sorted = [...cells].sort((a, b) => of(b) - of(a)).slice(0, count)
  const ms = (cell: Cell, system: 'queue' | 'hedge' | 'approxifer') =>
    `${cell[system].p50.toFixed(1)} / ${cell[system].p99.toFixed(1)}`
  return markdownTable(
    [`${name}, ratio`, 'cell', 'queue: p50 / p99, ms', 'hedge', 'approxifer'],
    sorted.map((cell) => [of(cell).toFixed(2), nameOf(cell), ms(cell, 'queue'), ms(cell, 'hedge'), ms(cell, 'approxifer')]), // biome-ignore format: one line
  )
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

  const fleets = WORKERS.flatMap((workers) =>
    LOADS.map((load): Row => [`${workers} workers, load ${load}`, at(load).filter((cell) => cell.workers === workers)]),
  )
  const laws = Object.keys(worlds).map((world): Row => [world, cells.filter((cell) => cell.world === world)])
  const hundred = at(0.9).filter(({ workers }) => workers === 100)
  const start = SETTLED.warmUp.toLocaleString('en')

  return `# Any law of answer times

\`npm run bench -- laws\` writes this page. It compares \`createPredictor({ workers })\`, without a memory or settings, with a plain
queue and with hand-written hedged requests. Time is simulated: the figures are the same on every machine.
\`--json\` prints the times of each cell.

A cell is one world, one number of workers and one load; there are ${cells.length}. Each system gets the same ${cells[0].queries.toLocaleString('en')} queries, by ${seeds} seeds, and a cell has the
medians of the seeds. Measurement starts with the first query, when no system knows a service time. Means are geometric.

- **queue**: any idle worker serves the oldest query.
- **hedge**: the same queue. A query is sent to a second worker when the first one takes longer than a percentile of the last 1,000 first
  requests. The time starts when the query is sent to the worker, not while it waits. At most one query in five is sent twice, with
  bursts of ten, as in the predictor. Second requests wait behind earlier queries
  ([why](research.md#second-requests)). The percentile is 95 or 90, whichever has the shorter p99 in the cell, chosen afterwards.
- **approxifer**: policy \`retry\`, no settings.

The tables have ratios. p50 is compared with the queue's; p99, p99.9 and machine time are compared with the hedge's. Below 1 approxifer is better.

## What it shows

${table([
  ['**all cells**', cells],
  ['the same, the hedge at the 95th percentile everywhere', beside(cells, 'hedge95')],
  ['the same, at the 90th', beside(cells, 'hedge90')],
  ['load .3 and .6', at(0.3, 0.6)],
  ['load .8', at(0.8)],
  ['load .9', at(0.9)],
  ['machines of two speeds, slow ones that wander, one straggler in ten', uneven],
  ['all other worlds', even],
])}

If machines differ, or if the share of stragglers equals the share above the percentile, a fixed percentile fails and approxifer is clearly better.
In the other worlds its p99 is about the hedge's, and its p99.9 is shorter. p99 is more than a tenth shorter in ${shorter.length} cells, and more than a
tenth longer in ${longer.length}.

Both lengthen the median, because second requests make other queries wait. If only the median matters at a load of .8 or more, do not hedge.

## Where the hedge is better

- **The first seconds of a large, busy fleet.** approxifer makes second requests rarer where workers are busy. It takes the load as a mean of the last
  half second, which begins as if the workers had been idle for a tenth. A hundred workers of 10 ms get thousands of queries before that mean is right;
  until then too many queries are sent twice, and the resulting queue lasts for seconds. With 100 workers at load .9 p50 is ${mean(hundred, 'p50')} of the queue's, after ${start} queries ${mean(settled, 'p50')} (the
  hedge ${mean(hundred, 'hedge: p50')} and ${mean(settled, 'hedge: p50')}).
- **p99 at load .8 and .9.** At these loads approxifer makes about as many second requests as a hedge at the 95th percentile; a hedge at the 90th makes twice as
  many. If one call in twenty is a straggler, and in \`steps\` after the jump, these give a shorter p99, in some cells with a longer p50.
- **Five or nine machines of two speeds.** With half of them three times slower p99 is ${mean(small(0.3), 'p99')} of the hedge's at load .3, ${mean(small(0.6), 'p99')} at .6, ${mean(small(0.8), 'p99')} at .8 and ${mean(small(0.9), 'p99')} at .9;
  machine time is ${mean(small(0.3), 'machine time')}, ${mean(small(0.6), 'machine time')}, ${mean(small(0.8), 'machine time')} and ${mean(small(0.9), 'machine time')}. approxifer waits for a fast machine that is soon free; the hedge uses all machines.

${worst(cells, 'p99', 8)}

${worst(cells, 'p50', 6)}

## By fleet

${table([...fleets, [`100 workers, load .9, after ${start} queries`, settled]])}

Load is the share of the capacity of all machines, slow ones at their own speed; in \`drift\` and \`steps\` it is the share at the slowest time.

## By world

All times have a median of 10 ms.

- **deviation**: lognormal times with this deviation of the logarithm. **Pareto**: Pareto times with this exponent.
- **tight**: deviation .1, and a share of the calls takes ten times as long. **spread**: the same around a mean of 10 ms with a deviation of 4,
  the law of a public benchmark of hedging.
- **slower**: a share of the machines is slower by this factor; deviation .1 by default. **wandering**: two machines are five times
  slower; every five seconds it is two other machines.
- **drift**: tight 2 %, and all times grow to three times and shrink again during the run. **steps**: tight 2 %, and all times are three times as
  long in the middle third of the run.
- **bursts**: tight 2 %, and queries arrive at 1.6 and .4 times the mean rate by turns, each for 200 ms on average.

${table(laws)}
`
}
