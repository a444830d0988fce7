/** A machine that makes up names. */

import { expect, it, vi } from 'vitest'
import { VirtualClock } from '../../../src/testing/virtual-clock'
import { HeartbeatVerifier } from '../../../src/workers/machines/heartbeat-verifier'
import type { LinkMessage } from '../../../src/workers/machines/link'
import { Macs } from '../../../src/workers/machines/macs'
import { checkFleetOptions } from '../../../src/workers/machines/options'
import { subjectsOf } from '../../../src/workers/nats/subjects'
import { keyOf } from '../../shared/fixed-keys'
import { publisherOn } from '../../shared/hand-member'
import { HandWorker, turn } from '../../shared/hand-predictor'
import { UP } from '../../shared/heartbeat'
import { until } from '../../shared/waiting'

it('names that one machine makes up are checked a few at a time, and no more than it may have', async () => {
  const clock = new VirtualClock()
  const [key, macs, subjects] = [keyOf('many'), await Macs.make('machine'), subjectsOf('f')]
  const settings = checkFleetOptions({ fleet: 'f', clock, onWarning() {} })
  const believed = vi.fn()
  const verifier = new HeartbeatVerifier({ addresses: subjects }, settings, () => undefined, believed)
  const { signature } = new HandWorker('a')
  const beats: LinkMessage[] = []
  const publish = (to: string, bytes = new Uint8Array()) => void beats.push({ to, bytes })
  for (let i = 0; i < 10_000; i++) {
    const place = { name: `w${i}-${key.identity.slice(0, 10)}`, identity: key.identity, signed: true }
    const own = { ...UP, signature }
    const publisher = publisherOn({ publish }, subjects.worker(place), { key, macs })
    publisher.beat(subjects.heartbeat(place), { ...own, name: place.name, identity: key.identity })
    if (i % 100 === 0) await publisher.said()
  }
  await until(() => beats.length === 10_000)
  for (const beat of beats) verifier.hear(beat)
  for (let at = 0, before = 0; at < 100; at++, before = believed.mock.calls.length) {
    for (let turns = 0; turns < 3; turns++) await turn()
    expect(believed.mock.calls.length - before).toBeLessThanOrEqual(20)
    await clock.run(at)
  }
  expect(believed.mock.calls.length).toBe(256)
  for (const beat of beats.slice(0, 300)) verifier.hear(beat) // and again: known ones at once
  await until(() => believed.mock.calls.length === 512)
})
