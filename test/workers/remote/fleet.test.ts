/** What every remote fleet is: losses that are told once, changes that are read when somebody wants them, one model. */

import { describe, expect, it } from 'vitest'
import { VirtualClock } from '../../../src/testing/virtual-clock'
import { RemoteFleet } from '../../../src/workers/remote/fleet'
import type { ModelWorker } from '../../../src/workers/worker'

function remoteFleet() {
  const clock = new VirtualClock()
  const warnings: string[] = []
  const calls: string[] = []
  const fleet = new RemoteFleet<string>({
    warn: (text) => warnings.push(text),
    clock,
    onStart: () => calls.push('start'),
    onReturn: () => calls.push('return'),
  })
  return { fleet, clock, warnings, calls }
}

const worker = (name: string) => ({ name }) as ModelWorker

describe('losses', () => {
  it('are told once, and the worker as back when it has been well for a second', async () => {
    const { fleet, clock, warnings } = remoteFleet()
    for (let times = 0; times < 3; times++) {
      fleet.lost('a', `a was lost: ${times}`)
      await clock.run(clock.now() + 300)
      fleet.well('a')
      await clock.run(clock.now() + 900)
    }
    expect(warnings).toEqual(['a was lost: 0'])
    fleet.well('a')
    await clock.run(clock.now() + 100)
    expect(warnings).toEqual(['a was lost: 0', 'a is back'])
    fleet.well('a')
    await clock.run(clock.now() + 5000)
    expect([warnings.length, clock.pending]).toEqual([2, 0])
  })

  it('are told again where that is news', () => {
    const { fleet, warnings } = remoteFleet()
    for (const text of ['another model', 'another model', 'a third']) fleet.lost('a', text, true)
    expect(warnings).toEqual(['another model', 'a third'])
  })

  it('of a worker that leaves or joins again: it is not back while it is away', async () => {
    const { fleet, clock, warnings } = remoteFleet()
    fleet.lost('a', 'lost')
    fleet.well('a')
    fleet.leave('a', 'remove')
    await clock.run(5000)
    expect(warnings).toEqual(['lost'])
    fleet.join(worker('a'))
    await clock.run(10_000)
    expect(warnings).toEqual(['lost', 'a is back'])
  })

  it('of ever new names do not fill the memory', () => {
    const { fleet, warnings } = remoteFleet()
    for (let i = 0; i <= 10_000; i++) fleet.lost(`w${i}`, 'lost')
    fleet.lost('w10000', 'lost')
    expect(warnings.length).toBe(10_001)
    fleet.lost('w0', 'lost') // long forgotten
    expect(warnings.length).toBe(10_002)
  })
})

describe('changes', () => {
  it('begin when somebody reads, end with an error once, and say what was not read', async () => {
    const { fleet, calls } = remoteFleet()
    fleet.join(worker('a'))
    expect(calls).toEqual([])
    expect(await fleet.changes.next()).toEqual({ done: false, value: { add: worker('a') } })
    fleet.leave('a', 'drain')
    fleet.changes.end(new Error('over'))
    expect([calls, fleet.changes.unread, fleet.changes.isOver]).toEqual([['start'], [{ drain: 'a' }], true])
    expect(await fleet.changes.next()).toEqual({ done: false, value: { drain: 'a' } })
    await expect(fleet.changes.next()).rejects.toThrow('over')
    expect(await fleet.changes.next()).toEqual({ done: true, value: undefined })
    await fleet.changes.return()
    expect(calls).toEqual(['start'])
  })

  it('that nobody wants any more end the fleet', async () => {
    const { fleet, calls } = remoteFleet()
    await fleet.changes.return()
    fleet.join(worker('a'))
    expect([calls, fleet.changes.unread]).toEqual([['return'], []])
  })
})

it('a fleet goes on with the model of more, unless it has none yet, or keeps models apart', () => {
  const { fleet } = remoteFleet()
  expect(fleet.succeed('new')).toBeUndefined()
  fleet.model = 'old'
  expect([fleet.succeed(undefined), fleet.model]).toEqual([undefined, 'old'])
  expect([fleet.succeed('new'), fleet.model]).toEqual(['new', 'new'])
  fleet.changes.apart?.()
  expect([fleet.succeed('old'), fleet.model]).toEqual([undefined, 'new'])
})
