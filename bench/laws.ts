/**
 * npm run bench -- laws [SEEDS] [WORD ...] [--json]: the tail on any law of answer times, in simulated time, without a memory, beside a
 * queue and hedged requests by hand; writes docs/laws.md, where the systems are described. Three seeds of 10,000 queries unless told
 * otherwise. With words only cells whose names have all of them, and no page. A process a core; four minutes on two.
 */

import { writeFileSync } from 'node:fs'
import { markdownTable } from '../src/cli/report'
import { measures, type Tail } from './arrivals'
import { type Job, laws, systems } from './laws-run'
import { median } from './measure'
import { inProcesses } from './processes'

const SEEDS = 3
/** Of so many workers. */
const LOADS: Record<number, readonly number[]> = { 27: [0.1, 0.3, 0.6, 0.8, 0.9], 5: [0.3, 0.6, 0.8] }
const WORKERS = [27, 5]
/** What the predictor's p99, p99.9 are held against, the better of them for each; p50 against the queue's, machine time against the hedge at the 90th percentile. */
const HEDGES = ['hedge, 95', 'hedge, 90', 'aware, 95', 'aware, 90']
const RIVALS: Record<keyof Tail, readonly string[]> = {
  p50: ['queue'],
  p99: HEDGES,
  p999: HEDGES,
  machineMs: ['hedge, 90'],
}

/** Of one cell: medians of the seeds, of each system. */
type Cell = Record<string, Tail>
const cellOf = ({ law, workers, load }: Job) => `${law} | ${workers} workers | load ${load}`

function jobsFor(seeds: number, wanted: readonly string[]): Job[] {
  const jobs: Job[] = []
  for (const workers of WORKERS)
    for (const law of Object.keys(laws))
      for (const load of LOADS[workers])
        for (const system of Object.keys(systems))
          for (let seed = 1; seed <= seeds; seed++) jobs.push({ law, workers, load, system, seed: 10 * seed })
  return jobs.filter((job) => wanted.every((word) => cellOf(job).includes(word)))
}

async function run(jobs: readonly Job[]): Promise<Map<string, Cell>> {
  const runs = new Map<string, Tail[]>()
  const keyOf = (job: Job) => `${cellOf(job)} | ${job.system}`
  await inProcesses<Job, Tail>(
    new URL('./laws-run.ts', import.meta.url).href,
    jobs.map((job) => [job]),
    (job, figures) => runs.set(keyOf(job), [...(runs.get(keyOf(job)) ?? []), figures]),
  )
  const cells = new Map<string, Cell>()
  for (const job of jobs) {
    const all = runs.get(keyOf(job)) ?? []
    const figures = Object.fromEntries(measures.map((name) => [name, median(all.map((each) => each[name]))]))
    cells.set(cellOf(job), { ...cells.get(cellOf(job)), [job.system]: figures as unknown as Tail })
  }
  return cells
}

/** The predictor's figures over the best of their rivals'. */
function ratiosOf(cell: Cell): number[] {
  return measures.map((name) => cell.retry[name] / Math.min(...RIVALS[name].map((rival) => cell[rival][name])))
}

const meanOf = (values: number[]) => Math.exp(values.reduce((sum, value) => sum + Math.log(value), 0) / values.length)
const shown = (figures: Tail) => measures.map((name) => figures[name].toFixed(1)).join(' / ')

function tableOf(cells: Map<string, Cell>): string {
  const rows = [...cells].map(([name, cell]) => {
    const better = Object.fromEntries(measures.map((each) => [each, Math.min(...HEDGES.map((rival) => cell[rival][each]))])) // biome-ignore format: one line
    const [p50, ...rest] = ratiosOf(cell).map((ratio) => ratio.toFixed(2))
    return [name.replaceAll(' | ', ', '), shown(cell.queue), shown(better as unknown as Tail), shown(cell.retry), `${p50}; ${rest.join(', ')}`] // biome-ignore format: one line
  })
  return markdownTable(['', 'queue', 'the better hedge', 'approxifer', 'ratios'], rows)
}

/** In a sentence: the geometric mean of each ratio and the worst. */
function summary(cells: Map<string, Cell>): string {
  const all = [...cells].map(([name, cell]) => ({ name, ratios: ratiosOf(cell) }))
  const parts = ['p50', 'p99', 'p99.9', 'machine time'].map((name, i) => {
    const worst = all.reduce((a, b) => (b.ratios[i] > a.ratios[i] ? b : a))
    const mean = meanOf(all.map(({ ratios }) => ratios[i]))
    return `${name} ${mean.toFixed(3)} (worst ${worst.ratios[i].toFixed(2)}: ${worst.name.replaceAll(' | ', ', ')})`
  })
  return `Geometric means of the ratios: ${parts.join('; ')}.`
}

export async function anyLaw(json: boolean, words: string[]): Promise<void> {
  const seeds = Number(words.find((word) => Number(word)) ?? SEEDS)
  const wanted = words.filter((word) => !Number(word))
  const cells = await run(jobsFor(seeds, wanted))
  if (json) return console.log(JSON.stringify(Object.fromEntries(cells), null, 1))
  console.log(`${tableOf(cells)}\n\n${summary(cells)}`)
  if (!wanted.length) writeFileSync('docs/laws.md', page(cells, seeds))
}

function page(cells: Map<string, Cell>, seeds: number): string {
  const sections = WORKERS.map((workers) => {
    const own = new Map([...cells].filter(([name]) => name.includes(`| ${workers} workers |`)))
    return `## ${workers} workers\n\n${summary(own)}\n\n${tableOf(own)}\n`
  })
  return `# Any law of answer times

\`npm run bench -- laws\` writes this page: how \`createPredictor({ workers })\` does without a memory and without a setting, whatever law answer times have. Simulated time, Poisson arrivals, ${seeds} seeds of 10,000
queries, medians; the same arrivals for all. Loads of fleets with slow machines are reckoned for 27 of them: of 5 a larger part is slow, so that they are higher than they say.

- **queue**: one queue, first come, first served, to any idle worker.
- **the better hedge**: the queue, and a second request to another worker for what takes longer than the running 95th or 90th percentile, at most one query in ten; workers by chance, or by the predictor's own
  pool. Of these four the best of each figure by itself.
- **approxifer**: policy \`retry\`.

Each has p50 / p99 / p99.9 / machine time a query, in ms. **ratios**: of p50 to the queue's; of p99 and p99.9 to the better hedge's, and of machine time to the hedge at the 90th percentile. Where they are above 1 the plain thing does better.
All laws have a median of 10 ms. **deviation**: lognormal, of the logarithm. **tight**: deviation .1, and a share of the calls takes ten times as long. **spread**: the same with a mean of 10 and a deviation of 4 ms, the law of a public
benchmark of hedging. **half 3 times slower**: half of the machines is.

Where it loses: the median from load .8 on, beside the queue without any second request; beside that of the better hedge it is at most 1.08 times as long. At load .6 that of few workers whose times vary by a factor of five or
more, up to 1.29 times. p99 at load .8 where one call in ten takes ten times as long by a broad law, 1.22, since those are as many as may be asked twice; and that of one straggler in a hundred on idle machines, where a hedge at the
90th percentile asks a tenth of the queries twice, those stragglers among them.

${sections.join('\n')}`
}
