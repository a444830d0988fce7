/**
 * npm run bench -- cold [SEEDS] [--json]: a memory that begins with nothing, whose costs are charged from the first query on, beside the
 * same pool without one, in simulated time: 27 workers, 2 % of calls ten times as long, 40,000 queries of three models, told of 5,000 at a time.
 * The queries are the 10,000 test images, and each moved by a pixel in three directions, with the model's own answers. One seed unless told
 * otherwise; a process a core, ten minutes on two. Needs `npm run data`.
 */

import { table } from '../../src/cli/table'
import { median } from '../shared/measure'
import { measureCosts } from '../shared/memory-costs'
import { type ModelName, models } from '../shared/models'
import { inProcesses } from '../shared/processes'
import { type Job, SPAN, type Span } from './cold-run'

const LOADS = [0.6, 0.8]

export default async function cold(json: boolean, [seeds = '1']: string[]): Promise<void> {
  const runs: { job: Job; spans: Span[] }[] = []
  const jobs: Job[][] = []
  for (const model of Object.keys(models) as ModelName[]) {
    const costs = await measureCosts(model)
    const all = LOADS.flatMap((load) => (['retry', 'auto'] as const).map((policy) => ({ model, load, policy, costs })))
    jobs.push(Array.from({ length: Number(seeds) }, (_, seed) => all.map((each) => ({ ...each, seed }))).flat())
  }
  await inProcesses<Job, Span[]>(new URL('./cold-run.ts', import.meta.url).href, jobs, (job, spans) =>
    runs.push({ job, spans }),
  )
  if (json) return console.log(JSON.stringify(runs))
  const rows = table(['model', 'load', 'queries', 'p50: without', 'with', 'p99: without', 'with', 'recovered', 'wrong'])
  for (const [{ model }] of jobs) for (const load of LOADS) for (const row of rowsOf(runs, model, load)) rows.push(row)
  console.log(rows.toString())
}

/** A row for each span, medians over the seeds. */
function rowsOf(runs: { job: Job; spans: Span[] }[], model: ModelName, load: number): string[][] {
  const of = (policy: Job['policy']) =>
    runs.filter(({ job }) => job.model === model && job.load === load && job.policy === policy)
  const [without, having] = [of('retry'), of('auto')]
  return without[0].spans.map((_, span) => {
    const figure = (of: typeof runs, what: keyof Span) => median(of.map(({ spans }) => spans[span][what]))
    const times = (['p50', 'p99'] as const).flatMap((what) => [figure(without, what), figure(having, what)])
    const shares = (['recovered', 'wrong'] as const).map((what) => `${(100 * figure(having, what)).toFixed(2)} %`)
    return [model, String(load), `to ${(span + 1) * SPAN}`, ...times.map((ms) => ms.toFixed(1)), ...shares]
  })
}
