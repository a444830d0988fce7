/** Heartbeats of workers that are not there: a query that would have gone to one is not to blame. */

import { createPredictor } from 'approxifer'
import { natsWorkers } from 'approxifer/nats'
import { describe, expect, it } from 'vitest'
import { encode } from '../../../src/workers/machines/frames'
import { HandWorker } from '../../shared/hand-predictor'
import { UP } from '../../shared/heartbeat'
import { natsFleets } from '../../shared/nats-fleet'
import { natsInstalled } from '../../shared/nats-server'
import { doubling } from '../../shared/vectors'
import { PATIENCE_MS } from '../../shared/waiting'

const fleets = natsFleets()
const QUERIES = 200
const ROUND = 2

/** A heartbeat of a worker without a key. */
function beatOf(name: string): Uint8Array {
  const { signature } = new HandWorker(name)
  const beat = { ...UP, name, identity: name }
  return new TextEncoder().encode(JSON.stringify({ ...beat, signature }))
}

/** Queries to a fleet with one worker, which answers. @param trouble  made before every second. @returns how many were answered */
async function answered(trouble: (fleet: string, round: number) => unknown): Promise<number> {
  const { name } = await fleets.start([Object.assign(new HandWorker('a'), { infer: doubling })])
  const workers = natsWorkers(fleets.url, { fleet: name, onWarning() {} })
  const predictor = await createPredictor({ workers, deadlineMs: PATIENCE_MS, onWarning() {} })
  fleets.end(() => predictor.close())
  const ask = async (x: number) => (await predictor.predict(Float32Array.of(x, 1))).output.y.data[0] === 2 * x
  let right = 0
  for (let x = 0; x < QUERIES; x += ROUND) {
    await trouble(name, x / ROUND)
    const answers = await Promise.allSettled(Array.from({ length: ROUND }, (_, i) => ask(x + i)))
    right += answers.filter((each) => each.status === 'fulfilled' && each.value).length
  }
  return right
}

describe.skipIf(!natsInstalled)('workers that nobody is', () => {
  it('3,000 forged heartbeats: no query fails of them', async () => {
    const raw = await fleets.connect()
    let forged = 0
    const forge = (fleet: string) => {
      for (let i = 0; i < 30; i++, forged++) {
        raw.publish(`approxifer.${fleet}.beat.ghost-${forged}`, beatOf(`ghost-${forged}`))
      }
    }
    expect([await answered(forge), forged]).toEqual([QUERIES, 3000])
  })

  it('400 that join and listen no more, and are heard again and again: no query fails of them', async () => {
    const raw = await fleets.connect()
    let unheard = 0
    const forge = async (fleet: string, round: number) => {
      for (let i = 0; i < 4 * (round + 1); i++) {
        const name = `ghost-${i}`
        const pong = (_: unknown, { reply = '' }) => {
          raw.publish(reply, encode('pong'))
          unheard++
        }
        if (i >= 4 * round) raw.subscribe(`approxifer.${fleet}.worker.${name}`, { max: 1, callback: pong })
        raw.publish(`approxifer.${fleet}.beat.${name}`, beatOf(name))
      }
      await raw.flush()
    }
    expect([await answered(forge), unheard]).toEqual([QUERIES, 400])
  })
})
