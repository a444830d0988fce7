import { connect, headers, type NatsConnection } from '@nats-io/transport-node'
import { createPredictor } from 'approxifer'
import { natsWorkers, serveNats } from 'approxifer/nats'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { encodeValues } from '../../../src/workers/nats/frames'
import { hashOf, type Outbox } from '../../../src/workers/nats/signature'
import { handMember, rowIn } from '../../shared/hand-member'
import { HandWorker } from '../../shared/house'
import { keyOf } from '../../shared/keys'
import { NatsServer, natsInstalled } from '../../shared/nats-server'
import { inferring } from '../../shared/vectors'

/** More by the variable QUERIES. */
const QUERIES = Number(process.env.QUERIES ?? 1000)
const INFERENCE_MS = 2
/** Callers at a time. */
const LANES = 4
const fleet = 'forged'

let server: NatsServer
const ends: (() => unknown)[] = []

beforeAll(async () => {
  if (natsInstalled) server = await NatsServer.start()
})
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end()
})
afterAll(() => server?.stop())

/** A machine with one worker that answers 2 x. */
async function honest(name: string): Promise<string> {
  const infer = inferring(async (x) => {
    const answer = x.map((value) => 2 * value)
    await new Promise((resolve) => setTimeout(resolve, INFERENCE_MS))
    return answer
  })
  const worker = Object.assign(new HandWorker(name), { infer })
  const service = await serveNats(server.url, { fleet, name, workers: [worker] })
  ends.push(() => service.close())
  return service.names[0]
}

/** A member that listens to its own subject alone. @param received  what it does with a row and where its answer goes */
async function member(
  received: (connection: NatsConnection, frame: Uint8Array, reply: string, outbox: Outbox) => void,
) {
  const connection = await connect({ servers: server.url })
  const key = keyOf('forger')
  const beat = handMember(connection, fleet, `forger-${key.identity.slice(0, 10)}`, {
    key,
    received: (frame, reply, outbox) => frame[1] === 0 && received(connection, frame, reply, outbox),
  })
  const timer = setInterval(beat, 500)
  ends.push(
    () => connection.close(),
    () => clearInterval(timer),
  )
  beat()
  await connection.flush()
}

/** Subjects near one that was seen: what a counter gave before and after it, and the names of pings as they once were. */
function guesses(reply: string): string[] {
  const at = reply.lastIndexOf('.') + 1
  const [inbox, key] = [reply.slice(0, at), reply.slice(at)]
  const near = (radix: number) => {
    const seen = Number.parseInt(key, radix)
    return Array.from({ length: 17 }, (_, i) => (seen - 8 + i).toString(radix))
  }
  return [...near(36), ...near(16)].filter((guess) => guess !== key).map((guess) => inbox + guess)
}

async function predictor() {
  const warnings: string[] = []
  const made = await createPredictor({
    scheme: { queries: 1, byzantine: 1 },
    memory: false, // answers count that workers agree on
    workers: natsWorkers(server.url, { fleet, onWarning: (text) => warnings.push(text) }),
    onWarning: (text) => warnings.push(text),
  })
  ends.push(() => made.close())
  return { made, warnings }
}

describe.skipIf(!natsInstalled)('a member of a fleet on NATS that guesses what others answer to', () => {
  it('forges their answers: no wrong answer is exact, and nobody honest is ejected', async () => {
    const lie = (row: Float32Array) => row.map((value) => 3 * value + 1)
    await member((_, frame, reply, outbox) => {
      const row = rowIn(frame)
      for (const to of [...guesses(reply), reply]) {
        for (const bytes of encodeValues('answer', lie(row), 1_048_576)) outbox.frame(to, bytes, hashOf(row))
      }
    })
    await Promise.all(['a', 'b', 'c', 'd'].map(honest))
    const { made } = await predictor()
    const counts = { wrong: 0, exact: 0, failed: 0 }
    const lane = async (first: number) => {
      for (let x = first; x <= QUERIES; x += LANES) {
        const given = await made.predict(Float32Array.of(x, 1)).catch(() => undefined)
        if (!given) counts.failed++
        else if (given.output.y.data[0] !== 2 * x) {
          counts.wrong++
          if (given.status === 'exact') counts.exact++
        }
      }
    }
    await Promise.all(Array.from({ length: LANES }, (_, i) => lane(i + 1)))
    const ejected = made.stats().workers.filter(({ ejections }) => ejections).map(({ worker }) => worker) // biome-ignore format: one line
    console.log(`${QUERIES} queries: ${JSON.stringify({ ...counts, ejected })}`)
    expect(counts).toEqual({ wrong: 0, exact: 0, failed: 0 })
    expect(ejected).toEqual([expect.stringMatching(/^forger-/)])
  })

  it('says in the place of the server that nobody listens to the others: nobody is lost', async () => {
    const names = await Promise.all(['a', 'b', 'c'].map(honest))
    let asked = 0
    await member((connection, _, reply) => {
      asked++
      const inbox = reply.slice(0, reply.lastIndexOf('.'))
      const nobody = headers(503, 'No Responders')
      for (const to of [...guesses(reply), ...names.map((name) => `${inbox}.-${name}`)]) {
        connection.publish(to, undefined, { headers: nobody })
      }
    })
    const { made, warnings } = await predictor()
    const queries = Array.from({ length: 200 }, (_, i) => Float32Array.of(i + 1, 1))
    await made.predictAll(queries, { deadlineMs: 60_000 }).catch(() => {}) // its own rows it does not answer
    expect(asked).toBeGreaterThan(0)
    expect(warnings.filter((text) => names.some((name) => text.startsWith(`${name} was lost`)))).toEqual([])
  })
})
