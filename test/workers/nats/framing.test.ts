/** Whoever reads a fleet's messages, and answers first in the names of others. */

import type { Msg, NatsConnection } from '@nats-io/transport-node'
import { createPredictor } from 'approxifer'
import { natsWorkers } from 'approxifer/nats'
import { describe, expect, it } from 'vitest'
import { encodeError, encodeValues } from '../../../src/workers/machines/frames'
import { Macs } from '../../../src/workers/machines/macs'
import { keyOf } from '../../shared/fixed-keys'
import { handMember, publisherOn, rowIn } from '../../shared/hand-member'
import { liars } from '../../shared/heard-events'
import { natsFleets } from '../../shared/nats-fleet'
import { natsInstalled } from '../../shared/nats-server'

/** More by the variable QUERIES. */
const QUERIES = Number(process.env.QUERIES ?? 100)
const LANES = 4
const fleet = 'framed'

const fleets = natsFleets()
const honest = (name: string) => fleets.double(fleet, name)

const lie = (row: Float32Array) => row.map((value) => 3 * value + 1)
const answers = (row: Float32Array, most = 1_048_576) => encodeValues('answer', row, most)

/** Listens to all rows of the fleet. @param received  what is done with one that was meant for the worker of this subject */
async function reader(received: (connection: NatsConnection, row: Msg) => void): Promise<NatsConnection> {
  const connection = await fleets.connect()
  const callback = (_: unknown, message: Msg) => {
    if (message.reply && message.data[1] === 0) received(connection, message)
  }
  connection.subscribe(`approxifer.${fleet}.worker.>`, { callback })
  await connection.flush()
  return connection
}

/** Answers at once, before the worker itself can. */
const outsider = () =>
  reader((connection, { data, reply = '' }) => {
    for (const bytes of answers(lie(rowIn(data)))) connection.publish(reply, bytes)
  })

/** A machine with a key that answers its own rows well, and those of all others, before they can, in all the ways that there are. */
async function member() {
  const key = keyOf('framing')
  const own = `member-${key.identity.slice(0, 10)}`
  const macs = await Macs.make('machine')
  let turn = 0
  const connection = await reader(async (to, { subject, data, reply = '' }) => {
    if (subject.endsWith(own)) return
    const row = rowIn(data)
    const [name] = subject.split('.').slice(-1)
    const impostor = publisherOn(to, subject, { key, macs })
    for (const bytes of answers(lie(row))) {
      if (turn % 4 === 0) to.publish(reply, bytes)
      else impostor.frame(reply, bytes) // by its own keys
    }
    if (turn % 4 === 2) impostor.frame(reply, encodeError({ code: 'PROTOCOL', message: 'is broken' }))
    if (turn++ % 4 === 3) impostor.beat(subject.replace('.worker.', '.beat.'), { name, state: 'gone' })
    // The worker itself is to answer another row in the place of this one.
    if (turn % 20 === 0) for (const bytes of encodeValues('row', lie(row), 1_048_576)) to.publish(subject, bytes, { reply }) // biome-ignore format: one line
  })
  const beat = handMember(connection, fleet, own, {
    key,
    received(frame, reply, publisher) {
      const row = rowIn(frame)
      if (frame[1] !== 0) return
      for (const bytes of answers(row.map((value) => 2 * value))) publisher.frame(reply, bytes)
    },
  })
  const timer = setInterval(beat, 500)
  fleets.end(() => clearInterval(timer))
}

async function ask() {
  const workers = natsWorkers(fleets.url, { fleet, onWarning: () => {} })
  const convicted = new Set<string>()
  const predictor = await createPredictor({
    scheme: { queries: 1, byzantine: 1 },
    memory: false, // answers count that workers agree on
    workers,
    onWarning() {},
    onEvent: liars(({ worker }) => convicted.add(worker)),
  })
  fleets.end(() => predictor.close())
  const counts = { wrong: 0, failed: 0 }
  const lane = async (first: number) => {
    for (let x = first; x <= QUERIES; x += LANES) {
      const given = await predictor.predict(Float32Array.of(x, 1), { deadlineMs: 60_000 }).catch(() => undefined)
      if (!given) counts.failed++
      else if (given.status === 'exact' && given.output.y.data[0] !== 2 * x) counts.wrong++
    }
  }
  await Promise.all(Array.from({ length: LANES }, (_, i) => lane(i + 1)))
  return { ...counts, convicted: [...convicted], forged: workers.forged }
}

describe.skipIf(!natsInstalled)('answers in the names of others', () => {
  it.each([
    ['an outsider who reads all rows', outsider],
    ['a member that reads all rows', member],
  ])('of %s: none is believed, nobody honest is convicted, no query fails', async (_, frame) => {
    await frame()
    await Promise.all(['a', 'b', 'c', 'd'].map(honest))
    const { forged, ...counts } = await ask()
    console.log(`${QUERIES} queries: ${JSON.stringify({ ...counts, forged })}`)
    expect(counts).toEqual({ wrong: 0, failed: 0, convicted: [] })
    expect(forged).toBeGreaterThan(QUERIES)
  })
})
