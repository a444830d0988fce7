/** What became of workers' answers, for `stats`: whether somebody waited for them, and whether they were lies. */

import type { Pool } from '../pool/pool'
import type { WorkerTally } from '../query/context'

export function tallyOf(pool: Pick<Pool<Float32Array, Float32Array>, 'count'>): WorkerTally {
  return {
    tell({ attempt: { worker, outcome }, onTime }) {
      if (outcome?.kind === 'answered') pool.count(worker, onTime ? 'onTime' : 'late')
    },
    suspect(worker) {
      pool.count(worker, 'suspected')
    },
  }
}
