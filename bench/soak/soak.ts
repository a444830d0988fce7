/**
 * npm run soak [-- QUERIES] [--configuration NAME]: predictors on real threads with everything going wrong, one configuration
 * after the other; 20,000 queries, divided among them, unless told otherwise. Ends with 1, and a sentence for each check that
 * failed, unless all held. More digits with `npm run data`.
 */

import { parseArgs } from 'node:util'
import { seeded } from '../../src/base/random'
import { mean } from '../../src/base/stats'
import { table } from '../../src/cli/table'
import { grown, sizesOf } from '../../src/memory/domain'
import { atMost, type Check, counts, equal } from './checks'
import { type Configuration, configurations } from './configurations'
import { loadDigits } from './digits'
import { memory, resources } from './holdings'
import { type Load, type Served, serve, startWorkers, until } from './serving'

interface Result extends Served {
  name: string
  /** MB at each fifth of the queries. */
  heap: number[]
  rss: number[]
  /** Queries remembered by then. */
  remembered: number[]
}

/** From `npm run data`. */
const MORE_DIGITS = 'data/mnist-images.npy'
/** Pools that start and stop before: until then malloc holds less than it will. */
const WARM_UPS = 8
/** Queries before the first that count: until then code is compiled, which stays (the first of three equal runs left 4.9 MB of heap behind, the others .4 and .1). */
const WARM_UP_QUERIES = 1000
/** Growth of resident memory, see there. */
const MOST_GROWTH = 0.1

/** @param queries  a multiple of 5 and of the number of predictors */
async function run(configuration: Configuration, queries: number, load: Load): Promise<Result> {
  const { name, predictors } = configuration
  const result: Result = {
    name,
    asked: 0,
    agreed: 0,
    endings: {},
    times: [],
    troubles: 0,
    ejections: 0,
    heap: [],
    rss: [],
    remembered: [],
    checks: [],
  }
  const before = { heap: memory().heap, resources: resources() }
  let arrived = 0
  const sample = (remembered: () => number) => {
    if (++arrived % (queries / 5)) return
    const { heap, rss } = memory()
    result.heap.push(heap)
    result.rss.push(rss)
    result.remembered.push(remembered())
  }
  for (const options of predictors) {
    add(result, await serve(configuration, options, load, queries / predictors.length, sample))
  }
  result.checks.push(...(await checkHoldings(result, before)))
  return result
}

function add(result: Result, { asked, agreed, endings, times, troubles, ejections, checks }: Served): void {
  result.asked += asked
  result.agreed += agreed
  result.times.push(...times)
  result.troubles += troubles
  result.ejections += ejections
  result.checks.push(...checks)
  for (const [ending, n] of Object.entries(endings)) result.endings[ending] = (result.endings[ending] ?? 0) + n
}

/** MB that so many remembered digits take, by the memory's own reckoning. */
function learned(count: number): number {
  return grown(sizesOf([1, 28, 28], 10, 'patches'), count) / 2 ** 20
}

/** What a configuration holds at its end, and what it leaves behind. */
async function checkHoldings(
  { heap, remembered }: Result,
  before: { heap: number; resources: Record<string, number> },
) {
  const more = () => Object.entries(resources()).filter(([kind, n]) => n > (before.resources[kind] ?? 0))
  await until(() => !more().length && memory().heap <= before.heap + 5)
  return [
    equal('kinds of resources of which there are more than before', '', counts(Object.fromEntries(more()))),
    atMost('MB of heap more than before', 5, memory().heap - before.heap),
    atMost(
      'MB of heap at the end of the queries',
      heap[1] + 5 + learned(remembered[4]) - learned(remembered[1]),
      heap[4],
    ),
  ]
}

/**
 * Resident memory of all points beyond two fifths of the run, by that of the points before: means, since one pool of twelve
 * workers differs from the next by a tenth.
 *
 * Why not 5 %: what grows is not in use. A thread reads 14 MB of runtime and compiles them, and what it frees stays in glibc's
 * arenas, eight a core, since after the first such block they give nothing back below 64 MB each. Of ten pools, started and
 * stopped, 6 to 9 MB were in use after most, about 150 after two, but 427 to 834 MB held; malloc_trim(0) gave 660 of 920 MB back, and with
 * MALLOC_MMAP_THRESHOLD_=131072 twelve workers took 460 MB instead of 980.
 */
function checkResident(results: Result[]): Check {
  const points = results.flatMap(({ rss }) => rss)
  const at = Math.round(0.4 * points.length)
  const growth = mean(points.slice(at)) / mean(points.slice(0, at)) - 1
  return atMost('growth of resident memory', MOST_GROWTH, growth)
}

function print(results: Result[]): void {
  const head = [
    'configuration',
    'queries',
    'exact',
    'checked',
    'recovered',
    'failed',
    'right',
    'p50',
    'p99',
    'troubles',
    'ejected',
    'heap, MB',
    'rss, MB',
    '',
  ]
  const rows = table(head)
  for (const { name, asked, agreed, endings, times, troubles, ejections, heap, rss, checks } of results) {
    const { exact = 0, checked = 0, recovered = 0, ...failed } = endings
    const sorted = times.sort((a, b) => a - b)
    const at = (share: number) => `${sorted[Math.floor(share * (sorted.length - 1))].toFixed(1)} ms`
    const megabytes = (values: number[]) => values.map((value) => value.toFixed(0)).join(' ')
    const ok = checks.every(({ holds }) => holds) ? 'ok' : 'FAILED'
    rows.push([name, asked, exact, checked, recovered, counts(failed), `${(100 * agreed / times.length).toFixed(2)} %`, at(0.5), at(0.99), troubles, ejections, megabytes(heap), megabytes(rss), ok]) // biome-ignore format: one line
  }
  console.log(String(rows))
}

async function soak(chosen: Configuration[], queries: number): Promise<boolean> {
  const rejections: string[] = []
  process.on('unhandledRejection', (reason) => rejections.push(String(reason)))
  const load = { digits: await loadDigits(MORE_DIGITS), random: seeded(7) }
  for (let pool = 0; pool < WARM_UPS; pool++) await Promise.all((await startWorkers()).map((worker) => worker.close()))
  await run(chosen[0], WARM_UP_QUERIES, load)
  const each = 25 * Math.max(1, Math.round(queries / chosen.length / 25))
  const results: Result[] = []
  for (const configuration of chosen) {
    console.log(`${configuration.name}: ${each} queries ...`)
    results.push(await run(configuration, each, load))
  }
  print(results)
  const whole = {
    name: 'all',
    checks: [equal('unhandled rejections', '', rejections.join('; ')), checkResident(results)],
  }
  const all = [...results, whole].flatMap(({ name, checks }) => checks.map((check) => ({ ...check, name })))
  const failed = all.filter(({ holds }) => !holds)
  for (const { name, text } of failed) console.log(`FAILED ${name}: ${text}`)
  const held = failed.length ? `${failed.length} of ${all.length} checks failed` : `all ${all.length} checks held`
  const sum = (of: (result: Result) => number) => results.reduce((all, result) => all + of(result), 0)
  const [checked, ejections] = [sum(({ endings }) => endings.checked ?? 0), sum((result) => result.ejections)]
  console.log(`${held}; ${checked} checked answers, ${ejections} ejections; ${whole.checks[1].text}`)
  return !failed.length
}

const { values, positionals } = parseArgs({ options: { configuration: { type: 'string' } }, allowPositionals: true })
const queries = Number(positionals[0] ?? 20_000)
const chosen = configurations.filter(({ name }) => name === (values.configuration ?? name))
if (!(queries >= 1) || positionals.length > 1 || !chosen.length) {
  console.error(
    `usage: npm run soak -- [QUERIES] [--configuration ${configurations.map(({ name }) => name).join('|')}]`,
  )
  process.exitCode = 2
} else process.exit((await soak(chosen, queries)) ? 0 : 1) // whatever was left over
