/** What the operators' own port answers: health, metrics and events, and nothing that anybody could keep it busy with. */

import { pathOf } from '../../gateway/routes'
import { type Handler, type ListenOptions, problem } from './listen'

const PATHS = /^\/(metrics|events|v2\/(.+\/)?(live|ready))$/
/** Probes, scrapers, and clients of /events. */
const CONNECTIONS = 128

export const adminOptions = (options: ListenOptions, port: number): ListenOptions => {
  return { ...options, port, flag: '--admin-port', maxConnections: CONNECTIONS }
}

export function forOperators(handle: Handler): Handler {
  return (request, connection) => {
    const path = pathOf(request)
    if (PATHS.test(path)) return handle(request, connection)
    return problem(
      404,
      'the path: expected health, /metrics or /events on --admin-port; models are asked on --port',
      {},
      path,
    )
  }
}
