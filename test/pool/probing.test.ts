/** When a slow worker gets a copy of a query, to show whether it has recovered. */

import { expect, it } from 'vitest'
import { ApproxiferError } from '../../src/errors'
import { Member } from '../../src/pool/member'
import { Probing } from '../../src/pool/probing'
import { Speeds } from '../../src/pool/speed'
import { VirtualClock } from '../../src/testing/virtual-clock'
import { BatchWorker } from '../shared/batch-worker'
import { payloadOf } from '../shared/vectors'

const SLOTS = 10
/** Milliseconds in which ten slots save up one of probing. */
const EARN_MS = 10

const query = payloadOf(Float32Array.of(1))

/** Nine workers of 10 ms, and slow ones of 100 ms. */
function probing(slow = 1) {
  const clock = new VirtualClock()
  const own = new Probing(clock, new Speeds())
  const member = (name: string) => {
    const made = new Member(new BatchWorker(name), 1)
    made.state = { is: 'ready' }
    return made
  }
  for (let i = 0; i < 9; i++) {
    const fast = member(`fast${i}`)
    for (let n = 0; n < 20; n++) own.rate(fast, 10)
  }
  const slows = Array.from({ length: slow }, (_, i) => member(`slow${i}`))
  for (let n = 0; n < 20; n++) for (const each of slows) own.rate(each, 100)
  const ask = () => own.next(query, SLOTS, clock.now())
  /** @returns the first of so many queries that is copied: its number and the worker */
  const asked = (queries: number) => {
    for (let i = 1; i <= queries; i++) {
      const probe = ask()
      if (probe) return { ...probe, number: i }
    }
  }
  return { clock, own, slows, ask, asked }
}

it('every fiftieth query is copied, while a hundredth of the time of all slots is left for it', () => {
  const { clock, asked, slows } = probing()
  expect(asked(1000)).toBeUndefined() // no time has passed
  clock.spend(EARN_MS)
  expect(asked(1)?.member).toBe(slows[0])
  expect(asked(1000)?.number).toBe(50)
})

it('what a probe takes is taken from the time of probes', () => {
  const { clock, asked } = probing()
  clock.spend(EARN_MS)
  const probe = asked(50)
  const run = (ms: number) => probe?.attempt.row.owner.settled({ ranMs: ms, factor: 1, outcome: { kind: 'answered' } } as never) // biome-ignore format: one line
  run(100)
  expect(asked(1000)).toBeUndefined()
  clock.spend(99 * EARN_MS)
  expect(asked(1000)).toBeUndefined() // it has no more than what it had spent
  clock.spend(EARN_MS)
  expect(asked(1)).toBeDefined()
})

it('no more than 100 ms are saved up', () => {
  const { clock, asked } = probing()
  clock.spend(1e6)
  const probe = asked(50)
  probe?.attempt.row.owner.settled({ ranMs: 100, factor: 1, outcome: { kind: 'answered' } } as never)
  expect(asked(1000)).toBeUndefined()
})

it.each([
  ['takes less than half of what was expected: the next query is copied at once', 49, 'answered', 1],
  ['takes half: it waits for the next fifty', 51, 'answered', 50],
  ['fails: the same', 1, 'failed', 50],
] as const)('a probe that %s', (_, ranMs, kind, number) => {
  const { clock, asked } = probing()
  clock.spend(10_000)
  const outcome = kind === 'answered' ? { kind } : { kind, error: new ApproxiferError('WORKER', 'failed') }
  asked(50)?.attempt.row.owner.settled({ ranMs, factor: 1, outcome } as never)
  expect(asked(1000)?.number).toBe(number)
})

it('slow workers take turns; one at work, full, or away is left out, and one that is no longer slow is forgotten', () => {
  const { clock, own, slows, asked } = probing(4)
  clock.spend(10_000)
  slows[0].slots.more()
  slows[1].state = { is: 'unavailable', why: 'down' }
  const all = [asked(50), asked(50), asked(50)].map((probe) => probe?.member)
  expect(all).toEqual([slows[2], slows[3], slows[2]])
  for (let n = 0; n < 20; n++) own.rate(slows[3], 10)
  own.forget(slows[2])
  expect(asked(1000)).toBeUndefined()
})
