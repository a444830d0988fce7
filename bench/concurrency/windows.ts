/**
 * npm run bench -- windows [WORD ...] [--json]: four servers behind a round trip, of which each answers some calls at once and lets the others
 * wait; in simulated time. 256 callers, or queries that come by themselves at a load of .3 or .7: queries a second, p50 and p99 of the
 * predictor where it is told how many calls a server takes and where it is not, over those of calls to whichever server has the fewest
 * open, with the right window told: as many as a server is at work on while one is on its way, at most 256. Deviation: of the logarithm of
 * what an inference takes. With words only cells whose names have all of them. A process a core; ten minutes on two.
 */

import { table } from '../../src/cli/table'
import { inProcesses } from '../shared/processes'
import { type Figures, type Job, rightWindow } from './windows-run'

const DEVIATIONS = [0.1, 1]
const ROUND_TRIPS = [1, 5, 20, 50]
const INFERENCES = [0.5, 2, 10]
const AT_ONCE = [1, 4, 16]
const DEMANDS = [{ callers: 256 }, { load: 0.3 }, { load: 0.7 }]
const SYSTEMS = ['by hand', 'told', 'untold'] as const
const QUERIES = 8000

const cellOf = ({ deviation, roundTripMs, inferenceMs, atOnce, callers, load }: Job) =>
  `deviation ${deviation}, ${roundTripMs} + ${inferenceMs} ms, ${atOnce} at once, ${callers ? `${callers} callers` : `load ${load}`}`

function cells(wanted: readonly string[]): Job[][] {
  const all: Job[][] = []
  for (const deviation of DEVIATIONS)
    for (const demand of DEMANDS)
      for (const roundTripMs of ROUND_TRIPS)
        for (const inferenceMs of INFERENCES)
          for (const atOnce of AT_ONCE)
            all.push(
              SYSTEMS.map((system) => ({
                ...{ deviation, roundTripMs, inferenceMs, atOnce, ...demand, system, seed: 10, queries: QUERIES },
              })),
            )
  return all.filter(([job]) => wanted.every((word) => cellOf(job).includes(word)))
}

const ratiosOf = (own: Figures, rival: Figures) => [
  own.perSecond / rival.perSecond,
  own.p50 / rival.p50,
  own.p99 / rival.p99,
]
const meanOf = (values: number[]) => Math.exp(values.reduce((sum, value) => sum + Math.log(value), 0) / values.length)
const shown = (ratios: number[]) => ratios.map((ratio) => ratio.toFixed(2)).join(', ')

export default async function windows(json: boolean, words: string[]): Promise<void> {
  const jobs = cells(words)
  const found = new Map<string, Partial<Record<Job['system'], Figures>>>()
  await inProcesses<Job, Figures>(new URL('./windows-run.ts', import.meta.url).href, jobs, (job, figures) => {
    found.set(cellOf(job), { ...found.get(cellOf(job)), [job.system]: figures })
  })
  if (json) return console.log(JSON.stringify(Object.fromEntries(found), null, 1))
  const text = table(['', 'by hand', 'right', 'untold', 'told: a second, p50, p99', 'untold'])
  const ratios = { told: [] as number[][], untold: [] as number[][] }
  for (const [job] of jobs) {
    const figures = found.get(cellOf(job)) as Record<Job['system'], Figures>
    const [rival, told, untold] = SYSTEMS.map((system) => figures[system])
    ratios.told.push(ratiosOf(told, rival))
    ratios.untold.push(ratiosOf(untold, rival))
    const hand = `${rival.perSecond.toFixed(0)} a second, p99 ${rival.p99.toFixed(1)} ms`
    const own = [told, untold].map((each) => shown(ratiosOf(each, rival)))
    text.push([cellOf(job), hand, `${rightWindow(job)}`, untold.windows.join(' '), ...own])
  }
  console.log(text.toString())
  for (const [name, all] of Object.entries(ratios)) {
    const means = [0, 1, 2].map((i) => meanOf(all.map((each) => each[i])))
    const slow = all.filter(([perSecond]) => perSecond < 0.97).length
    const late = all.filter((each) => each[2] > 1.05).length
    console.log(
      `${name}: geometric means ${shown(means)}; of ${all.length} cells ${slow} below .97 a second, ${late} above 1.05 in p99`,
    )
  }
}
