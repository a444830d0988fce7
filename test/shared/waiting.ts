/** Tests wait for events, however long those take: a limit in milliseconds would only measure how busy the machine is. */

import { vi } from 'vitest'

/** After so long nothing comes any more, on any machine. Less than a test may take, so that the message says what was missing. */
export const PATIENCE_MS = 240_000

/** Waits until a condition holds, or assertions do. @returns what the check returned */
export function until<T>(check: () => T | Promise<T>): Promise<T> {
  const settle = async () => {
    const found = await check()
    if (found === false) throw new Error(`not within ${PATIENCE_MS} ms: ${check}`)
    return found
  }
  return vi.waitFor(settle, { timeout: PATIENCE_MS, interval: 5 })
}
