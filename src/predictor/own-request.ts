/** On runtimes where one request cannot wait for another's work, predictors and gateways only serve the request that made them. */

import { platform } from '#platform'
import { ApproxiferError, type Guard } from '../base/errors'

/**
 * Remembers the current request.
 *
 * @param what  is made in it
 * @returns a function that refuses all other requests; undefined where a request can wait for another's work
 */
export function ownRequest(what: string): Guard | undefined {
  const isThisOne = platform.thisRequest?.()
  if (!isThisOne) return undefined
  const where = `${what} was made at module scope or in another request`
  const text = `${where}; on this runtime a request cannot wait for what another one began: make it in a Durable Object, or in each request`
  return () => (isThisOne() ? undefined : new ApproxiferError('CLOSED', text))
}
