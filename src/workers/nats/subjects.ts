/** A fleet's addresses on NATS are subjects, so that the server's permissions decide who may use them. */

import type { Addressee, Addresses } from '../machines/link'

/** @param inbox  prefix of reply subjects, as the server's permissions may require */
export function subjectsOf(fleet: string, inbox = '_INBOX'): Addresses {
  return {
    rollCall: `approxifer.${fleet}.call`,
    heartbeats: `approxifer.${fleet}.beat.>`,
    heartbeat: (worker) => `approxifer.${fleet}.beat.${placeOf(worker)}`,
    worker: (worker) => `approxifer.${fleet}.worker.${placeOf(worker)}`,
    replies: (gateway) => `${inbox}.${gateway}.*`,
    reply: (gateway, token) => `${inbox}.${gateway}.${token}`,
    gatewayOf: (reply) => reply.split('.').at(-2),
  }
}

/** The last tokens of a worker's subjects. A public key comes first, so that permissions can be given to a machine. */
const placeOf = ({ name, identity, signed }: Addressee) => (signed ? `${identity}.${name}` : name)
