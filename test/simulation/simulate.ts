/**
 * npm run simulate -- [SEED] [--seeds COUNT] [--queries COUNT] [--shrink] [--history]: the predictor, its pool, trust and memory in
 * simulated time, with workers that are slow by any law, die, hang, lie, leave and come back, and callers who leave; for some
 * seeds over a simulated network, behind a gateway, and with restarts from a disk. What is
 * guaranteed is checked of each run. A seed is a run, the same to the byte each time. `--shrink` finds fewer events that break the same
 * promises, `--history` prints all that happened. A process a core. Ends with 1 where a promise was broken.
 */

import { createHash } from 'node:crypto'
import { parseArgs } from 'node:util'
import { inProcesses } from '../../bench/processes'
import { drawn } from './schedule'
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
  },
})
const [first, seeds, queries] = [positionals[0] ?? '1', values.seeds, values.queries].map(Number)

if (values.history) for (const entry of (await run(drawn(first, queries))).entries) console.log(JSON.stringify(entry))
else await simulateAll()

async function simulateAll(): Promise<void> {
  const jobs = Array.from({ length: seeds }, (_, i) => ({ seed: first + i, queries }))
  const outcomes = new Map<number, Outcome>()
  const seed = new URL('./seed.ts', import.meta.url).href
  await inProcesses<Job, Outcome>(seed, jobs.map((job) => [job]), (job, outcome) => outcomes.set(job.seed, outcome)) // biome-ignore format: one line
  const hash = createHash('sha256')
  for (const { seed } of jobs) hash.update(outcomes.get(seed)?.hash ?? '')
  const failed = jobs.filter(({ seed }) => outcomes.get(seed)?.found.length)
  for (const { seed } of failed) {
    const { found } = outcomes.get(seed) as Outcome
    console.log(`seed ${seed} breaks ${found.length}: ${found[0]}`)
    if (values.shrink) await shrink(seed, found)
  }
  const histories = hash.digest('hex').slice(0, 16)
  console.log(`${seeds} seeds, ${seeds * queries} queries, ${failed.length} with a violation; histories ${histories}`)
  if (failed.length) process.exitCode = 1
}

async function shrink(seed: number, found: readonly string[]): Promise<void> {
  const all = drawn(seed, queries)
  const last = Number(/, at ([\d.]+) ms/.exec(found[0])?.[1] ?? Number.POSITIVE_INFINITY)
  const before = { ...all, events: all.events.filter(({ at }) => at <= last) } // what came later is not why
  const breaks = async (each: typeof all) => (await tried(each)).found.length > 0
  const small = await shrunk((await breaks(before)) ? before : all, breaks)
  const { events, machines, options } = small
  console.log(`${events.length} events of ${JSON.stringify({ options, machines })}`)
  for (const event of events.slice(0, MOST_SHOWN)) console.log(`  ${JSON.stringify(event)}`)
  console.log(`  ${(await tried(small)).found.join('\n  ')}`)
}
