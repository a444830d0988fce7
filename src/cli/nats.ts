/** How the command line gets to a NATS server. */

import { readFile } from 'node:fs/promises'
import { ApproxiferError } from '../base/errors'
import { accessOf, type NatsConnectOptions } from '../workers/nats/connection'
import { readNamed } from './files'

/** What a user shows to a server, of which one will do; each is a file, since others of the machine see what stands on a command line. */
const methods = {
  creds: (library: Library, bytes: Uint8Array) => library.credsAuthenticator(bytes),
  tokenFile: (library: Library, bytes: Uint8Array) => library.tokenAuthenticator(textOf(bytes)),
  nkeyFile: (library: Library, bytes: Uint8Array) => library.nkeyAuthenticator(new TextEncoder().encode(textOf(bytes))),
  /** Of the user that the address names: `nats://user@host`. */
  passwordFile: (library: Library, bytes: Uint8Array, user = '') =>
    library.usernamePasswordAuthenticator(user, textOf(bytes)),
}

type Method = keyof typeof methods
type Authenticator = (nonce?: string) => unknown
type Library = Record<`${string}Authenticator`, (...given: unknown[]) => Authenticator>

/** Files that open a NATS server. */
export interface Access extends Partial<Record<Method, string>> {
  /** Certificates to trust, and this machine's own certificate with its key: PEM. */
  tlsCa?: string
  tlsCert?: string
  tlsKey?: string
}

/** Those that are read again at each connection. */
export const natsMethods = Object.keys(methods) as Method[]
export const natsAccess: readonly string[] = [...natsMethods, 'tlsCa', 'tlsCert', 'tlsKey']

/** @param urls  of one cluster; they may hold user names and tokens: see `NatsServer` */
export async function connectOptions(urls: readonly string[], access: Access): Promise<NatsConnectOptions> {
  const { tlsCa, tlsCert, tlsKey } = access
  const tls = { caFile: tlsCa, certFile: tlsCert, keyFile: tlsKey }
  for (const [name, file] of Object.entries({ tlsCa, tlsCert, tlsKey })) {
    if (file !== undefined) await readNamed(name, file) // it is said now which is missing
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

/** What to say where a password stands on the command line. @param instead  what keeps it from others */
export function exposedPassword({ passwordFile }: Access, instead: string): string | undefined {
  if (passwordFile !== undefined || !process.argv.some((arg) => /:\/\/.*@/.test(arg))) return undefined
  return `others on this machine see the command line's password: ${instead} keeps it from them`
}

/** In a variable: the library is an optional peer. */
const NATS: string = '@nats-io/nats-core'

/** Read again at each connection, since what is in files is renewed. */
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
      () => {}, // those that are known may still do
    )
    return methods[method](library, bytes, user)(nonce)
  }
}

const textOf = (bytes: Uint8Array) => new TextDecoder().decode(bytes).trim()
