/** Names, passwords and tokens in a server's address, where the client library takes none. */

import { expected } from '../../check'
import { withoutPassword } from '../../errors'

/** How addresses begin. */
export const SCHEME = /^(nats|tls|wss?):\/\/./

/** The addresses in one text, with commas between them; a password may have a comma, too. */
export function addressesIn(text: string): string[] {
  return text.split(/,(?=\w+:\/\/)/)
}

/**
 * Connect options for the library: addresses without users, and the user or token that they named as options of its own.
 *
 * @param servers  such as 'nats://user:password@host:4222' or 'nats://token@host', with %40 for an @ and so on; all of one user
 * @throws TypeError for what is not written so, or names several users; never with the password
 */
export function accessOf(servers: string | readonly string[]) {
  const each = (typeof servers === 'string' ? addressesIn(servers) : servers).map(read)
  const named = each.flatMap(({ user }) => user ?? [])
  if (new Set(named).size > 1) throw new TypeError('servers: expected one user or token for all of them, got several')
  return { servers: each.map(({ address }) => address), ...(named.length && access(named[0])) }
}

function read(text: string): { address: string; user: string | undefined } {
  const [, scheme = '', user, host] = /^(\w+:\/\/)?(?:(.*)@)?([^@]+)$/s.exec(text) ?? []
  if (host === undefined) throw new TypeError(expected('server', "an address such as 'nats://host:4222'", withoutPassword(text))) // biome-ignore format: one line
  return { address: scheme + host, user }
}

/** What stands before the @: a user and a password, or a token alone. */
function access(user: string): { token: string } | { user: string; pass: string } {
  const [, name, pass] = /^([^:]*):(.*)$/s.exec(user) ?? []
  return name === undefined ? { token: decoded(user) } : { user: decoded(name), pass: decoded(pass) }
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    throw new TypeError('server: expected %25 for a % in its user, password or token, got a % that stands for nothing')
  }
}
