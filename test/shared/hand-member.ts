/** A member of a fleet on NATS, spoken by hand: it says what a test wants it to. */

import type { Msg, NatsConnection } from '@nats-io/transport-node'
import type { KeyPair } from 'approxifer/nats'
import { encode, VERSION } from '../../src/workers/machines/frames'
import { Seals } from '../../src/workers/machines/macs'
import { Outbox } from '../../src/workers/machines/publisher'
import { subjectsOf } from '../../src/workers/nats/subjects'
import { HandWorker } from './hand-predictor'

interface HandMember {
  /** Default: it signs nothing. Its name must have the first ten letters of the key then. */
  key?: KeyPair
  /** What it does with a frame that is not asked whether it is there. */
  received?: (frame: Uint8Array, reply: string, outbox: Outbox) => void
}

/** The values of a row's frame. */
export const rowIn = (frame: Uint8Array) => new Float32Array(Uint8Array.from(frame.subarray(24, -32)).buffer)

/** It does not look at seals. @returns says that it is there, and what else it is told to */
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
  const publish = (to: string, bytes?: Uint8Array) => connection.publish(to, bytes)
  const made = async () => new Outbox({ most: 1_048_576, publish }, subjects.worker(place), key && { key, seals: await Seals.make('machine') }) // biome-ignore format: one line
  const ready = made()
  const beat = async (more: object = {}) => {
    const rest = { state: 'up', everyMs: 500, connection: 1, open: 0, slots: 1, ms: 0, signature }
    const outbox = await ready
    outbox.beat(subjects.beat(place), { version: VERSION, name, identity: place.identity, ...rest, ...more }) // biome-ignore format: one line
  }
  connection.subscribe(subjects.rollCall, { callback: () => void beat() })
  connection.subscribe(subjects.worker(place), {
    callback: (_, { data, reply = '' }: Msg) => {
      void ready.then((outbox) => {
        if (data[1] === 2) outbox.frame(reply, encode('pong'))
        else received(data, reply, outbox)
      })
    },
  })
  return beat
}
