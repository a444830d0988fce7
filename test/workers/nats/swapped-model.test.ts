import type { ModelWorker } from 'approxifer'
import { describe, expect, it } from 'vitest'
import { decode, encodeValues, markOf, UNLIMITED } from '../../../src/workers/machines/frames'
import { HandWorker } from '../../shared/hand-predictor'
import { joined, natsFleets, row } from '../../shared/nats-fleet'
import { natsInstalled } from '../../shared/nats-server'
import { inferRow } from '../../shared/vectors'
import { until } from '../../shared/waiting'

const fleets = natsFleets()

describe.skipIf(!natsInstalled)('a machine on NATS whose model is replaced between two heartbeats', () => {
  it('its answer is not accepted, and it is asked at once which model it has', async () => {
    const hand = Object.assign(new HandWorker('a'), { fingerprint: 'x' })
    const { changes } = await fleets.start([hand])
    const worker = await joined(changes)
    const ask = async () => {
      const answer = inferRow(worker, row(1))
      answer.catch(() => {})
      await until(() => hand.calls.length === 1)
      hand.calls[0].answer()
      return answer
    }
    expect([...(await ask())]).toEqual([2, 2])
    hand.fingerprint = 'y'
    await expect(ask()).rejects.toMatchObject({ code: 'WORKER', message: expect.stringContaining('another model now') })
    // Nobody's time goes on here: what tells it is the answer to a question, not the next heartbeat.
    const told: unknown[] = []
    for await (const change of changes) {
      told.push('add' in change ? (change.add as ModelWorker).fingerprint : Object.keys(change)[0])
      if (told.at(-1) === 'y') break
    }
    expect(told).toEqual(['remove', 'model', 'y'])
  })
})

it('an answer of a worker that does not say its model is as it was', () => {
  const [frame] = encodeValues('answer', Float32Array.of(1), 1000)
  expect(decode(frame)?.budgetOrMark).toBe(UNLIMITED)
  expect([markOf(undefined), markOf('x') === markOf('y')]).toEqual([UNLIMITED, false])
})
