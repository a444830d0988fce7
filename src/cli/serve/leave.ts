/** The end of the process, also where a disk hangs. */

import { setTimeout as sleep } from 'node:timers/promises'

/** For file operations under way, as of the log, which take less. */
const LAST_MS = 500
const POLL_MS = 10

/** Ends the process with a code, or by the signal where file operations have not ended: `process.exit` would wait for a disk that hangs. */
export async function leave(code: number, signal: NodeJS.Signals): Promise<never> {
  for (let waited = 0; waited < LAST_MS && isAtWork(); waited += POLL_MS) await sleep(POLL_MS)
  if (!isAtWork()) process.exit(code)
  process.removeAllListeners(signal)
  process.kill(process.pid, signal)
  process.abort() // the kernel keeps from the first process of a container the signals that it sends itself
}

const isAtWork = () => process.getActiveResourcesInfo().some((name) => name.startsWith('FSReq'))
