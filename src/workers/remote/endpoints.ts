/** Server URLs: how they are checked, the names of servers, and changes of a list of servers. */

import { expected } from '../../base/check'
import { asError, withoutPassword } from '../../base/errors'
import type { Warn } from '../../base/notices'

/** The server with this URL is added, removed at once, or drained: it gets no new queries. */
export type EndpointChange = { add: string } | { remove: string } | { drain: string }

/** Normalises a server's URL: without slashes at the end. @throws TypeError */
export function checkUrl(field: string, value: unknown): string {
  const what = 'an http or https URL without query, fragment and password (headers take those)'
  const isText = typeof value === 'string' || value instanceof URL
  const url = isText && URL.canParse(String(value)) ? new URL(value) : undefined
  if (!url || !/^https?:$/.test(url.protocol) || url.search || url.hash || url.username || url.password) {
    const given = value instanceof URL ? value.href : value
    throw new TypeError(expected(field, what, typeof given === 'string' ? withoutPassword(given) : given))
  }
  return url.href.replace(/\/+$/, '')
}

/** Reads changes until the source ends or `apply` returns false. Invalid changes are skipped, with a warning. */
export async function followEndpoints(
  source: AsyncIterator<EndpointChange>,
  apply: (what: 'add' | 'remove' | 'drain', url: string) => boolean,
  warn: Warn,
): Promise<void> {
  for (let next = await source.next(); !next.done; next = await source.next()) {
    try {
      const [[what, value], ...rest] = Object.entries(next.value)
      const url = checkUrl(what, value)
      if (rest.length || !(what === 'add' || what === 'remove' || what === 'drain')) {
        throw new TypeError(expected('a change', 'one of add, remove, drain', rest.length ? 'several' : what))
      }
      if (!apply(what, url)) return
    } catch (error) {
      warn(`the list of workers: ${asError(error, 'WORKER').message}`)
    }
  }
}

/** A server's name in reports: host, port and path. */
export function nameOf(url: string): string {
  const { host, pathname } = new URL(url)
  return host + pathname.replace(/\/$/, '')
}

/** Host and port: all servers with the same ones are one machine. The names of the local host are unified. */
export function machineOf(url: string): string {
  const { hostname, port, protocol } = new URL(url)
  const host = /^(localhost|\[::1\])$/.test(hostname) ? '127.0.0.1' : hostname
  return `${host}:${port || (protocol === 'https:' ? 443 : 80)}`
}
