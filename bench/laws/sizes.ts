/**
 * npm run bench -- sizes [SEEDS] [WORD ...] [--json]: what it gains that the size of a query tells how long it takes, in simulated time: lengths
 * of 1 to 50, times proportional to them, or not at all; with and without that being learned. Median of three seeds of 10,000 queries unless
 * told otherwise; with words only cells whose names have all of them. A minute on two cores.
 */

import { median } from '../shared/measure'
import { inPairs } from '../shared/processes'
import { markdownTable } from '../shared/report'
import { type SizedJob, type SizedTail, worlds } from './sizes-run'

const SEEDS = 3
const LOADS = [0.3, 0.6, 0.8]

type Job = Omit<SizedJob, 'queries'>
const cellOf = ({ world, load, tells }: Job) => `${world} | load ${load} | ${tells ? 'proportional' : 'all the same'}`
const shown = (values: readonly number[], digits = 1) => values.map((value) => value.toFixed(digits)).join(' / ')

/** Of each quarter the median of the runs. */
const p99Of = (runs: readonly SizedTail[]) => runs[0].p99.map((_, i) => median(runs.map(({ p99 }) => p99[i])))

function ratiosOf(before: readonly SizedTail[], now: readonly SizedTail[]): number[] {
  const without = p99Of(before)
  return p99Of(now).map((ms, i) => ms / without[i])
}

export default async function sizesBench(json: boolean, words: string[]): Promise<void> {
  const seeds = Number(words.find((word) => Number(word)) ?? SEEDS)
  const wanted = words.filter((word) => !Number(word))
  const jobs: Job[] = []
  for (const world of Object.keys(worlds))
    for (const load of LOADS)
      for (const tells of [true, false])
        for (const learns of [true, false])
          for (let seed = 1; seed <= seeds; seed++) jobs.push({ world, load, tells, learns, seed: 10 * seed })
  const module = new URL('./sizes-run.ts', import.meta.url).href
  const cells = await inPairs<Job, SizedTail>(module, jobs, wanted, cellOf, ({ learns }) => learns)
  if (json) return console.log(JSON.stringify(Object.fromEntries(cells), null, 1))
  const rows = [...cells].map(([name, { before, now }]) => {
    const machine = [before, now].map((runs) => median(runs.map(({ machineMs }) => machineMs)))
    const ratios = ratiosOf(before, now)
    return [name.replaceAll(' | ', ', '), shown(p99Of(before)), shown(p99Of(now)), shown(ratios, 2), shown(machine)] // biome-ignore format: one line
  })
  const all = [...cells]
    .filter(([name]) => name.endsWith('proportional'))
    .map(([, { before, now }]) => ratiosOf(before, now))
  const means = all[0]?.map((_, i) => Math.exp(all.reduce((sum, ratios) => sum + Math.log(ratios[i]), 0) / all.length))
  if (means) console.log(`Geometric means of the ratios where times are proportional: ${shown(means, 2)}.`)
  console.log(markdownTable(['p99 of each quarter of the lengths', 'without', 'with', 'ratios', 'machine time'], rows))
}
