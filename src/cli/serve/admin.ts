/** The port for operators (--admin-port): their page, health, metrics, events, model metadata and the choice of a model version. Inference is only on --port, so that its load cannot hold operators up. */

import { isIP } from 'node:net'
import { pathOf } from '../../gateway/routes'
import { type Handler, type ListenOptions, problem } from './listen'
import type { Answering } from './tokens'

const PATHS =
  /^\/(|metrics|events|v2\/(.+\/)?(live|ready)|v2\/models\/[^/]+(\/model-versions(\/[^/]+\/(promote|refuse))?)?)$/
/** Paths of requests that change which model version serves. */
const VERBS = /\/(promote|refuse)$/
/** The most connections of the port: from health probes, metrics scrapers, and clients of /events. */
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
      'the path: expected /, health, /metrics, /events, or a model’s metadata or /model-versions on --admin-port; models are asked on --port',
      {},
      path,
    )
  }
}

/**
 * Makes each request of this port an operator's, unless its token is limited to a tenant or to some models. Where the server has no tokens,
 * it is an operator's only if the URL has an IP address, localhost or `--host`: against DNS rebinding, where a web page makes its own host
 * name resolve to this server.
 *
 * @param host  the address that the server listens on
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
