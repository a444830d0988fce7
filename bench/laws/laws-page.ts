/** docs/laws.md: what bench laws measured, as geometric means over cells, and where a hedge by hand is better. */

import { markdownTable } from '../../src/cli/report'
import { type Cell, comparisons, LOADS, nameOf, WORKERS } from './cells'
import { worlds } from './worlds'

type Comparison = keyof typeof comparisons
const names = Object.keys(comparisons) as Comparison[]

const geometricMean = (values: number[]) =>
  Math.exp(values.reduce((sum, value) => sum + Math.log(value), 0) / values.length)
const meanOf = (cells: readonly Cell[], name: Comparison) => geometricMean(cells.map(comparisons[name]))

const HEAD = ['p50: hedge', 'p50: approxifer', 'p99', 'p99.9', 'machine time']

function row(name: string, cells: readonly Cell[]): string[] {
  return [name, ...names.map((comparison) => meanOf(cells, comparison).toFixed(2))]
}

function table(first: string, rows: readonly (readonly [string, Cell[]])[], all: readonly Cell[]): string {
  return markdownTable([first, ...HEAD], [...rows.map(([name, cells]) => row(name, cells)), row('**all**', all)])
}

/** The cells with the greatest ratios. */
function worst(cells: readonly Cell[], name: Comparison, count: number): string {
  const of = comparisons[name]
  const sorted = [...cells].sort((a, b) => of(b) - of(a)).slice(0, count)
  return sorted.map((cell) => `${of(cell).toFixed(2)} (${nameOf(cell)})`).join('; ')
}

const shareAbove = (cells: readonly Cell[], name: Comparison, bound: number) =>
  `${cells.filter((cell) => comparisons[name](cell) > bound).length} of ${cells.length}`

export function page(cells: readonly Cell[], seeds: number, queries: number): string {
  const fleets = WORKERS.flatMap((workers) =>
    LOADS.map((load) => {
      const own = cells.filter((cell) => cell.workers === workers && cell.load === load)
      return [`${workers} workers, load ${load}`, own] as const
    }),
  )
  const laws = Object.keys(worlds).map((world) => [world, cells.filter((cell) => cell.world === world)] as const)
  return `# Any law of answer times

\`npm run bench -- laws\` writes this page. It measures what \`createPredictor({ workers })\` gives without a memory and without a setting,
beside a plain queue and beside hedged requests as a good engineer writes them by hand. Time is simulated, so that the figures are the same on
every machine. \`--json\` prints the times of each cell.

A cell is one world, one number of workers and one load: ${cells.length} cells. Each system gets the same ${queries.toLocaleString('en')} queries in each of
${seeds} seeds; a cell has the medians of the seeds. Everything counts from the first query on, when no system knows a time yet.

- **queue**: first come, first served, by any idle worker.
- **hedge**: the same queue. A query whose worker takes longer than a percentile of the last 1,000 first requests is sent a second time. The time
  counts from when the query was sent to the worker, not while it waited. At most one query in five is sent twice, in bursts of ten more: the
  predictor's own budget. The percentile is 95 or 90, whichever has the shorter p99 in the cell.
- **approxifer**: \`createPredictor({ workers })\`, policy \`retry\`.

Tables show ratios, as geometric means over cells. p50 is compared with the queue's; p99, p99.9 and machine time are compared with the hedge's.
Below 1 approxifer does better.

## By fleet

${table('workers, load', fleets, cells)}

## By world

${table('world', laws, cells)}

The worst cells of p50: ${worst(cells, 'p50', 5)}.
The worst cells of p99: ${worst(cells, 'p99', 10)}.
p99 is more than a tenth longer than the hedge's in ${shareAbove(cells, 'p99', 1.1)} cells.
`
}
