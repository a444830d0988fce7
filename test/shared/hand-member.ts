/** A member of a fleet on NATS, spoken by hand: it says what a test wants it to. */

import type { Msg, NatsConnection } from '@nats-io/transport-node'
import type { KeyPair } from 'approxifer/nats'
import { encode } from '../../src/workers/machines/frames'
import { Macs } from '../../src/workers/machines/macs'
import { type MachineKeys, Publisher } from '../../src/workers/machines/publisher'
import { subjectsOf } from '../../src/workers/nats/subjects'
import { HandWorker } from './hand-predictor'
import { UP } from './heartbeat'

interface HandMember {
  /** Default: it signs nothing. Its name must have the first ten letters of the key then. */
  key?: KeyPair
  /** What it does with a frame that is not asked whether it is there. */
  received?: (frame: Uint8Array, reply: string, publisher: Publisher) => void
}

/** The values of a row's frame. */
export const rowIn = (frame: Uint8Array) => new Float32Array(Uint8Array.from(frame.subarray(24, -32)).buffer)

/** What says things as a machine does. @param worker  whose subject it is */
export function publisherOn(connection: Pick<NatsConnection, 'publish'>, worker: string, keys?: MachineKeys) {
  const say = (to: string, bytes?: Uint8Array) => connection.publish(to, bytes)
  return new Publisher({ addresses: subjectsOf('any'), most: 1_048_576, say }, worker, keys)
}

/** It does not look at MACs. @returns says that it is there, and what else it is told to */
export function handMember(
  connection: NatsConnection,
  fleet: string,
  name: string,
  { key, received = () => {} }: HandMember = {},
) {
  // biome-ignore format: one line
  const { signature } = new HandWorker(name)
  const subjects = subjectsOf(fleet)
  const place = { name, identity: key?.identity ?? name, signed: key !== undefined }
  const made = async () =>
    publisherOn(connection, subjects.worker(place), key && { key, macs: await Macs.make('machine') })
  const ready = made()
  const beat = async (more: object = {}) => {
    const publisher = await ready
    publisher.beat(subjects.heartbeat(place), { ...UP, name, identity: place.identity, signature, ...more })
  }
  connection.subscribe(subjects.rollCall, { callback: () => void beat() })
  connection.subscribe(subjects.worker(place), {
    callback: (_, { data, reply = '' }: Msg) => {
      void ready.then((publisher) => {
        if (data[1] === 2) publisher.frame(reply, encode('pong'))
        else received(data, reply, publisher)
      })
    },
  })
  return beat
}
