/**
 * npm run bench -- losers [SEEDS] [WORD ...] [--json]: what it saves that the losers of a race are cancelled where an abort frees their
 * workers, in simulated time. Medians of three seeds of 10,000 queries unless told otherwise; with words only cells whose names have all of
 * them. A minute and a half on two cores.
 */

import { measures, type Tail } from '../shared/arrivals'
import { median } from '../shared/measure'
import { inPairs } from '../shared/processes'
import { markdownTable } from '../shared/report'
import type { Job } from './laws-run'

const SEEDS = 3
const WORLDS = [
  'tight 2 %',
  'tight 5 %',
  'deviation .5',
  'deviation 1',
  'Pareto 1.5',
  'half 3 times slower',
  'wandering',
]
const LOADS = [0.3, 0.6, 0.8]

const cellOf = ({ world, load }: Job) => `${world} | load ${load}`
const shown = (figures: number[]) => figures.map((ms) => ms.toFixed(1)).join(' / ')

export default async function losers(json: boolean, words: string[]): Promise<void> {
  const seeds = Number(words.find((word) => Number(word)) ?? SEEDS)
  const wanted = words.filter((word) => !Number(word))
  const jobs: Job[] = []
  for (const world of WORLDS)
    for (const load of LOADS)
      for (const interruptible of [false, true])
        for (let seed = 1; seed <= seeds; seed++)
          jobs.push({
            world,
            workers: 27,
            load,
            system: 'approxifer',
            seed: 10 * seed,
            queries: 10_000,
            warmUp: 500,
            interruptible,
          })
  const module = new URL('./laws-run.ts', import.meta.url).href
  const cells = await inPairs<Job, Tail>(module, jobs, wanted, cellOf, ({ interruptible }) => interruptible === true)
  if (json) return console.log(JSON.stringify(Object.fromEntries(cells), null, 1))
  const rows = [...cells].map(([name, cell]) => {
    const [before, now] = [cell.before, cell.now].map((runs) =>
      measures.map((each) => median(runs.map((run) => run[each]))),
    )
    const ratios = now.map((ms, i) => (ms / before[i]).toFixed(2)).join(' / ')
    return [name.replaceAll(' | ', ', '), shown(before), shown(now), ratios]
  })
  console.log(markdownTable(['p50 / p99 / p99.9 / machine time', 'losers go on', 'are cancelled', 'ratios'], rows))
}
