/** The end of the process, also where a disk hangs. */

import { setTimeout as sleep } from 'node:timers/promises'

/** For file operations under way, as of the log: they take less, unless their disk hangs. */
const LAST_MS = 500
const LOOK_MS = 10

/**
 * Ends the process with a code, or by the signal where file operations do not end: `process.exit` waits for them, for
 * ever.
 */
export async function leave(code: number, signal: NodeJS.Signals): Promise<never> {
  for (let waited = 0; waited < LAST_MS && isAtWork(); waited += LOOK_MS) await sleep(LOOK_MS)
  if (!isAtWork()) process.exit(code)
  process.removeAllListeners(signal)
  process.kill(process.pid, signal)
  process.abort() // the first process of a container is deaf to its own signals
}

const isAtWork = () => process.getActiveResourcesInfo().some((name) => name.startsWith('FSReq'))
