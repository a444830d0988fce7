/** Calls and answers have MACs by a secret of a gateway and a machine, in both directions: what is not theirs is ignored. */

import { describe, expect, it, vi } from 'vitest'
import { noble } from '../../../src/platform/noble'
import { keys } from '../../../src/platform/node-keys'
import type { Mac } from '../../../src/platform/platform'
import { webCrypto } from '../../../src/platform/webcrypto'
import { Forgeries } from '../../../src/workers/machines/forgeries'
import { FrameVerifier } from '../../../src/workers/machines/frame-verifier'
import { decode, encode, encodeValues, type Frame } from '../../../src/workers/machines/frames'
import { type Channel, Macs } from '../../../src/workers/machines/macs'
import { subjectsOf } from '../../../src/workers/nats/subjects'

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
    const [own, first] = await Promise.all([Macs.make('gateway'), Macs.make('machine')])
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
  const [gateway, machine] = await Promise.all([Macs.make('gateway'), Macs.make('machine')])
  const to = `_INBOX.${gateway.own}.1`
  const [there, back] = [gateway.with(machine.own), machine.with(gateway.own)] as [Channel, Channel]
  return { gateway, machine, to, there, back }
}

const numberOf = (bytes: Uint8Array) => (decode(bytes) as Frame).sequence

const answer = () => [...encodeValues('answer', Float32Array.of(1, 2), 1000)][0]

describe('a frame with a MAC', () => {
  it('is its sender’s, for its call and its worker alone', async () => {
    const { to, there, back } = await ends()
    for (const [from, at] of [
      [there, back],
      [back, there],
    ]) {
      const frame = await from.authenticate(subject, to, answer())
      expect(at.verify(subject, to, frame)).toBe(true)
      expect(at.verify(subject, `${to}2`, frame)).toBe(false)
      expect(at.verify(`${subject}2`, to, frame)).toBe(false)
      for (let i = 0; i < frame.length; i++) {
        const other = frame.slice()
        other[i] ^= 1
        expect(at.verify(subject, to, other)).toBe(false)
      }
    }
  })

  it('is not taken back by its sender: the other end did not say it', async () => {
    const { to, there, back } = await ends()
    expect(there.verify(subject, to, await there.authenticate(subject, to, answer()))).toBe(false)
    expect(back.verify(subject, to, await back.authenticate(subject, to, answer()))).toBe(false)
  })

  it('is nobody else’s: of another secret, without one, of odd bytes', async () => {
    const { machine, gateway, to, there } = await ends()
    const [other, stranger] = [await Macs.make('machine'), await Macs.make('gateway')]
    for (const forger of [other.with(gateway.own), stranger.with(machine.own)] as Channel[])
      expect(there.verify(subject, to, await forger.authenticate(subject, to, answer()))).toBe(false)
    for (const bytes of [answer(), new Uint8Array(), new Uint8Array(5), new Uint8Array(32), new Uint8Array(100)])
      expect(there.verify(subject, to, bytes)).toBe(false)
  })

  it('has a higher number than all before it, also where the other end was forgotten meanwhile', async () => {
    const { to, machine, gateway, back } = await ends()
    const first = numberOf(await back.authenticate(subject, to, answer()))
    for (let i = 0; i < 300; i++) machine.with((await keys.secret()).own)
    const again = machine.with(gateway.own) as Channel
    expect(again).not.toBe(back)
    expect(numberOf(await again.authenticate(subject, to, answer()))).toBeGreaterThan(first)
  })
})

describe('what arrives at a worker', () => {
  async function arriving() {
    const { machine, to, there } = await ends()
    const received = vi.fn()
    const forgeries = new Forgeries('f', () => {}, 'gateways')
    const verifier = new FrameVerifier(subject, subjectsOf('f'), machine, forgeries, {
      receive: (frame) => received(frame.kind),
    })
    return { machine, to, there, received, forgeries, verifier }
  }

  it('counts once, and in the order in which it was sent', async () => {
    const { to, there, received, forgeries, verifier } = await arriving()
    const sent = ['row', 'cancel', 'ping'].map(
      (kind) => there.authenticate(subject, to, encode(kind as 'row')) as Uint8Array,
    )
    for (const frame of [sent[0], sent[0], sent[2], sent[1], sent[0], sent[2]]) verifier.take(frame, to)
    expect([received.mock.calls.flat(), forgeries.count]).toEqual([['row', 'ping'], 4])
  })

  it('of others, by a key of theirs or of none, is counted and harms nobody', async () => {
    const { machine, to, there, received, forgeries, verifier } = await arriving()
    const other = await Macs.make('gateway')
    const own = other.with(machine.own) as Channel
    verifier.take(encode('cancel'), to)
    verifier.take(Uint8Array.of(1, 2, 3), to)
    verifier.take(own.authenticate(subject, to, encode('cancel')) as Uint8Array, to)
    verifier.take(encode('cancel'), '_INBOX.x.y')
    verifier.take(encode('cancel'), 'x')
    expect([received.mock.calls.length, forgeries.count]).toEqual([0, 5])
    verifier.take(there.authenticate(subject, to, encode('cancel')) as Uint8Array, to)
    verifier.take(
      own.authenticate(subject, `_INBOX.${other.own}.2`, encode('ping')) as Uint8Array,
      `_INBOX.${other.own}.2`,
    )
    expect(received.mock.calls.flat()).toEqual(['cancel', 'ping']) // a machine serves any gateway
  })
})
