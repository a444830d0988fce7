/** Many timers on one of the clock's. */

import { expect, it, onTestFinished, vi } from 'vitest'
import { seeded } from '../../src/base/random'
import { type Timeable, Timers } from '../../src/layers/timers'
import { VirtualClock } from '../../src/testing/virtual-clock'

class Bell implements Timeable {
  dueAt = Number.NaN
  timer: Timeable['timer']
  rang: number[] = []
  due(now: number): void {
    this.rang.push(now)
  }
}

it('each is called at its time, in any order, the last that was set; what was removed is not', async () => {
  const clock = new VirtualClock()
  const timers = new Timers(clock)
  const random = seeded(1)
  const bells = Array.from({ length: 3000 }, () => new Bell())
  const expected = bells.map(() => Number.NaN)
  for (let i = 0; i < 20_000; i++) {
    const at = Math.floor(bells.length * random.next())
    const isRemoved = random.next() < 0.3
    expected[at] = isRemoved ? Number.NaN : Math.floor(1000 * random.next())
    if (isRemoved) timers.remove(bells[at])
    else timers.set(bells[at], expected[at])
  }
  await clock.run()
  expect(bells.map(({ rang }) => rang)).toEqual(expected.map((at) => (Number.isNaN(at) ? [] : [at])))
})

it('takes one timer of the clock for many that are set in turn, and none once nothing is set', async () => {
  const clock = new VirtualClock()
  const after = vi.spyOn(clock, 'after')
  const timers = new Timers(clock)
  const bells = Array.from({ length: 1000 }, () => new Bell())
  for (const [i, bell] of bells.entries()) timers.set(bell, 100 + i)
  expect(after).toHaveBeenCalledTimes(1)
  for (const bell of bells) timers.remove(bell)
  await clock.run()
  expect(clock.now()).toBe(0)
})

it('one that is removed or set again by another that is due at the same time is not called too early', async () => {
  const clock = new VirtualClock()
  const timers = new Timers(clock)
  const [first, second, third] = [new Bell(), new Bell(), new Bell()]
  first.due = () => {
    timers.remove(second)
    timers.set(third, 9)
  }
  for (const bell of [first, second, third]) timers.set(bell, 5)
  await clock.run()
  expect([second.rang, third.rang]).toEqual([[], [9]])
})

it('one that throws does not cost the others that are due', async () => {
  const clock = new VirtualClock()
  const timers = new Timers(clock)
  const thrown: unknown[] = []
  const queued = vi.spyOn(globalThis, 'queueMicrotask').mockImplementation((f) => {
    try {
      f()
    } catch (error) {
      thrown.push(error)
    }
  })
  onTestFinished(() => queued.mockRestore())
  const [broken, other] = [new Bell(), new Bell()]
  broken.due = () => {
    throw new Error('boom')
  }
  for (const bell of [broken, other]) timers.set(bell, 5)
  await clock.run()
  expect([other.rang, thrown]).toEqual([[5], [new Error('boom')]])
})
