/** The section Overload of docs/appendix/performance.md, and its plot. */

import { readFileSync, writeFileSync } from 'node:fs'
import type { TopLevelSpec } from 'vega-lite'
import { markdownTable, svg, withSection } from '../shared/report'

/** Lowest and highest over models of 1 ms to 1 s. */
type Range = readonly [least: number, most: number]

export interface Figures {
  /** Goodput over the clairvoyant scheduler's. Deadlines are in services. */
  goodput: readonly { deviation: number; deadline: number; stops: boolean; load: number; ratio: Range }[]
  /** Goodput over the most that is possible with the law of service times alone, in all cells. */
  byLaw: Range
  /** Machine time on failed queries at the worst load, as shares: deviation 1, workers that cannot be stopped. */
  failed: readonly { deadline: number; wasted: number; unavoidable: number }[]
  /** Shares answered in time at .2 of the capacity: alone, and beside a flood by another tenant or with a lower priority. */
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

function section({ byLaw, failed, floods }: Figures): string {
  const uneven = floods.filter(({ deviation }) => deviation === 1)
  const even = floods.filter(({ deviation }) => deviation !== 1)
  const leastEven = Math.min(...even.flatMap(({ tenant, priority }) => [tenant, priority]))
  const row = <T>(name: string, all: readonly T[], of: (each: T) => number) => [
    name,
    ...all.map((each) => `${percent(of(each))} %`),
  ]
  const head = (all: readonly { deadline: number }[]) => [
    'deadline, in services',
    ...all.map(({ deadline }) => `${deadline}`),
  ]
  const failedTable = markdownTable(head(failed), [
    row('failed queries', failed, ({ wasted }) => wasted),
    row('unavoidable part', failed, ({ unavoidable }) => unavoidable),
  ])
  const floodTable = markdownTable(head(uneven), [
    row('beside the flood', uneven, ({ tenant }) => tenant),
    row('beside the flood, with a higher priority', uneven, ({ priority }) => priority),
    row('alone, without the flood', uneven, ({ alone }) => alone),
  ])
  return `## Overload

How many queries does a server answer in time if more arrive than it can answer? \`npm run bench -- overload\` simulates ten workers, Poisson arrivals and lognormal service times with medians of 1 ms to 1 s. "Deviation" is that of the logarithm of service times. A "service" is the mean service time. Of approxifer's options only the deadline is set.

![goodput over a clairvoyant scheduler's, by load](overload.svg)

The plot divides approxifer's answers in time by those of a clairvoyant scheduler. That scheduler knows each service time, serves the newest query first, and starts no query that would be late. At deviation 1 it skips the long queries, which no real server can do. A fairer rival is the best policy that knows only the law of service times. In all simulated cases approxifer gives ${byLaw.map((ratio) => ratio.toFixed(2)).join(' to ')} times as many answers in time as that policy.

At deviation 1, with workers that cannot be stopped, failed queries take these shares of machine time:

${failedTable}

Part of this time is unavoidable, because some queries take longer than their deadline.

A tenant uses .2 of the capacity, beside a flood of 5 times the capacity. At deviation .1 at least ${percent(leastEven)} % of the tenant's answers are in time. At deviation 1 the tenant gets these shares of its answers in time:

${floodTable}

The command prints every cell. [Serving](../reference/serving.md#overload) says how queries are refused.
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
