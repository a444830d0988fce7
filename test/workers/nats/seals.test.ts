/** Answers are sealed with a secret of the two ends, which takes a machine and its coordinator a fiftieth of a signature and its check. */

import type { ModelWorker } from 'approxifer'
import { describe, expect, it, vi } from 'vitest'
import { ApproxiferError } from '../../../src/errors'
import { noble } from '../../../src/platform/noble'
import { keys } from '../../../src/platform/node-keys'
import { webCrypto } from '../../../src/platform/webcrypto'
import { natsWorkers } from '../../../src/workers/nats/fleet'
import { decode, encodeError, encodeValues, SEALED, SIGNED } from '../../../src/workers/nats/frames'
import { Seals } from '../../../src/workers/nats/seals'
import { hashOf, Outbox, Voice } from '../../../src/workers/nats/signature'
import { identityOf } from '../../../src/workers/worker'
import { handMember, rowIn } from '../../shared/hand-member'
import { HandWorker } from '../../shared/house'
import { keyOf } from '../../shared/keys'
import { joined, natsFleets, row } from '../../shared/nats-fleet'
import { natsInstalled } from '../../shared/nats-server'
import { until } from '../../shared/patience'
import { inferRow } from '../../shared/vectors'

const KIND = { answer: 3, error: 4, pong: 5 }
const subject = 'approxifer.f.worker.k.w'
const key = keyOf('sealing')

const secret = async () => (await Seals.make()) as Seals
const tag = async (of: Seals, to: string, text: Uint8Array) => (await of.with(to))?.(text)

/** What a machine says, of which this secret is. */
function said(seals?: Seals) {
  const frames: Uint8Array[] = []
  const publish = (_: string, bytes?: Uint8Array) => void frames.push(bytes as Uint8Array)
  return { frames, outbox: new Outbox({ most: 1_048_576, publish }, subject, key, seals) }
}

const [answer] = encodeValues('answer', Float32Array.of(1, 2), 1000)

describe('a secret', () => {
  it.each([
    ['Node', keys],
    ['WebCrypto', webCrypto],
    ['JavaScript', noble],
  ])('of %s and one of Node seal alike; another one does not, and what is no key is refused', async (_, other) => {
    const [node, its, third] = await Promise.all([keys.secret(), other.secret(), keys.secret()])
    const text = Uint8Array.of(1, 2, 3)
    const ours = await (await node.agree(its.own))(text)
    expect(ours.length).toBe(32)
    expect([...(await (await its.agree(node.own))(text))]).toEqual([...ours])
    expect([...(await (await third.agree(its.own))(text))]).not.toEqual([...ours])
    const zero = 'A'.repeat(43) // a point with which every secret makes the same
    await expect((async () => other.secret().then((own) => own.agree(zero)))()).rejects.toThrow()
  })

  it('with what is no key is none; keys of many are not kept for ever', async () => {
    const own = await secret()
    expect([await own.with(undefined), await own.with('x'), await own.with('A'.repeat(43))]).toEqual([undefined, undefined, undefined]) // biome-ignore format: one line
    const [first, text] = [await secret(), Uint8Array.of(1)]
    const before = await tag(own, first.own, text)
    for (let i = 0; i < 300; i++) void own.with((await keys.secret()).own)
    expect(await tag(own, first.own, text)).toEqual(before)
  })
})

describe('a sealed frame', () => {
  const asked = async () => {
    const [coordinator, machine] = [await secret(), await secret()]
    const to = `_INBOX.${coordinator.own}.1`
    const voice = new Voice(subject, keys.verifier(key.identity), coordinator.with(machine.own))
    return { coordinator, machine, to, voice, row: await hashOf(row(1)) }
  }

  it('is its worker’s at once, for its call and its row alone', async () => {
    const { machine, to, voice, row: hash } = await asked()
    const { frames, outbox } = said(machine)
    outbox.frame(to, answer.slice(), hash)
    const [frame] = frames
    expect(decode(frame).flags).toBe(SEALED)
    expect(voice.said(to, frame, hash)).toBe(true)
    expect(voice.said(`${to}2`, frame, hash)).toBe(false)
    expect(voice.said(to, frame, await hashOf(row(2)))).toBe(false)
    for (const at of [4, 20, frame.length - 1]) {
      const other = frame.slice()
      other[at] ^= 1
      expect(voice.said(to, other, hash)).toBe(false)
    }
    expect(new Voice(subject, keys.verifier(key.identity)).said(to, frame, hash)).toBe(false)
  })

  it('is nobody else’s: of a secret of his own, of the other end’s, without one', async () => {
    const { coordinator, to, voice, row: hash } = await asked()
    for (const seals of [await secret(), coordinator]) {
      const { frames, outbox } = said(seals)
      outbox.frame(to, answer.slice(), hash)
      expect(decode(frames[0]).flags).toBe(SEALED)
      expect(voice.said(to, frames[0], hash)).toBe(false)
    }
    expect(voice.said(to, answer, hash)).toBe(false)
    const empty = Uint8Array.of(...answer, ...new Uint8Array(32))
    empty[2] = SEALED
    expect(voice.said(to, empty, hash)).toBe(false)
  })

  it('is signed instead where whoever asked has no secret, or the machine has none: that counts as well', async () => {
    const { machine, to, voice, row: hash } = await asked()
    for (const [seals, at] of [
      [machine, '_INBOX.0123456789abcdef0123456789abcdef.1'],
      [undefined, to],
    ] as const) {
      // biome-ignore format: one line
      const { frames, outbox } = said(seals)
      outbox.frame(at, answer.slice(), hash)
      await until(() => frames.length === 1)
      expect(decode(frames[0]).flags).toBe(SIGNED)
      expect(await voice.said(at, frames[0], hash)).toBe(true)
    }
  })
})

describe.skipIf(!natsInstalled)('a fleet', () => {
  const fleets = natsFleets()

  /** All frames to coordinators, as kind and proof. */
  async function overheard() {
    const raw = await fleets.connect()
    const heard: { kind: number; flags: number }[] = []
    raw.subscribe('_INBOX.>', { callback: (_, { data }) => void heard.push({ kind: data[1], flags: data[2] }) })
    await raw.flush()
    return heard
  }

  it('seals answers and errors, and signs who answers', async () => {
    const heard = await overheard()
    const hand = new HandWorker('a')
    const { changes } = await fleets.start([hand])
    const worker = await joined(changes)
    for (const end of ['answer', 'fail'] as const) {
      const call = inferRow(worker, row(1)).catch(({ code }) => code)
      await until(() => hand.calls.length === 1)
      const [own] = hand.calls.splice(0)
      if (end === 'answer') own.answer()
      else own.fail(new ApproxiferError('WORKER', 'broken'))
      expect(await call).toEqual(end === 'answer' ? Float32Array.of(2, 2) : 'WORKER')
    }
    await until(() => heard.some(({ kind }) => kind === KIND.error))
    const proofs = heard.filter(({ kind }) => kind >= KIND.answer).map(({ kind, flags }) => `${kind} ${flags}`)
    expect(new Set(proofs)).toEqual(new Set([`${KIND.pong} ${SIGNED}`, `${KIND.answer} ${SEALED}`, `${KIND.error} ${SEALED}`])) // biome-ignore format: one line
  })

  it('has members that seal what they say in the names of others: it is dropped, and the call waits for its own', async () => {
    const fleet = fleets.newName()
    const connection = await fleets.connect()
    const [own, others] = [keyOf('sealed-own'), await secret()]
    const publish = (to: string, bytes?: Uint8Array) => connection.publish(to, bytes)
    const name = `own-${own.identity.slice(0, 10)}`
    const lie = encodeError({ code: 'PROTOCOL', message: 'is broken' })
    const received = vi.fn((frame: Uint8Array, reply: string, outbox: Outbox) => {
      const forger = new Outbox({ most: 1_048_576, publish }, `approxifer.${fleet}.worker.${own.identity}.${name}`, keyOf('forger'), others) // biome-ignore format: one line
      const hash = hashOf(rowIn(frame))
      forger.frame(reply, lie.slice())
      for (const bytes of encodeValues('answer', Float32Array.of(9, 9), 1000)) forger.frame(reply, bytes, hash)
      for (const bytes of encodeValues('answer', Float32Array.of(2, 2), 1000)) outbox.frame(reply, bytes, hash)
    })
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
