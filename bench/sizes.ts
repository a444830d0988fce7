/**
 * npm run bench -- sizes [SEEDS] [WORD ...] [--json]: what it gains that the size of a query tells how long it takes, in simulated time: lengths
 * of 1 to 50, times proportional to them, or not at all; with and without that being learned. Median of three seeds of 10,000 queries unless
 * told otherwise; with words only cells whose names have all of them. A minute on two cores.
 */

import { markdownTable } from '../src/cli/report'
import { median } from './measure'
import { inProcesses } from './processes'
import { type SizedJob, type SizedTail, worlds } from './sizes-run'

const SEEDS = 3
const LOADS = [0.3, 0.6, 0.8]

type Job = Omit<SizedJob, 'queries'>
const cellOf = ({ world, load, tells }: Job) => `${world} | load ${load} | ${tells ? 'proportional' : 'all the same'}`
const shown = (values: readonly number[], digits = 1) => values.map((value) => value.toFixed(digits)).join(' / ')

interface Cell {
  with: SizedTail[]
  without: SizedTail[]
}

/** Of each quarter the median of the runs. */
const p99Of = (runs: readonly SizedTail[]) => runs[0].p99.map((_, i) => median(runs.map(({ p99 }) => p99[i])))

function ratiosOf({ with: learned, without }: Cell): number[] {
  const before = p99Of(without)
  return p99Of(learned).map((ms, i) => ms / before[i])
}

export async function sizesBench(json: boolean, words: string[]): Promise<void> {
  const seeds = Number(words.find((word) => Number(word)) ?? SEEDS)
  const wanted = words.filter((word) => !Number(word))
  const jobs: Job[] = []
  for (const world of Object.keys(worlds))
    for (const load of LOADS)
      for (const tells of [true, false])
        for (const learns of [true, false])
          for (let seed = 1; seed <= seeds; seed++) jobs.push({ world, load, tells, learns, seed: 10 * seed })
  const cells = new Map<string, Cell>()
  await inProcesses<Job, SizedTail>(
    new URL('./sizes-run.ts', import.meta.url).href,
    jobs.filter((job) => wanted.every((word) => cellOf(job).includes(word))).map((job) => [job]),
    (job, tail) => {
      const cell = cells.get(cellOf(job)) ?? { with: [], without: [] }
      cell[job.learns ? 'with' : 'without'].push(tail)
      cells.set(cellOf(job), cell)
    },
  )
  if (json) return console.log(JSON.stringify(Object.fromEntries(cells), null, 1))
  const rows = [...cells].sort().map(([name, { with: learned, without }]) => {
    const machine = [without, learned].map((runs) => median(runs.map(({ machineMs }) => machineMs)))
    const ratios = ratiosOf({ with: learned, without })
    return [name.replaceAll(' | ', ', '), shown(p99Of(without)), shown(p99Of(learned)), shown(ratios, 2), shown(machine)] // biome-ignore format: one line
  })
  const all = [...cells].filter(([name]) => name.endsWith('proportional')).map(([, cell]) => ratiosOf(cell))
  const means = all[0]?.map((_, i) => Math.exp(all.reduce((sum, ratios) => sum + Math.log(ratios[i]), 0) / all.length))
  if (means) console.log(`Geometric means of the ratios where times are proportional: ${shown(means, 2)}.`)
  console.log(markdownTable(['p99 of each quarter of the lengths', 'without', 'with', 'ratios', 'machine time'], rows))
}
