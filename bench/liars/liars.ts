/**
 * npm run bench -- liars [SEEDS] [WORD ...] [--json]: what becomes of workers that lie and of the queries that they are asked, in
 * simulated time, with the answers of real models and a real predictor. Runs are kept in build/liars.json and not made again; with
 * words only cells that have all of them in their names. A process a core. Needs `npm run data`.
 */

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { table } from '../../src/cli/table'
import type { Verified } from '../../src/evaluate/verified'
import { type ModelName, models } from '../shared/models'
import { inProcesses } from '../shared/processes'
import type { Part } from './liars-parts'
import { PASSING, report } from './liars-report'
import type { Figures, Habit, Job } from './liars-run'
import { CRAFTS, type Neighbour } from './neighbours'

export const names = Object.keys(models) as ModelName[]
const FILE = 'build/liars.json'

export const attacks = ['gauss:1', 'gauss:10', 'gauss:100', 'flip', 'swap', 'runner-up', 'constant', 'replay', 'scaled', 'straddle'] // biome-ignore format: one line

export type Cell = Omit<Job, 'seed'>
interface Planned {
  cell: Cell
  seeds: number
}

const usual = { workers: 9, liars: 1, attack: 'none', habit: 'always' as Habit, memory: 1000, brief: false, queries: 1500, options: { verify: { integrity: 0.9 } } } // biome-ignore format: one line

/** The usual where nothing else is said. */
export function keyOf(cell: Partial<Cell> & { model: ModelName }): string {
  const { model, workers, liars, attack, habit, memory, queries, options } = { ...usual, ...cell }
  const chosen = Object.entries(options).map(([name, value]) => `${name} ${JSON.stringify(value)}`)
  const at = [model, `M ${workers}`, `E ${liars}`, attack, habit, `memory ${memory}`, `${queries} queries`]
  return [...at, ...chosen].join(' | ')
}

function plan(seeds: number): Planned[] {
  const planned: Planned[] = []
  const add = (count: number, each: Partial<Cell>) => {
    for (const model of names) {
      planned.push({ cell: { model, ...usual, ...each }, seeds: count })
    }
  }
  const [some, few] = [Math.ceil(seeds / 3), Math.ceil(seeds / 10)]
  for (const attack of attacks) add(seeds, { attack, brief: true })
  for (const habit of ['tenth', 'unsure'] as const) add(some, { attack: 'scaled', habit, brief: true, queries: 15_000 })
  add(few, { attack: 'scaled', habit: 'later', brief: true, queries: 20_000 })
  add(few, { attack: 'oracle', queries: 6000 })
  for (const integrity of [0.8, 0.9, 0.95, 0.97])
    add(few, { liars: 0, queries: 3000, options: { verify: { integrity } } })
  add(few, { liars: 0, queries: 3000, options: { verify: { integrity: 1 }, memory: false } })
  for (const liars of [2, 3]) {
    const scheme = { queries: 8, byzantine: liars }
    add(few, { liars: 0, queries: 3000, options: { verify: { integrity: 0.9 }, scheme } })
    for (const attack of ['replay', 'swap', 'scaled']) add(some, { liars, attack, brief: true })
  }
  for (const workers of [18, 27]) add(some, { workers, attack: 'swap', brief: true })
  for (const memory of [0, 4000]) {
    add(some, { memory, attack: 'swap', brief: true })
    add(few, { memory, liars: 0, queries: 3000 })
  }
  add(few, { attack: 'swap', queries: 3000 })
  // Beside the paper's scheme, on as many machines as that takes with some to spare.
  const paper = { queries: 8, byzantine: 1, preset: 'aaai22' as const }
  for (const attack of ['none', 'swap']) {
    const at = { workers: 27, liars: attack === 'none' ? 0 : 1, attack, queries: 2000 }
    add(few, at)
    add(few, { ...at, options: { verify: { integrity: 1 }, memory: false } })
    add(few, { ...at, options: { scheme: paper } })
  }
  add(few, { liars: 0, queries: 20_000 })
  return planned
}

type Runs = Record<string, (Figures | null)[]>

/** Figures by cell and seed; and by model and attack how many lies would pass. */
export interface Results {
  runs: Runs
  passing: Record<string, Verified>
  /** By model and what the neighbour asks. */
  neighbours: Record<string, Neighbour>
}

function kept(): Results {
  const nothing = { runs: {}, passing: {}, neighbours: {} }
  try {
    return { ...nothing, ...JSON.parse(readFileSync(FILE, 'utf8')) }
  } catch {
    return nothing
  }
}

export default async function liars(json: boolean, words: string[]): Promise<void> {
  const [seeds, wanted] = [Number(words.find((word) => Number(word)) ?? 30), words.filter((word) => !Number(word))]
  mkdirSync('build', { recursive: true })
  const results = kept()
  const { runs } = results
  const cells = plan(seeds).filter(({ cell }) => wanted.every((word) => keyOf(cell).includes(word)))
  const jobs: Job[] = cells.flatMap(({ cell, seeds }) => {
    runs[keyOf(cell)] ??= []
    const missing = Array.from({ length: seeds }, (_, i) => i).filter((i) => !runs[keyOf(cell)][i])
    return missing.map((i) => ({ ...cell, seed: i + 1 }))
  })
  jobs.sort((a, b) => a.queries - b.queries) // the long ones last, so that most is known soon
  let writtenAt = performance.now()
  const batches = jobs.map((job) => [job])
  await inProcesses<Job, Figures>(new URL('./liars-run.ts', import.meta.url).href, batches, (job, figures) => {
    runs[keyOf(job)][job.seed - 1] = figures
    if (performance.now() - writtenAt < 10_000) return
    writtenAt = performance.now()
    writeFileSync(FILE, JSON.stringify(results))
  })
  const missing = (wanted.length ? [] : parts()).filter((part) => {
    const [all, key] = placeOf(results, part)
    return !all[key]
  })
  const each = missing.map((part) => [part])
  await inProcesses<Part, unknown>(new URL('./liars-parts.ts', import.meta.url).href, each, (part, told) => {
    const [all, key] = placeOf(results, part)
    all[key] = told
    writeFileSync(FILE, JSON.stringify(results))
  })
  writeFileSync(FILE, JSON.stringify(results))
  if (json) return console.log(JSON.stringify(results, null, 1))
  print(cells.map(({ cell }) => cell), runs) // biome-ignore format: one line
  if (!wanted.length) await report(results)
}

/** What there is beside the runs, the longest first. */
function parts(): Part[] {
  const models = [...names].reverse()
  return [
    ...models.flatMap((model) => CRAFTS.map((craft) => ({ kind: 'neighbour' as const, model, craft }))),
    ...models.flatMap((model) => PASSING.map((attack) => ({ kind: 'passing' as const, model, attack }))),
  ]
}

/** Where a part's figures are kept. */
function placeOf({ passing, neighbours }: Results, part: Part): [all: Record<string, unknown>, key: string] {
  if (part.kind === 'passing') return [passing, `${part.model} ${part.attack}`]
  return [neighbours, `${part.model} ${part.craft}`]
}

const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0)

function print(cells: readonly Cell[], runs: Runs): void {
  const rows = table([
    '',
    'lies until ejected: median',
    'p99',
    'never',
    'wrong labels',
    'extra',
    'later',
    'framed',
    'p50',
    'p99',
  ])
  for (const cell of cells) {
    const all = (runs[keyOf(cell)] ?? []).filter((each) => each !== null)
    if (!all.length) continue
    const lies = all.flatMap((each) => each.lies)
    const told = lies.filter((each) => each !== null).sort((a, b) => a - b)
    const at = (values: readonly number[], share: number) => values[Math.ceil(share * values.length) - 1]
    const middle = (of: (each: Figures) => number) => at(all.map(of).sort((a, b) => a - b), 0.5) // biome-ignore format: one line
    const wrong = (status: string) => sum(all.map((each) => each.wrong[status] ?? 0))
    const given = sum(all.map((each) => each.queries))
    rows.push([
      keyOf(cell),
      told.length ? `${at(told, 0.5)}` : '',
      told.length ? `${at(told, 0.99)}` : '',
      `${lies.length - told.length} of ${lies.length}`,
      `${wrong('checked')} checked, ${wrong('exact')} exact, ${wrong('recovered')} recovered of ${given}`,
      middle((each) => each.extra).toFixed(3),
      middle((each) => each.extraLater).toFixed(3),
      `${sum(all.map((each) => each.honestEjected))}`,
      middle((each) => each.p50).toFixed(1),
      middle((each) => each.p99).toFixed(1),
    ])
  }
  console.log(rows.toString())
}
