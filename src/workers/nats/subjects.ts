/** A fleet's addresses on NATS: subjects, of which a server's permissions tell who may use them. */

import type { Addressee, Addresses } from '../machines/link'

/** @param inbox  what the addresses of answers begin with, as the server's permissions may ask for */
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

/** A worker's last tokens: behind its identity where that is a key, so that permissions can be written for a machine. */
const placeOf = ({ name, identity, signed }: Addressee) => (signed ? `${identity}.${name}` : name)
