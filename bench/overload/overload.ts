/**
 * npm run bench -- overload [WORD ...] [--json]: what is answered in time under overload, in simulated time, beside two bounds: a scheduler that knows
 * each service time beforehand, and the best policy that knows only their law. Ten workers, Poisson arrivals, lognormal times with medians of 1, 10,
 * 100 and 1,000 ms; deadlines in services (means). Prints all cells, and writes the section of docs/appendix/performance.md and its plot. With words
 * only cells whose names have all of them, and no page. Four minutes on two cores.
 */

import { inProcesses } from '../shared/processes'
import { markdownTable } from '../shared/report'
import { type Cell, clairvoyant, lateOf, lawBound } from './overload-bounds'
import { type Figures, report } from './overload-report'
import type { Job, Run } from './overload-run'

const MODELS = [1, 10, 100, 1000]
const LOADS = [0.9, 1, 2, 3, 10]
/** Queries for each times the capacity: as many are answered at any load. */
const QUERIES = 4000

const cells: Cell[] = []
for (const deviation of [0.1, 1])
  for (const deadline of [2, 5, 20])
    for (const stops of [false, true])
      for (const load of LOADS)
        cells.push({ deviation, load, deadlines: [deadline], stops, workers: 10, queries: QUERIES * Math.max(1, load), seed: 10 }) // biome-ignore format: one line

const nameOf = ({ deviation, deadlines: [deadline], stops }: Cell) =>
  `deviation ${deviation}, ${deadline} services, ${stops ? 'can be stopped' : 'cannot'}`
const range = (values: number[]) => {
  const [least, most] = [Math.min(...values).toFixed(2), Math.max(...values).toFixed(2)]
  return least === most ? least : `${least} to ${most}`
}
const percent = (share: number) => `${(100 * Math.max(0, share)).toFixed(1)} %`

async function runs(jobs: Job[]): Promise<Map<Job, Run>> {
  const done = new Map<Job, Run>()
  const module = new URL('./overload-run.ts', import.meta.url).href
  await inProcesses<Job, Run>(module, jobs.map((job) => [job]), (job, run) => done.set(job, run)) // biome-ignore format: one line
  return done
}

/** What happened in cells of one name: at each load, by models of all times. */
interface Group {
  name: string
  cells: readonly Cell[]
  of(cell: Cell): Run[]
}

async function groupsOf(words: string[]): Promise<Group[]> {
  const wanted = cells.filter((cell) => words.every((word) => nameOf(cell).includes(word)))
  const done = [...(await runs(wanted.flatMap((cell) => MODELS.map((ms) => ({ ...cell, ms })))))]
  return [...new Set(wanted.map(nameOf))].map((name) => ({
    name,
    cells: wanted.filter((cell) => nameOf(cell) === name),
    of: (cell) => done.flatMap(([job, run]) => (nameOf(job) === name && job.load === cell.load ? run : [])),
  }))
}

const over = ({ of }: Group, cell: Cell, bound: (cell: Cell) => number) =>
  of(cell).map(({ goodput }) => goodput / bound(cell))
const worst = ({ cells, of }: Group, figure: (run: Run) => number, least = 0) =>
  Math.max(...cells.filter(({ load }) => load > least).flatMap(of).map(figure)) // biome-ignore format: one line

/** Goodput over both bounds, worst model and best; and what was wasted, and failed after waiting, at the worst. */
function tablesOf(groups: readonly Group[]): string[] {
  const rows = groups.map((group) => {
    const { name, cells } = group
    return [
      [name, ...cells.map((cell) => range(over(group, cell, clairvoyant)))],
      [name, ...cells.map((cell) => range(over(group, cell, lawBound)))],
      [
        name,
        percent(worst(group, ({ wasted }) => wasted)),
        percent(lateOf(cells[0])),
        percent(worst(group, ({ toldLate }) => toldLate)),
        percent(worst(group, ({ after5 }) => after5, 1)),
      ],
    ]
  })
  const loads = LOADS.map((load) => `${load}`)
  const part = (i: number, head: string[]) => markdownTable(head, rows.map((row) => row[i])) // biome-ignore format: one line
  return [
    part(0, ['goodput over the clairvoyant’s, at load', ...loads]),
    part(1, ['over the most by the law, at load', ...loads]),
    part(2, ['at the worst load', 'machine time on failed queries', 'of those begun at once, by the law', 'queries that failed after waiting', 'refused after more than 5 ms, of refused ones at 2 and more']), // biome-ignore format: one line
  ]
}

interface Flooded {
  deviation: number
  deadline: number
  alone: number
  beside: number
  goodput: number
}

/** Somebody at .2 of the capacity beside a flood of five times it, and alone. */
async function floods(by: 'tenant' | 'priority'): Promise<Flooded[]> {
  const base = { ms: 10, load: 5, stops: false, workers: 10, seed: 10, by }
  const jobs = [0.1, 1].flatMap((deviation) =>
    [2, 5, 20].flatMap((deadline) =>
      [[0.2, 5], [0.2]].map((loads) => {
        const all = loads.reduce((sum, load) => sum + load, 0)
        return { ...base, deviation, deadlines: [deadline], loads, queries: 2500 * (all / 0.2) }
      }),
    ),
  )
  const done = await runs(jobs)
  const of = (job: Job, loads: number) =>
    done.get(jobs.find((each) => nameOf(each) === nameOf(job) && each.loads.length === loads) as Job) as Run
  return jobs.filter(({ loads }) => loads.length === 1).map((job) => {
    const [beside, alone] = [of(job, 2), of(job, 1)]
    return { deviation: job.deviation, deadline: job.deadlines[0], alone: alone.answered[0], beside: beside.answered[0], goodput: beside.goodput } // biome-ignore format: one line
  }) // biome-ignore format: one line
}

const floodTable = (by: string, all: readonly Flooded[]) =>
  markdownTable(
    [`a ${by} at .2 of the capacity`, 'answered in time, alone', 'beside 5 times the capacity', 'goodput of both'],
    all.map(({ deviation, deadline, alone, beside, goodput }) => [`deviation ${deviation}, ${deadline} services`, percent(alone), percent(beside), goodput.toFixed(2)]), // biome-ignore format: one line
  )

function figuresOf(groups: readonly Group[], tenants: readonly Flooded[], priorities: readonly Flooded[]): Figures {
  const between = (ratios: readonly number[]) => [Math.min(...ratios), Math.max(...ratios)] as const
  return {
    goodput: groups.flatMap((group) =>
      group.cells.map((cell) => ({
        ...cell,
        deadline: cell.deadlines[0],
        ratio: between(over(group, cell, clairvoyant)),
      })),
    ),
    byLaw: between(groups.flatMap((group) => group.cells.flatMap((cell) => over(group, cell, lawBound)))),
    failed: groups
      .filter(({ cells: [{ deviation, stops }] }) => deviation === 1 && !stops)
      .map((group) => ({
        deadline: group.cells[0].deadlines[0],
        wasted: worst(group, ({ wasted }) => wasted),
        unavoidable: lateOf(group.cells[0]),
      })),
    floods: tenants.map(({ beside, ...flood }, i) => ({ ...flood, tenant: beside, priority: priorities[i].beside })),
  }
}

export default async function overload(json: boolean, words: string[]): Promise<void> {
  const groups = await groupsOf(words)
  const tables = tablesOf(groups)
  const [tenants, priorities] = words.length ? [[], []] : [await floods('tenant'), await floods('priority')]
  if (!words.length) tables.push(floodTable('tenant', tenants), floodTable('priority', priorities))
  console.log(json ? JSON.stringify(tables) : tables.join('\n\n'))
  if (!words.length && !json) await report(figuresOf(groups, tenants, priorities))
}
