/** The section Overload of docs/appendix/performance.md, and its plot. */

import { readFileSync, writeFileSync } from 'node:fs'
import type { TopLevelSpec } from 'vega-lite'
import { svg, withSection } from '../shared/report'

/** Lowest and highest over models of 1 ms to 1 s. */
type Range = readonly [least: number, most: number]

export interface Figures {
  /** Goodput over the clairvoyant scheduler's. Deadlines are in services. */
  goodput: readonly { deviation: number; deadline: number; stops: boolean; load: number; ratio: Range }[]
  /** Goodput over the most that is possible with the law of service times alone, in all cells. */
  byLaw: Range
  /** Machine time on failed queries at the worst load, as shares: deviation 1, workers that cannot be stopped. */
  failed: readonly { deadline: number; wasted: number; unavoidable: number }[]
  /** Shares answered in time at .2 of the capacity: alone, and beside a flood of another tenant or of a lower priority. */
  floods: readonly { deviation: number; deadline: number; alone: number; tenant: number; priority: number }[]
}

const PAGE = 'docs/appendix/performance.md'
const PLOT = 'docs/appendix/overload.svg'

export async function report(figures: Figures): Promise<void> {
  writeFileSync(PLOT, await svg(plot(figures)))
  writeFileSync(PAGE, withSection(readFileSync(PAGE, 'utf8'), section(figures)))
  console.log(PAGE)
}

const percent = (share: number) => (100 * Math.max(0, share)).toFixed(1)
const joined = (values: readonly string[]) => `${values.slice(0, -1).join(', ')} and ${values.at(-1)}`

function section({ byLaw, failed, floods }: Figures): string {
  const deadlines = joined(failed.map(({ deadline }) => `${deadline}`))
  const uneven = floods.filter(({ deviation }) => deviation === 1)
  const even = floods.filter(({ deviation }) => deviation !== 1)
  const shares = (name: 'alone' | 'tenant' | 'priority') => joined(uneven.map((flood) => percent(flood[name])))
  const leastEven = Math.min(...even.flatMap(({ tenant, priority }) => [tenant, priority]))
  return `## Overload

How many queries does a server answer in time if more arrive than it can answer? \`npm run bench -- overload\` simulates ten workers, Poisson arrivals and lognormal service times with medians of 1 ms to 1 s. Deadlines are in mean service times ("services"). Nothing is set but the deadline.

![goodput over a clairvoyant scheduler's, by load](overload.svg)

The plot compares the answers in time with those of a clairvoyant scheduler. That scheduler knows each service time, serves the newest query first, and starts none that would be late. With a deviation of 1 it skips the long queries; no real server can. The best policy that knows only the law of service times is a fairer rival: approxifer answers ${byLaw.map((ratio) => ratio.toFixed(2)).join(' to ')} times as many in all cells.

- **Machine time on failed queries**, at deviation 1, with workers that cannot be stopped: ${joined(failed.map(({ wasted }) => percent(wasted)))} % at deadlines of ${deadlines} services. Of all machine time ${joined(failed.map(({ unavoidable }) => percent(unavoidable)))} % is unavoidable, because these queries take longer than their deadline.
- **Beside a flood** of 5 times the capacity, a tenant with .2 of the capacity gets at least ${percent(leastEven)} % of its answers in time at deviation .1. At deviation 1 it gets ${shares('tenant')} %, with a higher priority ${shares('priority')} %, and alone ${shares('alone')} %, at these three deadlines.

The command prints every cell. How queries are refused: [serving](../reference/serving.md#overload).
`
}

/** A panel for each deviation and kind of worker, a line for each deadline. */
function plot({ goodput }: Figures): TopLevelSpec {
  const values = goodput.map(({ deviation, deadline, stops, load, ratio: [least, most] }) => ({
    panel: `deviation ${deviation}, workers ${stops ? 'can' : 'cannot'} be stopped`,
    deadline: `${deadline} services`,
    load: String(load),
    middle: (least + most) / 2,
    least,
    most,
  }))
  const panels = [...new Set(values.map(({ panel }) => panel))].sort()
  const deadlines = [...new Set(values.map(({ deadline }) => deadline))]
  const loads = [...new Set(values.map(({ load }) => load))]
  const y = { type: 'quantitative' as const, title: 'goodput / clairvoyant', scale: { domain: [0.4, 1.1] } }
  return {
    data: { values },
    facet: { field: 'panel', type: 'nominal', title: null, sort: panels },
    columns: 2,
    spec: {
      width: 220,
      height: 140,
      encoding: {
        x: { field: 'load', type: 'ordinal', title: 'load / capacity', sort: loads, axis: { labelAngle: 0 } },
        color: { field: 'deadline', type: 'nominal', title: 'deadline', sort: deadlines },
      },
      layer: [
        { mark: { type: 'line', point: true }, encoding: { y: { field: 'middle', ...y } } },
        { mark: { type: 'rule', strokeWidth: 4 }, encoding: { y: { field: 'least', ...y }, y2: { field: 'most' } } },
      ],
    },
  }
}
