/** Lookups one after the other, in slices. */

import { expect, it } from 'vitest'
import { Lookups } from '../../src/memory/lookups'
import { VirtualClock } from '../../src/testing/virtual-clock'

/** Lookups of which each step takes so many milliseconds; what happened is kept. */
function lookups() {
  const clock = new VirtualClock()
  const own = new Lookups(clock)
  const events: string[] = []
  const look = (name: string, steps = 1, stepMs = 1, { later = false, wanted = (): boolean => true } = {}) => {
    const task = {
      *steps() {
        events.push(`${name} begins`)
        for (let i = 0; i < steps; i++) {
          clock.spend(stepMs)
          if (i < steps - 1) yield
        }
        return name as never
      },
      wanted,
      told: (said: unknown, ms: number | undefined) => events.push(`${said} in ${ms}`),
    }
    own.add(task, later)
  }
  return { clock, own, events, look }
}

it('what is quick is told before it returns; what takes longer goes on in other tasks, and others wait for it', async () => {
  const { clock, own, events, look } = lookups()
  look('quick', 1, 0.5)
  expect(events).toEqual(['quick begins', 'quick in 0.5'])
  look('long', 3, 1)
  look('last')
  expect([events.at(-1), own.busy]).toEqual(['long begins', true])
  await clock.run()
  expect(events.slice(2)).toEqual(['long begins', 'long in 3', 'last begins', 'last in 1'])
  expect(own.busy).toBe(false)
})

it('one that is under way begins again where the memory has changed', async () => {
  const { clock, own, events, look } = lookups()
  look('long', 2, 2)
  own.restart()
  expect(own.busy).toBe(false)
  await clock.run()
  expect(events).toEqual(['long begins', 'long begins', 'long in 6']) // the time of both
})

it('one that may wait goes to another task; one that nobody wants any more is not looked up', async () => {
  const { clock, events, look } = lookups()
  let isWanted = true
  look('later', 1, 1, { later: true, wanted: () => isWanted })
  expect(events).toEqual([])
  isWanted = false
  await clock.run()
  expect(events).toEqual(['undefined in undefined'])
})

it('once it has stopped everybody is told that there is nothing', async () => {
  const { clock, own, events, look } = lookups()
  look('long', 2, 2)
  look('waits')
  own.stop()
  look('comes later')
  expect(events).toEqual(['long begins', ...Array(3).fill('undefined in undefined')])
  await clock.run()
  expect(events.length).toBe(4)
})
