/** Ends the process, also where a disk hangs. */

import { setTimeout as sleep } from 'node:timers/promises'

/** How long file operations under way, such as those of the log, may take. */
const LAST_MS = 500
const POLL_MS = 10

/** Exits with the code, or kills the process by the signal where file operations have not ended: `process.exit` would wait for a disk that hangs. */
export async function leave(code: number, signal: NodeJS.Signals): Promise<never> {
  for (let waited = 0; waited < LAST_MS && isAtWork(); waited += POLL_MS) await sleep(POLL_MS)
  if (!isAtWork()) process.exit(code)
  process.removeAllListeners(signal)
  process.kill(process.pid, signal)
  process.abort() // in a container, the kernel drops signals that process 1 sends to itself
}

const isAtWork = () => process.getActiveResourcesInfo().some((name) => name.startsWith('FSReq'))
