/** On a NATS server all that is said about calls has MACs, and what others say in the place of its ends is dropped. */

import type { ModelWorker } from 'approxifer'
import { natsWorkers } from 'approxifer/nats'
import { describe, expect, it } from 'vitest'
import { ApproxiferError } from '../../../src/base/errors'
import { encodeError, encodeValues } from '../../../src/workers/machines/frames'
import { Macs } from '../../../src/workers/machines/macs'
import type { Publisher } from '../../../src/workers/machines/publisher'
import { identityOf } from '../../../src/workers/worker'
import { keyOf } from '../../shared/fixed-keys'
import { handMember, publisherOn } from '../../shared/hand-member'
import { HandWorker } from '../../shared/hand-predictor'
import { joined, natsFleets, row } from '../../shared/nats-fleet'
import { natsInstalled } from '../../shared/nats-server'
import { inferRow } from '../../shared/vectors'
import { until } from '../../shared/waiting'

const KIND = { row: 0, cancel: 1, ping: 2, answer: 3, error: 4, pong: 5 }
describe.skipIf(!natsInstalled)('a fleet', () => {
  const fleets = natsFleets()

  it('has MACs for all that it says about calls, and no earlier frame', async () => {
    const raw = await fleets.connect()
    const heard: { kind: number; isSealed: boolean }[] = []
    const callback = (_: unknown, { data }: { data: Uint8Array }) => {
      if (data.length >= 56) heard.push({ kind: data[1], isSealed: data.subarray(-32).some((byte) => byte) })
    }
    for (const of of ['_INBOX.>', 'approxifer.*.worker.>']) raw.subscribe(of, { callback })
    await raw.flush()
    const hand = new HandWorker('a')
    const { changes } = await fleets.start([hand])
    const worker = await joined(changes)
    for (const end of ['answer', 'fail', 'abort'] as const) {
      const abort = new AbortController()
      const call = inferRow(worker, row(1), { signal: abort.signal }).catch(({ code }) => code)
      await until(() => hand.calls.length === 1)
      const [own] = hand.calls.splice(0)
      if (end === 'answer') own.answer()
      else if (end === 'fail') own.fail(new ApproxiferError('WORKER', 'broken'))
      else abort.abort()
      expect(await call).toEqual({ answer: Float32Array.of(2, 2), fail: 'WORKER', abort: 'ABORTED' }[end])
    }
    await until(() => heard.some(({ kind }) => kind === KIND.cancel))
    expect(new Set(heard.map(({ kind }) => kind))).toEqual(new Set(Object.values(KIND)))
    expect(heard.filter(({ isSealed }) => !isSealed)).toEqual([])
  })

  it('has members that say things in the names of others, with MACs of their own: it is dropped, and the call waits for its own', async () => {
    const fleet = fleets.newName()
    const connection = await fleets.connect()
    const [own, macs] = [keyOf('sealed-own'), await Macs.make('machine')]
    const name = `own-${own.identity.slice(0, 10)}`
    const lie = encodeError({ code: 'PROTOCOL', message: 'is broken' })
    const received = (frame: Uint8Array, reply: string, publisher: Publisher) => {
      if (frame[1] !== KIND.row) return
      const forger = publisherOn(connection, `approxifer.${fleet}.worker.${own.identity}.${name}`, { key: keyOf('forger'), macs }) // biome-ignore format: one line
      forger.frame(reply, lie.slice())
      for (const bytes of encodeValues('answer', Float32Array.of(9, 9), 1000)) forger.frame(reply, bytes)
      for (const bytes of encodeValues('answer', Float32Array.of(2, 2), 1000)) publisher.frame(reply, bytes)
    }
    const beat = handMember(connection, fleet, name, { key: own, received })
    const changes = natsWorkers(fleets.url, { fleet, onWarning: () => {} })
    fleets.end(() => changes.return?.())
    const worker: Promise<ModelWorker> = joined(changes)
    await connection.flush()
    beat()
    expect([...(await inferRow(await worker, row(1)))]).toEqual([2, 2])
    expect(identityOf(await worker)).toBe(own.identity)
    expect(changes.forged).toBe(2)
  })
})
