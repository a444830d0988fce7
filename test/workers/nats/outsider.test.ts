/** Somebody with the fleet's ordinary credentials and no worker, who reads all rows and answers, and meddles with every call. */

import { headers, type Msg, type NatsConnection } from '@nats-io/transport-node'
import { createPredictor } from 'approxifer'
import { type NatsService, natsWorkers, serveNats } from 'approxifer/nats'
import { describe, expect, it } from 'vitest'
import { HandWorker } from '../../shared/hand-predictor'
import { joined, natsFleets } from '../../shared/nats-fleet'
import { NatsServer, natsInstalled } from '../../shared/nats-server'
import { inferRow, inferring } from '../../shared/vectors'

/** More by the variable QUERIES. */
const QUERIES = Number(process.env.QUERIES ?? 100)
const LANES = 10
const MACHINES = 5
const INFERENCE_MS = 3

const fleets = natsFleets()

type Meddle = (outsider: NatsConnection, message: Msg & { reply: string }) => void

/** The same frame with other bytes: kind, or what is far behind in it. */
const changed = (data: Uint8Array, at: number, to: (byte: number) => number) => data.with(at, to(data[at]))

const odd = (data: Uint8Array) => [
  new Uint8Array(),
  Uint8Array.of(1, 2, 3),
  new Uint8Array(100),
  changed(data, 0, (version) => version - 1),
  changed(data, data.length - 1, (byte) => byte ^ 1),
]

/** With a row on its way to a worker: what is sent to that worker. */
const atWorker: Record<string, Meddle> = {
  'odd bytes': (outsider, { subject, data, reply }) => {
    for (const bytes of odd(data)) outsider.publish(subject, bytes, { reply })
  },
  'a cancel': (outsider, { subject, data, reply }) => {
    outsider.publish(
      subject,
      changed(data, 1, () => 1),
      { reply },
    )
  },
  'another row': (outsider, { subject, data, reply }) => {
    outsider.publish(
      subject,
      changed(data, 26, (byte) => byte ^ 64),
      { reply },
    )
  },
  'the same again': (outsider, { subject, data, reply }) => {
    for (let times = 0; times < 3; times++) outsider.publish(subject, data, { reply })
  },
}

/** With a row on its way: what is sent to whoever asked. */
const atGateway: Record<string, Meddle> = {
  'odd bytes in the place of the answer': (outsider, { data, reply }) => {
    for (const bytes of odd(data)) outsider.publish(reply, bytes)
  },
  'an error': (outsider, { data, reply }) =>
    outsider.publish(
      reply,
      changed(data, 1, () => 4),
    ),
  'the row itself as its answer': (outsider, { data, reply }) => outsider.publish(reply, data),
  'that nobody listens': (outsider, { reply }) => {
    outsider.publish(reply, undefined, { headers: headers(503, 'No Responders') })
  },
}

const all = { ...atWorker, ...atGateway }

/** Queries to honest machines. @returns how many were answered rightly, and what the machines inferred and dropped */
async function asked(meddle: Meddle) {
  const fleet = fleets.newName()
  let inferred = 0
  const infer = inferring(async (x) => {
    inferred++
    const answer = x.map((value) => 2 * value)
    await new Promise((resolve) => setTimeout(resolve, INFERENCE_MS))
    return answer
  })
  const machines: NatsService[] = []
  for (let i = 0; i < MACHINES; i++) {
    const workers = [Object.assign(new HandWorker(`m${i}`), { infer })]
    machines.push(await serveNats(fleets.url, { fleet, workers, onWarning() {} }))
  }
  fleets.end(() => Promise.all(machines.map((machine) => machine.close())))
  const outsider = await fleets.connect()
  const seen = new Set<string>() // it hears what it sends as well
  const callback = (_: unknown, message: Msg) => {
    const { reply = '', data } = message
    if (data[1] !== 0 || seen.has(reply)) return
    seen.add(reply)
    meddle(outsider, message as Msg & { reply: string })
  }
  outsider.subscribe(`approxifer.${fleet}.worker.>`, { callback })
  await outsider.flush()
  const workers = natsWorkers(fleets.url, { fleet, onWarning() {} })
  const predictor = await createPredictor({ workers, deadlineMs: 2000, onWarning() {} })
  fleets.end(() => predictor.close())
  let right = 0
  const lane = async (first: number) => {
    for (let x = first; x <= QUERIES; x += LANES) {
      const given = await predictor.predict(Float32Array.of(x, 1)).catch(() => undefined)
      if (given?.output.y.data[0] === 2 * x) right++
    }
  }
  await Promise.all(Array.from({ length: LANES }, (_, i) => lane(i + 1)))
  return { right, inferred, dropped: workers.forged + machines.reduce((sum, each) => sum + each.forged, 0) }
}

describe.skipIf(!natsInstalled)('an outsider on the broker', () => {
  it.each(Object.entries(all))('that sends %s in every call stops none', async (what, meddle) => {
    const { right, inferred, dropped } = await asked(meddle)
    console.log(`${what}: ${right} of ${QUERIES} answered, ${inferred} inferences, ${dropped} dropped`)
    expect(right).toBeGreaterThanOrEqual(0.99 * QUERIES)
    expect(inferred).toBeLessThanOrEqual(1.2 * QUERIES) // what is sent again is run again by nobody
    // What comes behind the answer, as on a busy machine, is dropped with its call, and not counted.
    if (what !== 'that nobody listens') expect(dropped).toBeGreaterThanOrEqual(0.9 * QUERIES)
  })

  it('that does all of this stops none', async () => {
    const { right, inferred } = await asked((outsider, message) => {
      for (const meddle of Object.values(all)) meddle(outsider, message)
    })
    expect(right).toBeGreaterThanOrEqual(0.99 * QUERIES)
    expect(inferred).toBeLessThanOrEqual(1.2 * QUERIES)
  })

  it('that sends every piece of long rows and answers again mixes none of them up', async () => {
    const small = await NatsServer.start('max_payload: 65536')
    fleets.end(() => small.stop())
    const length = 100_000
    const signature = { inputs: [{ name: 'x', shape: [length] }], outputs: [{ name: 'y', shape: [length] }] }
    const doubling = inferring((x) => x.map((value) => 2 * value))
    const { name, changes } = await fleets.start(
      [Object.assign(new HandWorker('long'), { signature, infer: doubling })],
      { at: small },
    )
    const outsider = await fleets.connect(small.url)
    const seen = new Set<string>()
    const callback = (_: unknown, { subject, data, reply }: Msg) => {
      const frame = Buffer.from(data).toString('latin1')
      if (seen.has(frame)) return
      seen.add(frame)
      outsider.publish(subject, data, { reply })
    }
    for (const subject of ['_INBOX.>', `approxifer.${name}.worker.>`]) outsider.subscribe(subject, { callback })
    await outsider.flush()
    const worker = await joined(changes)
    const x = Float32Array.from({ length }, (_, i) => i % 1000)
    for (let times = 0; times < 5; times++) {
      const y = await inferRow(worker, x)
      expect(Buffer.compare(Buffer.from(y.buffer), Buffer.from(x.map((value) => 2 * value).buffer))).toBe(0)
    }
  })
})
