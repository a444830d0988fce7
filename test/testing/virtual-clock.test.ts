import { describe, expect, it } from 'vitest'
import { seeded } from '../../src/base/random'
import { VirtualClock } from '../../src/testing/virtual-clock'

describe('VirtualClock', () => {
  it('events come in their order, those of one moment as they were asked for; an hour takes no time', async () => {
    const clock = new VirtualClock()
    const seen: string[] = []
    const note = (name: string) => () => seen.push(`${name} at ${clock.now()}`)
    clock.after(3_600_000, note('late'))
    clock.after(5, note('a'))
    clock.after(5, note('b'))
    const cancel = clock.after(6, note('never'))
    clock.after(1, () => clock.after(1, note('nested')))
    cancel()
    cancel()
    await clock.run()
    expect(seen).toEqual(['nested at 2', 'a at 5', 'b at 5', 'late at 3600000'])
    expect(clock.pending).toBe(0)
  })

  it('random events come sorted', async () => {
    const clock = new VirtualClock()
    const random = seeded(1)
    const times: number[] = []
    for (let i = 0; i < 5000; i++) clock.after(1000 * random.next(), () => times.push(clock.now()))
    await clock.run()
    expect(times.length).toBe(5000)
    expect(times).toEqual([...times].sort((a, b) => a - b))
  })

  it('stops at an end, and goes on from there', async () => {
    const clock = new VirtualClock()
    let fired = 0
    clock.after(10, () => fired++)
    await clock.run(9)
    expect([clock.now(), fired]).toEqual([9, 0])
    await clock.run(20)
    expect([clock.now(), fired]).toEqual([20, 1])
  })

  it('work that it is told of makes what is due late', async () => {
    const clock = new VirtualClock()
    const seen: number[] = []
    clock.after(1, () => clock.spend(10))
    clock.after(5, () => seen.push(clock.now()))
    await clock.run()
    expect(seen).toEqual([11])
  })

  it('everything that promises queued is done before time goes on, and it holds while something real is under way', async () => {
    const clock = new VirtualClock()
    const seen: string[] = []
    clock.after(1, async () => {
      for (let i = 0; i < 50; i++) await null
      seen.push(`deep at ${clock.now()}`)
      const release = clock.hold()
      await new Promise((resolve) => setTimeout(resolve, 20))
      seen.push(`real at ${clock.now()}`)
      release()
    })
    clock.after(2, () => seen.push(`next at ${clock.now()}`))
    await clock.run()
    expect(seen).toEqual(['deep at 1', 'real at 1', 'next at 2'])
  })

  it('time goes on after pauses that follow each other at once, whatever waited before', async () => {
    const clock = new VirtualClock()
    const first = clock.hold()
    setTimeout(first, 5)
    await clock.run(1)
    clock.after(1, async () => {
      await null // now it is about to go on
      clock.hold()()
      setTimeout(clock.hold(), 5)
    })
    await clock.run(10)
    expect(clock.now()).toBe(10)
  })
})
