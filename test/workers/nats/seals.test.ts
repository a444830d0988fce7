/** Calls and answers are sealed with a secret of a gateway and a machine, in both directions: what is not theirs is ignored. */

import type { ModelWorker } from 'approxifer'
import { describe, expect, it, vi } from 'vitest'
import { ApproxiferError } from '../../../src/base/errors'
import { noble } from '../../../src/platform/noble'
import { keys } from '../../../src/platform/node-keys'
import type { Mac } from '../../../src/platform/platform'
import { webCrypto } from '../../../src/platform/webcrypto'
import { natsWorkers } from '../../../src/workers/machines/fleet'
import { Arrivals } from '../../../src/workers/machines/frame-verifier'
import { decode, encode, encodeError, encodeValues } from '../../../src/workers/machines/frames'
import { type Channel, Seals } from '../../../src/workers/machines/macs'
import { Forgeries } from '../../../src/workers/machines/options'
import { Outbox } from '../../../src/workers/machines/publisher'
import { identityOf } from '../../../src/workers/worker'
import { keyOf } from '../../shared/fixed-keys'
import { handMember } from '../../shared/hand-member'
import { HandWorker } from '../../shared/hand-predictor'
import { joined, natsFleets, row } from '../../shared/nats-fleet'
import { natsInstalled } from '../../shared/nats-server'
import { inferRow } from '../../shared/vectors'
import { until } from '../../shared/waiting'

const KIND = { row: 0, cancel: 1, ping: 2, answer: 3, error: 4, pong: 5 }
const subject = 'approxifer.f.worker.k.w'

describe('a secret', () => {
  const infos = ['there', 'back']
  const text = Uint8Array.of(1, 2, 3)
  const tags = async (macs: Mac[]) => Promise.all(macs.map(async (mac) => [...(await mac(text))]))

  it.each([
    ['Node', keys],
    ['WebCrypto', webCrypto],
    ['JavaScript', noble],
  ])(
    'of %s and one of Node seal alike, by HKDF; another one does not, and what is no key is refused',
    async (_, other) => {
      const [node, its, third] = await Promise.all([keys.secret(), other.secret(), keys.secret()])
      const ours = await tags(await node.agree(its.own, infos))
      expect(await tags(await its.agree(node.own, infos))).toEqual(ours)
      expect([ours[0].length, ours[0]]).not.toEqual([32, ours[1]])
      expect(await tags(await third.agree(its.own, infos))).not.toEqual(ours)
      const zero = 'A'.repeat(43) // a point with which every secret makes the same
      await expect((async () => other.secret().then((own) => own.agree(zero, infos)))()).rejects.toThrow()
      const [one, same, longer] = [ours[0], ours[0], [...ours[0], 0]].map((tag) => Uint8Array.from(tag))
      expect([other.areEqual(one, same), other.areEqual(one, longer)]).toEqual([true, false])
      for (let at = 0; at < one.length; at++) {
        same[at] ^= 1
        expect(other.areEqual(one, same)).toBe(false)
        same[at] ^= 1
      }
    },
  )

  it('with what is no key is none; others are remembered, and not for ever', async () => {
    const [own, first] = await Promise.all([Seals.make('gateway'), Seals.make('machine')])
    expect([await own.with(undefined), await own.with('x'), await own.with('A'.repeat(43))]).toEqual([undefined, undefined, undefined]) // biome-ignore format: one line
    const before = own.with(first.own)
    for (let i = 0; i < 200; i++) own.with((await keys.secret()).own)
    expect(own.with(first.own)).toBe(before)
    for (let i = 0; i < 300; i++) own.with((await keys.secret()).own)
    expect(own.with(first.own)).not.toBe(before)
  })
})

/** A gateway, a machine, and an address of a call between them. */
async function ends() {
  const [gateway, machine] = await Promise.all([Seals.make('gateway'), Seals.make('machine')])
  const to = `_INBOX.${gateway.own}.1`
  const [there, back] = [gateway.with(machine.own), machine.with(gateway.own)] as [Channel, Channel]
  return { gateway, machine, to, there, back }
}

const answer = () => [...encodeValues('answer', Float32Array.of(1, 2), 1000)][0]

describe('a sealed frame', () => {
  it('is its sender’s, for its call and its worker alone', async () => {
    const { to, there, back } = await ends()
    for (const [from, at] of [
      [there, back],
      [back, there],
    ]) {
      const frame = await from.seal(subject, to, answer())
      expect(at.isSealed(subject, to, frame)).toBe(true)
      expect(at.isSealed(subject, `${to}2`, frame)).toBe(false)
      expect(at.isSealed(`${subject}2`, to, frame)).toBe(false)
      for (let i = 0; i < frame.length; i++) {
        const other = frame.slice()
        other[i] ^= 1
        expect(at.isSealed(subject, to, other)).toBe(false)
      }
    }
  })

  it('is not taken back by its sender: the other end did not say it', async () => {
    const { to, there, back } = await ends()
    expect(there.isSealed(subject, to, await there.seal(subject, to, answer()))).toBe(false)
    expect(back.isSealed(subject, to, await back.seal(subject, to, answer()))).toBe(false)
  })

  it('is nobody else’s: of another secret, without one, of odd bytes', async () => {
    const { machine, gateway, to, there } = await ends()
    const [other, stranger] = [await Seals.make('machine'), await Seals.make('gateway')]
    for (const forger of [other.with(gateway.own), stranger.with(machine.own)] as Channel[])
      expect(there.isSealed(subject, to, await forger.seal(subject, to, answer()))).toBe(false)
    for (const bytes of [answer(), new Uint8Array(), new Uint8Array(5), new Uint8Array(32), new Uint8Array(100)])
      expect(there.isSealed(subject, to, bytes)).toBe(false)
  })

  it('has a higher number than all before it, also where the other end was forgotten meanwhile', async () => {
    const { to, machine, gateway, back } = await ends()
    const first = decode(await back.seal(subject, to, answer())).sequence
    for (let i = 0; i < 300; i++) machine.with((await keys.secret()).own)
    const again = machine.with(gateway.own) as Channel
    expect(again).not.toBe(back)
    expect(decode(await again.seal(subject, to, answer())).sequence).toBeGreaterThan(first)
  })
})

describe('what arrives at a worker', () => {
  async function arriving() {
    const { machine, to, there } = await ends()
    const received = vi.fn()
    const forgeries = new Forgeries(() => {}, 'gateways')
    const arrivals = new Arrivals(subject, machine, forgeries, (frame) => received(frame.kind))
    return { machine, to, there, received, forgeries, arrivals }
  }

  it('counts once, and in the order in which it was sent', async () => {
    const { to, there, received, forgeries, arrivals } = await arriving()
    const sent = ['row', 'cancel', 'ping'].map((kind) => there.seal(subject, to, encode(kind as 'row')) as Uint8Array)
    for (const frame of [sent[0], sent[0], sent[2], sent[1], sent[0], sent[2]]) arrivals.take(frame, to)
    expect([received.mock.calls.flat(), forgeries.count]).toEqual([['row', 'ping'], 4])
  })

  it('of others, by a key of theirs or of none, is counted and harms nobody', async () => {
    const { machine, to, there, received, forgeries, arrivals } = await arriving()
    const other = await Seals.make('gateway')
    const own = other.with(machine.own) as Channel
    arrivals.take(encode('cancel'), to)
    arrivals.take(Uint8Array.of(1, 2, 3), to)
    arrivals.take(own.seal(subject, to, encode('cancel')) as Uint8Array, to)
    arrivals.take(encode('cancel'), '_INBOX.x.y')
    arrivals.take(encode('cancel'), 'x')
    expect([received.mock.calls.length, forgeries.count]).toEqual([0, 5])
    arrivals.take(there.seal(subject, to, encode('cancel')) as Uint8Array, to)
    arrivals.take(own.seal(subject, `_INBOX.${other.own}.2`, encode('ping')) as Uint8Array, `_INBOX.${other.own}.2`)
    expect(received.mock.calls.flat()).toEqual(['cancel', 'ping']) // a machine serves any gateway
  })
})

describe.skipIf(!natsInstalled)('a fleet', () => {
  const fleets = natsFleets()

  it('seals all that it says about calls, and no earlier frame', async () => {
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

  it('has members that seal what they say in the names of others: it is dropped, and the call waits for its own', async () => {
    const fleet = fleets.newName()
    const connection = await fleets.connect()
    const [own, seals] = [keyOf('sealed-own'), await Seals.make('machine')]
    const publish = (to: string, bytes?: Uint8Array) => connection.publish(to, bytes)
    const name = `own-${own.identity.slice(0, 10)}`
    const lie = encodeError({ code: 'PROTOCOL', message: 'is broken' })
    const received = (frame: Uint8Array, reply: string, outbox: Outbox) => {
      if (frame[1] !== KIND.row) return
      const forger = new Outbox({ most: 1_048_576, publish }, `approxifer.${fleet}.worker.${own.identity}.${name}`, { key: keyOf('forger'), seals }) // biome-ignore format: one line
      forger.frame(reply, lie.slice())
      for (const bytes of encodeValues('answer', Float32Array.of(9, 9), 1000)) forger.frame(reply, bytes)
      for (const bytes of encodeValues('answer', Float32Array.of(2, 2), 1000)) outbox.frame(reply, bytes)
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
