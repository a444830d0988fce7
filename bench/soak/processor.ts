/** Processor time: what this thread did, which other processes do not stretch. */

import { existsSync, readFileSync } from 'node:fs'

const SCHEDSTAT = '/proc/thread-self/schedstat'
const isTold = existsSync(SCHEDSTAT)

/** Milliseconds of this thread so far, by the scheduler's ticks of some; where no system tells, by the clock. */
export function processorMs(): number {
  return isTold ? Number.parseInt(readFileSync(SCHEDSTAT, 'latin1'), 10) / 1e6 : performance.now()
}
