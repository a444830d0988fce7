/** approxifer plan: what a scheme costs, beside what it replaces. */

import { stat } from 'node:fs/promises'
import { parmWorkers, replicationWorkers } from '../evaluate/rivals'
import { Scheme, type SchemeOptions } from '../scheme'
import { chosenScheme } from './chosen'
import { table } from './table'

/** Resident memory of one worker with a small model (45 to 80 MB on Node 20), and how often it holds its model. */
const WORKER_MB = 75
const MODEL_COPIES = 3

export interface PlanOptions extends SchemeOptions {
  model?: string
  json?: boolean
}

export async function plan(options: PlanOptions): Promise<void> {
  const scheme = new Scheme(chosenScheme(options))
  const { queries, stragglers, byzantine, workers, points, quorum } = scheme
  const modelMb = options.model ? (await stat(options.model)).size / 2 ** 20 : 0
  const cost = (n: number) => ({
    workers: n,
    overhead: n / queries,
    memoryMb: Math.round(n * (WORKER_MB + MODEL_COPIES * modelMb)),
  })
  const parm = parmWorkers(scheme)
  const result = {
    scheme: { queries, stragglers, byzantine, workers, points, quorum },
    approxifer: cost(workers),
    replication: cost(replicationWorkers(scheme)),
    parm: parm === undefined ? null : cost(parm),
  }
  if (options.json) return console.log(JSON.stringify(result, null, 2))
  const rows = table(['', 'workers', 'overhead', 'memory, about', 'note'])
  const row = (name: string, { workers: n, overhead, memoryMb }: ReturnType<typeof cost>, note: string) =>
    rows.push([name, n, `${overhead.toFixed(2)}x`, `${memoryMb} MB`, note])
  row('approxifer', result.approxifer, `decodes from ${quorum} results`)
  row('replication', result.replication, 'exact answers')
  if (result.parm) row('ParM', result.parm, `${stragglers} model(s) to train`)
  else rows.push(['ParM', '-', '-', '-', 'does not find liars'])
  console.log(`${queries} queries, ${stragglers} straggler(s), ${byzantine} liar(s), ${points} nodes`)
  console.log(rows.toString())
}
