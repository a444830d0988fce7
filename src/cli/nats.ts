/** How the command line gets to a NATS server. */

import { readFile } from 'node:fs/promises'
import { ApproxiferError } from '../errors'
import { accessOf, type NatsConnectOptions } from '../workers/nats/connection'
import { readNamed } from './files'

/** Files that open a NATS server. */
export interface Access {
  creds?: string
  /** Certificates to trust, and this machine's own certificate with its key: PEM. */
  tlsCa?: string
  tlsCert?: string
  tlsKey?: string
}

/** @param urls  of one cluster; they may name who connects: see `NatsServer` */
export async function connectOptions(urls: readonly string[], access: Access): Promise<NatsConnectOptions> {
  const { creds, tlsCa, tlsCert, tlsKey } = access
  const tls = { caFile: tlsCa, certFile: tlsCert, keyFile: tlsKey }
  for (const [name, file] of Object.entries({ tlsCa, tlsCert, tlsKey })) {
    if (file !== undefined) await readNamed(name, file) // it is said now which is missing
  }
  const given = Object.fromEntries(Object.entries(tls).filter(([, file]) => file !== undefined))
  return {
    ...accessOf(urls),
    ...(Object.keys(given).length > 0 && { tls: given }),
    ...(creds !== undefined && { authenticator: await credentials(creds) }),
  }
}

/** In a variable: the library is an optional peer. */
const NATS: string = '@nats-io/nats-core'

/** Read again at each connection, since credentials are renewed in their file. */
async function credentials(file: string): Promise<unknown> {
  let bytes = await readNamed('creds', file)
  const library = await import(NATS).catch((error) => {
    throw new ApproxiferError('WORKER', `${NATS} cannot be imported; install it (npm install ${NATS})`, {
      cause: error,
    })
  })
  return (nonce?: string) => {
    void readFile(file).then(
      (now) => {
        bytes = now
      },
      () => {}, // those that are known may still do
    )
    return library.credsAuthenticator(bytes)(nonce)
  }
}
