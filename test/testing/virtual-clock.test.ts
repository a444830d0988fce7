import { describe, expect, it } from 'vitest'
import { randomTrouble, SimulatedWorker, wanderingTrouble } from '../../bench/simulated'
import { seeded } from '../../src/random'
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
})

describe('SimulatedWorker', () => {
  const signature = { inputs: [{ name: 'x', shape: [1] }], outputs: [{ name: 'y', shape: [1] }] }

  it('is at work on one call at a time, for as long as its law says', async () => {
    const clock = new VirtualClock()
    const worker = new SimulatedWorker(0, { clock, law: () => 7, answer: (row) => row.map((x) => 2 * x), signature })
    const freed: number[] = []
    worker.onFree = () => freed.push(clock.now())
    const answer = worker.infer(Float32Array.of(3))
    await expect(worker.infer(Float32Array.of(4))).rejects.toThrow('at work')
    expect(worker.free).toBe(false)
    await clock.run()
    expect([await answer, freed, worker.free, worker.workedMs]).toEqual([Float32Array.of(6), [7], true, 7])
  })

  it('trouble is as frequent and as bad as stated', () => {
    const law = randomTrouble(seeded(1))
    const times = Array.from({ length: 50_000 }, () => law(0, 0))
    expect(times.filter((ms) => ms > 50).length / times.length).toBeCloseTo(0.02, 2)
    expect(times.reduce((sum, ms) => sum + ms, 0) / times.length).toBeCloseTo(11.8, 0)
    const wandering = wanderingTrouble(seeded(2), 27)
    for (const now of [0, 5000, 12_000]) {
      const slow = Array.from({ length: 27 }, (_, i) => wandering(i, now)).filter((ms) => ms > 30)
      expect(slow.length).toBe(2)
    }
  })
})
