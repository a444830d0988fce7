/**
 * npm run bench -- latency [SEEDS] [WORD ...] [--json]: the tail at equal machines, in simulated time, with the answers of real
 * models and a real predictor, whose lookups and training are charged as time of the coordinator; writes its sections of
 * docs/appendix/performance.md and the plots. A seed is one pass over the 10,000 test images; ten seeds unless told otherwise, the cells of the first table
 * thrice as many. Runs are kept in build/latency.json and not made again (remove it when the policy has changed); with
 * words only cells that have all of them in their names, and no page. A process a core; half an hour on two. Needs
 * `npm run data`.
 */

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { table } from '../../src/cli/table'
import type { ThreadCosts } from '../../src/testing/simulated-thread'
import { median } from '../shared/measure'
import { measureCosts } from '../shared/memory-costs'
import { type ModelName, models } from '../shared/models'
import { inProcesses } from '../shared/processes'
import { report } from './latency-report'
import { DEADLINES, type Figures, type Job } from './latency-run'

export const names = Object.keys(models) as ModelName[]
export const SEEDS = 10
/** Of the runs with a deadline, where the table that is about deadlines does not need as many as all others. */
const FEW = 2

/** Whose times depend on no model. */
export const ANY = names[0]

export type Cell = Omit<Job, 'seed'>

export const keyOf = ({ model, trouble, load, shift, system, deadline }: Cell) =>
  [model, trouble, load, shift, system, ...(deadline ? [`D ${deadline}`] : [])].join(' | ')

/** Of every cell the figures by seed. */
export interface Results {
  costs: Record<string, ThreadCosts>
  runs: Record<string, (Figures | null)[]>
}

/** All cells, and how many times as many seeds each gets. */
function plan(): { cell: Cell; seeds(all: number): number }[] {
  const planned: ReturnType<typeof plan> = []
  const add = (seeds: (all: number) => number, ...cells: Cell[]) => {
    planned.push(...cells.map((cell) => ({ cell, seeds })))
  }
  const [all, more, few] = [(n: number) => n, (n: number) => 3 * n, (n: number) => Math.min(n, FEW)]
  const ours = ['auto, S = 0', 'auto, S = 1']
  for (const trouble of ['random', 'wandering'] as const) {
    for (const load of [0.3, 0.6, 0.8]) {
      const first = trouble === 'random' && load === 0.6
      const at = { trouble, load, shift: 'none' as const }
      for (const system of ['no redundancy', 'hedge']) add(first ? more : all, { ...at, model: ANY, system })
      if (trouble === 'wandering') add(all, { ...at, model: ANY, system: 'hedge, blind' })
      if (first) add(all, { ...at, model: ANY, system: 'twice each' })
      if (trouble === 'random') add(all, { ...at, model: ANY, system: 'retry' })
      for (const model of names) {
        for (const system of ours) {
          add(first && system === ours[0] ? more : all, { ...at, model, system })
          for (const deadline of DEADLINES) add(first ? all : few, { ...at, model, system, deadline })
        }
        if (first) add(few, { ...at, model, system: 'paper’s code' })
        if (trouble === 'random' && load > 0.3) {
          add(few, { ...at, model, system: 'recover, S = 0' }, { ...at, model, system: 'recover, S = 1' })
        }
      }
    }
  }
  for (const [trouble, load] of [
    ['bimodal', 0.6],
    ['pauses', 0.6],
    ['pool slow', 0.3],
  ] as const) {
    // biome-ignore format: one line
    const at = { trouble, load, shift: 'none' as const }
    for (const system of ['no redundancy', 'hedge']) add(all, { ...at, model: ANY, system })
    for (const model of names) for (const system of ours) add(all, { ...at, model, system })
  }
  for (const shift of ['clothes', 'mix'] as const) {
    for (const model of shift === 'clothes' ? [ANY] : names) {
      for (const system of ours) add(all, { model, trouble: 'random', load: 0.6, shift, system })
    }
  }
  return planned
}

export const FILE = 'build/latency.json'

function kept(): Results {
  try {
    return JSON.parse(readFileSync(FILE, 'utf8'))
  } catch {
    return { costs: {}, runs: {} }
  }
}

export default async function latency(json: boolean, words: string[]): Promise<void> {
  const [seeds, wanted] = [Number(words.find((word) => Number(word)) ?? SEEDS), words.filter((word) => !Number(word))]
  mkdirSync('build', { recursive: true })
  const results = kept()
  for (const name of names) results.costs[name] ??= await measureCosts(name)
  const cells = plan().filter(({ cell }) => wanted.every((word) => keyOf(cell).includes(word)))
  const jobs: Job[] = []
  for (const { cell, seeds: count } of cells) {
    results.runs[keyOf(cell)] ??= []
    for (let seed = 1; seed <= count(seeds); seed++) {
      if (!results.runs[keyOf(cell)][seed - 1]) jobs.push({ ...cell, seed })
    }
  }
  // All of one seed and model together, since they have the same state; and seed by seed, so that a part tells of all.
  jobs.sort(
    (a, b) => a.seed - b.seed || names.indexOf(a.model) - names.indexOf(b.model) || (a.shift < b.shift ? -1 : 1),
  )
  await run(jobs, results, json)
  if (json) return console.log(JSON.stringify(results, null, 1))
  print(cells.map(({ cell }) => cell), results) // biome-ignore format: one line
  if (!wanted.length) await report(results)
}

/** Jobs of the same state, which one process should do. */
function batches(jobs: readonly Job[]): Job[][] {
  const stateOf = ({ model, shift, seed }: Job) => `${model} ${shift} ${seed}`
  const parts: Job[][] = []
  for (const job of jobs) {
    const last = parts.at(-1)
    if (last && stateOf(last[0]) === stateOf(job)) last.push(job)
    else parts.push([job])
  }
  return parts
}

async function run(jobs: Job[], results: Results, quiet: boolean): Promise<void> {
  let [done, writtenAt] = [0, performance.now()]
  const start = performance.now()
  const save = () => writeFileSync(FILE, JSON.stringify(results))
  const take = (job: Job, figures: Figures) => {
    const runs = results.runs[keyOf(job)]
    while (runs.length < job.seed) runs.push(null)
    runs[job.seed - 1] = figures
    done++
    if (performance.now() - writtenAt < 10_000) return
    writtenAt = performance.now()
    save()
    const minutes = (performance.now() - start) / 60_000
    if (!quiet)
      console.error(`${done} of ${jobs.length} runs, ${minutes.toFixed(1)} min: ${keyOf(job)}, seed ${job.seed}`)
  }
  const charged = batches(jobs).map((batch) => batch.map((job) => ({ ...job, costs: results.costs[job.model] })))
  await inProcesses<Job & { costs: ThreadCosts }, Figures>(
    new URL('./latency-run.ts', import.meta.url).href,
    charged,
    take,
  )
  save()
}

/** The rival that all is held against: the same seeds, without a deadline, of no model. */
export const hedgeOf = (cell: Cell): Cell => ({
  ...cell,
  model: ANY,
  shift: 'none',
  system: 'hedge',
  deadline: undefined,
})

/** Figures of the seeds that both have. */
export function paired(results: Results, a: Cell, b: Cell): [Figures, Figures][] {
  const [first, second] = [results.runs[keyOf(a)] ?? [], results.runs[keyOf(b)] ?? []]
  return first.flatMap((figures, i) => {
    const other = second[i]
    return figures && other ? [[figures, other] as [Figures, Figures]] : []
  })
}

export const runsOf = (results: Results, cell: Cell): Figures[] =>
  (results.runs[keyOf(cell)] ?? []).filter((each) => each !== null)

/** Median, and the two order statistics that hold it in at least 95 of 100 cases; all there are where they are few. */
export function middle(values: readonly number[]): { median: number; low: number; high: number } {
  const sorted = [...values].sort((a, b) => a - b)
  const n = sorted.length
  let [at, tail, term] = [0, 0, 0.5 ** n] // of the binomial distribution
  while (at < n / 2 && tail + term <= 0.025) {
    tail += term
    at++
    term *= (n - at + 1) / at
  }
  const from = Math.max(0, at - 1)
  return { median: median(sorted), low: sorted[from], high: sorted[n - 1 - from] }
}

export const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0)

function print(cells: readonly Cell[], results: Results): void {
  const rows = table([
    '',
    'p50',
    'p99',
    'p99.9',
    'machine',
    'recovered',
    'agree',
    'in time',
    'p99, p99.9 of the hedge’s',
  ])
  for (const cell of cells) {
    const figures = runsOf(results, cell)
    if (!figures.length) continue
    const over = (of: (each: Figures) => number) => middle(figures.map(of)).median
    const recovered = sum(figures.map((each) => sum(each.recovered)))
    const agreed = sum(figures.map((each) => sum(each.agreed)))
    const ratio = (name: 'p99' | 'p999') => {
      const ratios = paired(results, cell, hedgeOf(cell)).map(([own, theirs]) => own[name] / theirs[name])
      const { median, low, high } = middle(ratios)
      return ratios.length ? `${median.toFixed(2)} [${low.toFixed(2)}, ${high.toFixed(2)}]` : ''
    }
    rows.push([
      keyOf(cell),
      ...(['p50', 'p99', 'p999', 'machineMs'] as const).map((name) =>
        over((each) => each[name] ?? Number.POSITIVE_INFINITY).toFixed(2),
      ),
      `${(100 * over((each) => sum(each.recovered) / (each.recovered.length * 500))).toFixed(2)} %`,
      recovered ? (agreed / recovered).toFixed(3) : '',
      DEADLINES.map((D) => over((each) => each.inTime[D] ?? Number.NaN).toFixed(4)).join(' '),
      cell.deadline ? '' : `${ratio('p99')}, ${ratio('p999')}`,
    ])
  }
  console.log(rows.toString())
}
