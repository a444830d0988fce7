/** Addresses and credentials of a NATS server, as flags and configuration files give them. */

import { readFile } from 'node:fs/promises'
import { ApproxiferError } from '../base/errors'
import { accessOf, type NatsConnectOptions } from '../workers/nats/connection'
import { readNamed } from './files'

/** Ways to authenticate at a NATS server. Each takes a file: all users of the machine can read a command line. */
const methods = {
  creds: (library: Library, bytes: Uint8Array) => library.credsAuthenticator(bytes),
  tokenFile: (library: Library, bytes: Uint8Array) => library.tokenAuthenticator(textOf(bytes)),
  nkeyFile: (library: Library, bytes: Uint8Array) => library.nkeyAuthenticator(new TextEncoder().encode(textOf(bytes))),
  /** The password of the user that the address names: `nats://user@host`. */
  passwordFile: (library: Library, bytes: Uint8Array, user = '') =>
    library.usernamePasswordAuthenticator(user, textOf(bytes)),
}

type Method = keyof typeof methods
type Authenticator = (nonce?: string) => unknown
type Library = Record<`${string}Authenticator`, (...given: unknown[]) => Authenticator>

/** Files with credentials and certificates for a NATS server. */
export interface Access extends Partial<Record<Method, string>> {
  /** Certificates to trust, and this machine's own certificate with its key: PEM. */
  tlsCa?: string
  tlsCert?: string
  tlsKey?: string
}

/** The options whose files are read again at each connection. */
export const natsMethods = Object.keys(methods) as Method[]
export const natsAccess: readonly string[] = [...natsMethods, 'tlsCa', 'tlsCert', 'tlsKey']

/** @param urls  servers of one cluster; a URL may contain a user name and a token: see `NatsServer` */
export async function connectOptions(urls: readonly string[], access: Access): Promise<NatsConnectOptions> {
  const { tlsCa, tlsCert, tlsKey } = access
  const tls = { caFile: tlsCa, certFile: tlsCert, keyFile: tlsKey }
  for (const [name, file] of Object.entries({ tlsCa, tlsCert, tlsKey })) {
    if (file !== undefined) await readNamed(name, file) // for an error that names the option of a missing file
  }
  const given = Object.fromEntries(Object.entries(tls).filter(([, file]) => file !== undefined))
  const named = accessOf(urls)
  const [method, ...others] = natsMethods.filter((name) => access[name] !== undefined)
  if (others.length) throw new TypeError(`${others[0]}: expected none beside ${method}`)
  return {
    ...(method === undefined ? named : { servers: named.servers }),
    ...(Object.keys(given).length > 0 && { tls: given }),
    ...(method && {
      authenticator: await authenticator(method, access[method] as string, (named as { token?: string }).token),
    }),
  }
}

/** A warning where the command line contains a password, which all users of the machine can read. @param instead  the safe way */
export function exposedPassword({ passwordFile }: Access, instead: string): string | undefined {
  if (passwordFile !== undefined || !process.argv.some((arg) => /:\/\/.*@/.test(arg))) return undefined
  return `other users of this machine can read the password on the command line: use ${instead}`
}

/** In a variable, so that the compiler does not look for it: the library is an optional peer. */
const NATS: string = '@nats-io/nats-core'

/** An authenticator that reads its file again at each connection, since credentials are renewed. */
async function authenticator(method: Method, file: string, user: string | undefined): Promise<Authenticator> {
  let bytes: Uint8Array = await readNamed(method, file)
  const library: Library = await import(NATS).catch((error) => {
    throw new ApproxiferError('WORKER', `${NATS} cannot be imported; install it (npm install ${NATS})`, {
      cause: error,
    })
  })
  return (nonce) => {
    void readFile(file).then(
      (now) => {
        bytes = now
      },
      () => {}, // the file cannot be read now: the credentials that were read before may still be valid
    )
    return methods[method](library, bytes, user)(nonce)
  }
}

const textOf = (bytes: Uint8Array) => new TextDecoder().decode(bytes).trim()
