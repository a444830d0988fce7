/**
 * npm run simulate -- [SEED] [--seeds COUNT] [--queries COUNT] [--shrink] [--history]: the predictor, its pool, trust and memory in
 * simulated time, with workers that are slow by any law, die, hang, lie, leave and come back, and callers who leave; for some
 * seeds over a simulated network, behind a gateway, and with restarts from a disk. What is
 * guaranteed is checked of each run. A seed is a run, the same to the byte each time. `--shrink` finds fewer events that break the same
 * promises, `--history` prints all that happened. `--kept` runs the schedules that once found a defect instead. A process a core. Ends with 1
 * where a promise was broken.
 */

import { createHash } from 'node:crypto'
import { parseArgs } from 'node:util'
import { inProcesses } from '../../bench/shared/processes'
import { Checked } from './checked'
import { corpus } from './corpus'
import { drawn, type Schedule } from './schedule'
import type { Job, Outcome } from './seed'
import { shrunk } from './shrink'
import { run, tried } from './world'

/** Events of a schedule that are printed. */
const MOST_SHOWN = 50

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    seeds: { type: 'string', default: '1' },
    queries: { type: 'string', default: '500' },
    shrink: { type: 'boolean', default: false },
    history: { type: 'boolean', default: false },
    kept: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
  },
})
const [first, seeds, queries] = [positionals[0] ?? '1', values.seeds, values.queries].map(Number)

if (values.history) for (const entry of (await run(drawn(first, queries))).entries) console.log(JSON.stringify(entry))
else if (values.kept) await simulateKept()
else await simulateAll()

async function simulateAll(): Promise<void> {
  const jobs = Array.from({ length: seeds }, (_, i) => ({ seed: first + i, queries }))
  const outcomes = new Map<number, Outcome>()
  const seed = new URL('./seed.ts', import.meta.url).href
  await inProcesses<Job, Outcome>(seed, jobs.map((job) => [job]), (job, outcome) => outcomes.set(job.seed, outcome)) // biome-ignore format: one line
  const hash = createHash('sha256')
  const checked = new Checked()
  for (const { seed } of jobs) {
    const outcome = outcomes.get(seed) as Outcome
    hash.update(outcome.hash)
    checked.add(outcome.checked)
  }
  const failed = jobs.filter(({ seed }) => outcomes.get(seed)?.found.length)
  for (const { seed } of failed) {
    const { found } = outcomes.get(seed) as Outcome
    console.log(`seed ${seed} breaks ${found.length}: ${found[0]}`)
    if (values.shrink) await shrink(seed, found)
  }
  const histories = hash.digest('hex').slice(0, 16)
  console.log(`${seeds} seeds, ${seeds * queries} queries, ${failed.length} with a violation; histories ${histories}`)
  const { answers, wrong, expected, isTooWrong } = checked
  console.log(`${answers} checked answers, ${wrong} wrong, ${expected.toFixed(1)} promised${isTooWrong ? ': too many' : ''}`) // biome-ignore format: one line
  if (failed.length || isTooWrong) process.exitCode = 1
}

async function simulateKept(): Promise<void> {
  let failed = 0
  const all = corpus()
  for (const { defect, schedule } of all) {
    const { found } = await tried(schedule)
    if (!found.length) continue
    failed++
    console.log(`kept of "${defect}" breaks ${found.length}: ${found[0]}`)
  }
  console.log(`${all.length} kept schedules, ${failed} with a violation`)
  if (failed) process.exitCode = 1
}

/** What says that a schedule makes no sense is no promise that it breaks. */
function isBroken(sentence: string): boolean {
  return !/^the (run throws|history)/.test(sentence)
}

async function shrink(seed: number, found: readonly string[]): Promise<void> {
  const all = drawn(seed, queries)
  const last = Number(/, at ([\d.]+) ms/.exec(found[0])?.[1] ?? Number.POSITIVE_INFINITY)
  const before = { ...all, events: all.events.filter(({ at }) => at <= last) } // what came later is not why
  const isOther = found.some(isBroken)
  const breaks = async (each: Schedule) => (await tried(each)).found.some((sentence) => !isOther || isBroken(sentence))
  const small = await shrunk((await breaks(before)) ? before : all, breaks)
  const { events, ...where } = small
  console.log(`${events.length} events of ${JSON.stringify(where)}`)
  for (const event of events.slice(0, MOST_SHOWN)) console.log(`  ${JSON.stringify(event)}`)
  console.log(`  ${(await tried(small)).found.join('\n  ')}`)
  if (values.json) console.log(`schedule ${JSON.stringify(small)}`)
}
