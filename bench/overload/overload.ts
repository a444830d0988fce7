/**
 * npm run bench -- overload [WORD ...] [--json]: what is answered in time under overload, in simulated time, beside who knows each time beforehand and
 * beside the most that can be had of machines by who knows their law alone. Ten workers, Poisson arrivals, lognormal times with medians of 1, 10,
 * 100 and 1,000 ms; deadlines in services (means). With words only cells whose names have all of them. Four minutes on two cores.
 */

import { inProcesses } from '../shared/processes'
import { markdownTable } from '../shared/report'
import { type Cell, clairvoyant, lateOf, lawBound } from './overload-bounds'
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

/** Goodput over both bounds, worst model and best; and what was wasted, and told late, at the worst. */
async function overloads(words: string[]): Promise<string[]> {
  const wanted = cells.filter((cell) => words.every((word) => nameOf(cell).includes(word)))
  const done = [...(await runs(wanted.flatMap((cell) => MODELS.map((ms) => ({ ...cell, ms })))))]
  const rows = [...new Set(wanted.map(nameOf))].map((name) => {
    const mine = wanted.filter((cell) => nameOf(cell) === name)
    const of = (cell: Cell) => done.flatMap(([job, run]) => (nameOf(job) === name && job.load === cell.load ? run : []))
    const over = (cell: Cell, bound: number) => range(of(cell).map(({ goodput }) => goodput / bound))
    const over1 = mine.filter(({ load }) => load > 1)
    const worst = (figure: (run: Run) => number, all = mine) => percent(Math.max(...all.flatMap(of).map(figure)))
    return [
      [name, ...mine.map((cell) => over(cell, clairvoyant(cell)))],
      [name, ...mine.map((cell) => over(cell, lawBound(cell)))],
      [
        name,
        worst(({ wasted }) => wasted),
        percent(lateOf(mine[0])),
        worst(({ toldLate }) => toldLate),
        worst(({ after5 }) => after5, over1),
      ],
    ]
  })
  const loads = LOADS.map((load) => `${load}`)
  const part = (i: number, head: string[]) => markdownTable(head, rows.map((row) => row[i])) // biome-ignore format: one line
  return [
    part(0, ['goodput over the clairvoyant’s, at load', ...loads]),
    part(1, ['over the most by the law, at load', ...loads]),
    part(2, ['at the worst load', 'machine time on failed queries', 'of those begun at once, by the law', 'queries that failed after waiting', 'of refused ones, told after 5 ms, at 2 and more']), // biome-ignore format: one line
  ]
}

/** Somebody at .2 of the capacity beside a flood of five times it, and alone. */
async function floods(by: 'tenant' | 'priority'): Promise<string> {
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
  const rows = jobs.filter(({ loads }) => loads.length === 1).map((job) => {
    const [beside, alone] = [of(job, 2), of(job, 1)]
    const [deadline] = job.deadlines
    return [`deviation ${job.deviation}, ${deadline} services`, percent(alone.answered[0]), percent(beside.answered[0]), beside.goodput.toFixed(2)] // biome-ignore format: one line
  }) // biome-ignore format: one line
  return markdownTable([`a ${by} at .2 of the capacity`, 'answered in time, alone', 'beside 5 times the capacity', 'goodput of both'], rows) // biome-ignore format: one line
}

export default async function overload(json: boolean, words: string[]): Promise<void> {
  const tables = await overloads(words)
  if (!words.length) tables.push(await floods('tenant'), await floods('priority'))
  console.log(json ? JSON.stringify(tables) : tables.join('\n\n'))
}
