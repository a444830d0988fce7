/** What the operators' own port answers: health, metrics, events and which model serves, and nothing that anybody could keep it busy with. */

import { isIP } from 'node:net'
import { pathOf } from '../../gateway/routes'
import { type Handler, type ListenOptions, problem } from './listen'
import type { Answering } from './tokens'

const PATHS =
  /^\/(metrics|events|v2\/(.+\/)?(live|ready)|v2\/models\/[^/]+\/model-versions(\/[^/]+\/(promote|refuse))?)$/
/** What changes which model serves. */
const VERBS = /\/(promote|refuse)$/
/** Probes, scrapers, and clients of /events. */
const CONNECTIONS = 128

export const adminOptions = (options: ListenOptions, port: number): ListenOptions => {
  return { ...options, port, flag: '--admin-port', maxConnections: CONNECTIONS }
}

export function onAdminPort(handle: Handler): Handler {
  return (request, connection) => {
    const path = pathOf(request)
    if (PATHS.test(path)) return handle(request, connection)
    return problem(
      404,
      'the path: expected health, /metrics, /events or /model-versions of a model on --admin-port; models are asked on --port',
      {},
      path,
    )
  }
}

/**
 * Who may ask here is an operator, but with a token of one tenant or of some models. Without tokens a page could have the name of its own
 * server lead here, so that its browser takes this server for that: then only addresses, localhost and `--host` are called by.
 *
 * @param host  that is listened on
 */
export function forOperators(host: string, answer: Answering): Answering {
  return (request, connection, principal) => {
    const path = pathOf(request)
    if (!VERBS.test(path)) return answer(request, connection, principal)
    if (principal) {
      const operator = principal.operator ?? !(principal.tenant || principal.models)
      return answer(request, connection, { ...principal, operator })
    }
    const { hostname } = new URL(request.url)
    if (isOwn(hostname, host)) return answer(request, connection, { operator: true })
    const message = `Host: expected an address, localhost or --host where no token is needed, got '${hostname}'; name the address, or give operators a token with operator: true`
    return problem(403, message, {}, path)
  }
}

function isOwn(hostname: string, host: string): boolean {
  const isAddress = isIP(hostname.replace(/^\[(.*)\]$/, '$1')) > 0
  return isAddress || /^(.+\.)?localhost\.?$/.test(hostname) || hostname === host.toLowerCase()
}
