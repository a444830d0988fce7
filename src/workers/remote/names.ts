/** What servers are called, by their addresses. */

/** Host and port, and the path where there is one: what tells servers apart, and stands in reports. */
export function nameOf(url: string): string {
  const { host, pathname } = new URL(url)
  return host + pathname.replace(/\/$/, '')
}

/** Host and port alone: all that answers there is one machine, and each machine has several names for itself. */
export function machineOf(url: string): string {
  const { hostname, port, protocol } = new URL(url)
  const host = /^(localhost|\[::1\])$/.test(hostname) ? '127.0.0.1' : hostname
  return `${host}:${port || (protocol === 'https:' ? 443 : 80)}`
}
