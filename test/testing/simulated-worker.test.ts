import { describe, expect, it } from 'vitest'
import { randomTrouble, SimulatedWorker, wanderingTrouble } from '../../bench/shared/simulated'
import { seeded } from '../../src/base/random'
import { VirtualClock } from '../../src/testing/virtual-clock'
import { inferRow } from '../shared/vectors'

describe('SimulatedWorker', () => {
  const signature = { inputs: [{ name: 'x', shape: [1] }], outputs: [{ name: 'y', shape: [1] }] }

  it('is at work on one call at a time, for as long as its law says', async () => {
    const clock = new VirtualClock()
    const worker = new SimulatedWorker(0, {
      clock,
      serviceMs: () => 7,
      answer: (row) => row.map((x) => 2 * x),
      signature,
    })
    const freed: number[] = []
    worker.onFree = () => freed.push(clock.now())
    const answer = inferRow(worker, Float32Array.of(3))
    await expect(inferRow(worker, Float32Array.of(4))).rejects.toThrow('at work')
    expect(worker.free).toBe(false)
    await clock.run()
    expect([await answer, freed, worker.free, worker.workedMs]).toEqual([Float32Array.of(6), [7], true, 7])
  })

  it('with slots it answers as many calls at once, and refuses the next', async () => {
    const clock = new VirtualClock()
    const laws = [7, 3, 5]
    const law = () => laws.shift() as number
    const worker = new SimulatedWorker(0, { clock, serviceMs: law, answer: (row) => row.slice(), signature, slots: 2 })
    const ended: number[] = []
    const ask = (x: number) => inferRow(worker, Float32Array.of(x)).then(([x]) => ended.push(x))
    const first = [ask(1), ask(2)]
    await expect(inferRow(worker, Float32Array.of(4))).rejects.toThrow('at work')
    await clock.run(3)
    expect([worker.free, ended]).toEqual([true, [2]])
    first.push(ask(3))
    expect(worker.free).toBe(false)
    await clock.run()
    await Promise.all(first)
    expect([ended, clock.now(), worker.workedMs, worker.calls]).toEqual([[2, 1, 3], 8, 15, 3])
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
