/**
 * npm run bench -- sampled [SEEDS] [WORD ...] [--json]: what sampled verification costs and finds. Three image models and an embedder of texts, ten attacks,
 * a quarter of the workers lying always, one time in 10, one in 100, in simulated time. One seed unless it says otherwise; with words only cells that have all of them in
 * their names. A process a core. Needs `npm run data`.
 */

import { mkdirSync } from 'node:fs'
import { table } from '../../src/cli/table'
import { inProcesses } from '../shared/processes'
import { ATTACKS, type Figures, type Job, MODELS } from './sampled-run'

/** Share of lies, and liars of an attack: the fewer, the longer it takes. */
const HABITS = {
  always: { share: 1, each: 4 },
  'one in ten': { share: 0.1, each: 2 },
  'one in a hundred': { share: 0.01, each: 1 },
}

const at = (values: readonly number[], share: number) => values[Math.ceil(share * values.length) - 1]
const sum = (all: readonly Figures[], of: (each: Figures) => number) => all.reduce((total, each) => total + of(each), 0)
const percent = (share: number) => `${(100 * share).toFixed(1)} %`

export default async function sampled(json: boolean, words: string[]): Promise<void> {
  const [seeds, wanted] = [Number(words.find((word) => Number(word)) ?? 1), words.filter((word) => !Number(word))]
  mkdirSync('build', { recursive: true })
  const cells = Object.entries(HABITS).flatMap(([habit, how]) =>
    MODELS.map((model) => ({ cell: `${model}, ${habit}`, model, habit, ...how })),
  )
  const chosen = cells.filter(({ cell }) => wanted.every((word) => cell.includes(word)))
  const runs = new Map<string, Figures[]>(chosen.map(({ cell }) => [cell, []]))
  const jobs = chosen.flatMap((each) => Array.from({ length: seeds }, (_, i) => ({ ...each, seed: i + 1 })))
  const batches = jobs.map((job) => [job])
  await inProcesses<Job & { cell: string }, Figures>(new URL('./sampled-run.ts', import.meta.url).href, batches, (job, figures) => { runs.get(job.cell)?.push(figures) }) // biome-ignore format: one line
  if (json) return console.log(JSON.stringify(Object.fromEntries(runs), null, 1))
  const rows = table(['', 'queries', 'inferences beyond the first: audits', 'others', 'lies until convicted: median', '95 %', 'never', 'wrong given by convicts', 'recalled', 'right ones recalled', 'wrong given by others', 'unverified', 'framed']) // biome-ignore format: one line
  for (const [cell, all] of runs) rows.push(rowOf(cell, all))
  for (const habit of Object.keys(HABITS)) {
    const all = chosen.flatMap((each) => (each.habit === habit ? (runs.get(each.cell) ?? []) : []))
    if (all.length) rows.push(rowOf(`all, ${habit}`, all))
  }
  console.log(rows.toString())
  const byAttack = table(['lies until convicted: median, 95 %', ...Object.keys(HABITS)])
  for (const attack of ATTACKS) {
    const cellOf = (habit: string) => {
      const all = chosen.flatMap((each) => (each.habit === habit ? (runs.get(each.cell) ?? []) : []))
      const lies = liesIn(all, attack)
      return lies.length ? `${at(lies, 0.5)}, ${at(lies, 0.95)} (of ${lies.length})` : ''
    }
    byAttack.push([attack, ...Object.keys(HABITS).map(cellOf)])
  }
  console.log(byAttack.toString())
}

/** Lies of each liar until it was convicted; of those that were not, more than of any other. */
function liesIn(all: readonly Figures[], attack?: string): number[] {
  const liars = all.flatMap((each) => each.liars).filter((each) => attack === undefined || each.attack === attack)
  return liars.map(({ lies, isConvicted }) => (isConvicted ? lies : Number.POSITIVE_INFINITY)).sort((a, b) => a - b)
}

function rowOf(cell: string, all: readonly Figures[]): string[] {
  const lies = liesIn(all)
  const queries = sum(all, (each) => each.queries)
  const each = (of: (figures: Figures) => number) => (sum(all, of) / queries).toFixed(4)
  const convicts = sum(all, ({ wrong }) => wrong.convicts)
  return [
    cell,
    `${queries}`,
    each(({ audits }) => audits),
    each(({ others }) => others),
    `${at(lies, 0.5)}`,
    `${at(lies, 0.95)}`,
    `${lies.filter((each) => each === Number.POSITIVE_INFINITY).length} of ${lies.length}`,
    `${convicts}`,
    percent(sum(all, ({ wrong }) => wrong.recalled) / convicts),
    `${sum(all, ({ inVain }) => inVain)}`,
    `${sum(all, ({ wrong }) => wrong.others)}`,
    percent(sum(all, ({ statuses }) => statuses.unverified ?? 0) / queries),
    `${sum(all, ({ framed }) => framed)}`,
  ]
}
