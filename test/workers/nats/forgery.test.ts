import { headers, type NatsConnection } from '@nats-io/transport-node'
import { createPredictor } from 'approxifer'
import { natsWorkers } from 'approxifer/nats'
import { describe, expect, it } from 'vitest'
import { encodeValues } from '../../../src/workers/machines/frames'
import type { Publisher } from '../../../src/workers/machines/publisher'
import { keyOf } from '../../shared/fixed-keys'
import { handMember, rowIn } from '../../shared/hand-member'
import { natsFleets } from '../../shared/nats-fleet'
import { natsInstalled } from '../../shared/nats-server'

/** More by the variable QUERIES. */
const QUERIES = Number(process.env.QUERIES ?? 1000)
/** Callers at a time. */
const LANES = 4
const fleet = 'forged'

const fleets = natsFleets()
const honest = (name: string) => fleets.double(fleet, name)

/** A member that listens to its own subject alone. @param received  what it does with a row and where its answer goes */
async function member(
  received: (connection: NatsConnection, frame: Uint8Array, reply: string, publisher: Publisher) => void,
) {
  const connection = await fleets.connect()
  const key = keyOf('forger')
  const beat = handMember(connection, fleet, `forger-${key.identity.slice(0, 10)}`, {
    key,
    received: (frame, reply, publisher) => frame[1] === 0 && received(connection, frame, reply, publisher),
  })
  const timer = setInterval(beat, 500)
  fleets.end(() => clearInterval(timer))
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
    workers: natsWorkers(fleets.url, { fleet, onWarning: (text) => warnings.push(text) }),
    onWarning: (text) => warnings.push(text),
  })
  fleets.end(() => made.close())
  return { made, warnings }
}

describe.skipIf(!natsInstalled)('a member of a fleet on NATS that guesses what others answer to', () => {
  it('forges their answers: no wrong answer is exact, and nobody honest is ejected', async () => {
    const lie = (row: Float32Array) => row.map((value) => 3 * value + 1)
    await member((_, frame, reply, publisher) => {
      const row = rowIn(frame)
      for (const to of [...guesses(reply), reply]) {
        for (const bytes of encodeValues('answer', lie(row), 1_048_576)) publisher.frame(to, bytes)
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
