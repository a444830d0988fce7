/**
 * npm run bench -- laws [SEEDS] [WORD ...] [--json]: the tail in 25 worlds of answer times, in simulated time, without a memory, beside a plain
 * queue and hedged requests by hand. Prints every cell, and writes the means of them into docs/appendix/laws.md. Three seeds of 10,000 queries unless
 * told otherwise. With words only cells whose names have all of them, and no page. A process a core; five minutes on two.
 */

import { writeFileSync } from 'node:fs'
import { measures, type Tail } from '../shared/arrivals'
import { median } from '../shared/measure'
import { inProcesses } from '../shared/processes'
import { markdownTable } from '../shared/report'
import { type Cell, comparisons, nameOf, type Place, places, settledPlaces } from './cells'
import { page } from './laws-page'
import { type Job, systems } from './laws-run'

const SEEDS = 3

async function measured(places: readonly Place[], seeds: number): Promise<Cell[]> {
  const runs = new Map<string, Tail[]>()
  const keyOf = (place: Place, system: string) => `${nameOf(place)}, ${system}`
  const jobs: Job[] = []
  for (const place of places)
    for (const system of Object.keys(systems)) {
      runs.set(keyOf(place, system), [])
      for (let seed = 1; seed <= seeds; seed++) jobs.push({ ...place, system, seed: 10 * seed })
    }
  await inProcesses<Job, Tail>(
    new URL('./laws-run.ts', import.meta.url).href,
    jobs.map((job) => [job]),
    (job, figures) => runs.get(keyOf(job, job.system))?.push(figures),
  )
  return places.map((place) => {
    const figuresOf = (system: string) => middle(runs.get(keyOf(place, system)) ?? [])
    const [queue, hedge95, hedge90, approxifer] = Object.keys(systems).map(figuresOf)
    return { ...place, queue, hedge95, hedge90, hedge: hedge90.p99 < hedge95.p99 ? hedge90 : hedge95, approxifer }
  })
}

const middle = (runs: readonly Tail[]) =>
  Object.fromEntries(measures.map((name) => [name, median(runs.map((run) => run[name]))])) as unknown as Tail

function everyCell(cells: readonly Cell[]): string {
  const shown = (tail: Tail) => measures.map((name) => tail[name].toFixed(1)).join(' / ')
  const rows = cells.map((cell) => [
    nameOf(cell),
    shown(cell.queue),
    `${cell.hedge === cell.hedge90 ? 90 : 95}: ${shown(cell.hedge)}`,
    shown(cell.approxifer),
    Object.values(comparisons)
      .map((of) => of(cell).toFixed(2))
      .join(' / '),
  ])
  const head = ['p50 / p99 / p99.9 / machine time, ms', 'queue', 'percentile: hedge', 'approxifer']
  return markdownTable([...head, Object.keys(comparisons).join(' / ')], rows)
}

export default async function laws(json: boolean, words: string[]): Promise<void> {
  const seeds = Number(words.find((word) => Number(word)) ?? SEEDS)
  const wanted = words.filter((word) => !Number(word))
  const all = [...places, ...settledPlaces]
  const cells = await measured(
    all.filter((place) => wanted.every((word) => nameOf(place).includes(word))),
    seeds,
  )
  if (json) return console.log(JSON.stringify(cells, null, 1))
  console.log(everyCell(cells))
  if (!wanted.length) writeFileSync('docs/appendix/laws.md', page(cells, seeds))
}
