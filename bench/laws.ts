/**
 * npm run bench -- laws [SEEDS] [WORD ...] [--json]: the tail on any law of answer times, in made time, without a memory. One FIFO queue
 * whose rows go to any idle worker (`queue`), the same with a second request at the running 95th or 90th percentile, at most one query in
 * ten, with and without the pool's dispatch (`hedge`, `aware`), and the predictor with policy 'retry'. The same arrivals for all;
 * medians of the seeds, and the geometric mean of ratios to the better hedge, measure by measure. With words only cells whose names
 * have all of them.
 */

import { table } from '../src/cli/table'
import { type Figures, type Job, laws, measures, systems } from './laws-run'
import { median } from './measure'
import { inProcesses } from './processes'

const SEEDS = 3

const cellOf = ({ law, workers, load }: Job) => `${law} | ${workers} workers | load ${load}`
/** What the predictor's figure is held against: the queue's own median, else the better hedge. */
const RIVALS = ['hedge, 95', 'hedge, 90', 'aware, 95', 'aware, 90']

export async function anyLaw(json: boolean, words: string[]): Promise<void> {
  const seeds = Number(words.find((word) => Number(word)) ?? SEEDS)
  const wanted = words.filter((word) => !Number(word))
  const jobs: Job[] = []
  for (const law of Object.keys(laws))
    for (const workers of [27, 5])
      for (const load of [0.3, 0.6, 0.8])
        for (const system of Object.keys(systems))
          for (let seed = 1; seed <= seeds; seed++) jobs.push({ law, workers, load, system, seed: 10 * seed })
  const runs = new Map<string, Map<string, Figures[]>>()
  const chosen = jobs.filter((job) => wanted.every((word) => cellOf(job).includes(word)))
  await inProcesses<Job, Figures>(
    new URL('./laws-run.ts', import.meta.url).href,
    chosen.map((job) => [job]),
    (job, figures) => {
      const cell = runs.get(cellOf(job)) ?? new Map<string, Figures[]>()
      runs.set(cellOf(job), cell.set(job.system, [...(cell.get(job.system) ?? []), figures]))
    },
  )
  const cells = [...runs].sort(
    ([a], [b]) => chosen.findIndex((job) => cellOf(job) === a) - chosen.findIndex((job) => cellOf(job) === b),
  )
  if (json) return console.log(JSON.stringify(cells.map(([cell, all]) => [cell, Object.fromEntries(all)]), null, 1)) // biome-ignore format: one line
  const out = table(['', ...Object.keys(systems), 'retry: of the better hedge'])
  const ratios = measures.map(() => [] as number[])
  for (const [cell, all] of cells) {
    const of = (system: string, name: keyof Figures) => median((all.get(system) ?? []).map((each) => each[name]))
    const texts = Object.keys(systems).map((system) => measures.map((name) => of(system, name).toFixed(1)).join(' / '))
    const own = measures.map((name) => {
      const rivals = name === 'p50' ? ['queue'] : name === 'machineMs' ? ['hedge, 90'] : RIVALS
      return of('retry', name) / Math.min(...rivals.map((rival) => of(rival, name)))
    })
    own.forEach((ratio, i) => {
      ratios[i].push(ratio)
    })
    out.push([cell, ...texts, own.map((ratio) => ratio.toFixed(2)).join(' / ')])
  }
  const mean = (values: number[]) => Math.exp(values.reduce((sum, value) => sum + Math.log(value), 0) / values.length)
  console.log(
    `${out}\np50 / p99 / p99.9 / machine time a query, ms; the ratio of p50 to the queue's, of machine time to hedge 90's`,
  )
  console.log(`geometric means: ${ratios.map((each) => mean(each).toFixed(3)).join(' / ')}; worst: ${ratios.map((each) => Math.max(...each).toFixed(2)).join(' / ')}`) // biome-ignore format: one line
}
