/**
 * npm run bench -- loop [WORD ...] [--json]: how long a predictor with a memory holds the event loop, in processor time, by what it did meanwhile; and
 * what forgetting one of 32 workers takes. Six shapes, real time; workers answer at once, or in 10 ms where the memory answers before they are asked. With
 * words only shapes whose names have all of them (`js`: also where there is no WebAssembly). A minute and a half.
 */

import { table } from '../../src/cli/table'
import { inProcesses } from '../shared/processes'
import type { Job, Run } from './loop-run'

const SECONDS = 12
const shapes: [shape: number[], outputs: number][] = [
  [[1, 28, 28], 10],
  [[54], 7],
  [[1024], 100],
  [[16_000], 10],
  [[3, 224, 224], 10],
  [[64], 100_000],
]
const nameOf = ({ shape, outputs, core, reuse }: Job) =>
  `[${shape.join(' x ')}] -> ${outputs}${core === 'js' ? ' js' : ''}${reuse ? ' reuse' : ''}`
const ms = (value: number) => `${value.toFixed(2)} ms`

export default async function loop(json: boolean, words: string[]): Promise<void> {
  const all = (['wasm', 'js'] as const).flatMap((core) =>
    shapes.flatMap(([shape, outputs]) =>
      [false, true].map((reuse): Job => ({ shape, outputs, core, seconds: SECONDS, pauseMs: 0, memory: true, reuse })),
    ),
  )
  const jobs = all.filter((job) => words.every((word) => nameOf(job).includes(word)) && (job.core === 'wasm' || words.includes('js'))) // biome-ignore format: one line
  const out = table(['shape', 'queries', 'remembered', 'a turn', 'longest task', 'forgotten'])
  const runs: (Run & { job: Job })[] = []
  const module = new URL('./loop-run.ts', import.meta.url).href
  for (const job of jobs) await inProcesses<Job, Run>(module, [[job]], (_, run) => runs.push({ job, ...run }))
  if (json) return console.log(JSON.stringify(runs, null, 2))
  for (const { job, queries, remembered, turns, held, forgot } of runs) {
    const longest = held
      .slice(0, 3)
      .map(({ what, longest, high }) => `${what} ${longest.toFixed(1)} (${high.toFixed(1)})`)
    const { before, after } = forgot
    out.push([
      nameOf(job),
      queries,
      remembered,
      `${turns.longest.toFixed(1)} (${turns.high.toFixed(1)})`,
      longest.join(', '),
      `${before - after} of ${before}: ${ms(forgot.ms)}, ${forgot.longest.toFixed(1)} at once`,
    ])
  }
  console.log(String(out))
}
