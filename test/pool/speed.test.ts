/** How fast workers are thought to be. */

import { expect, it } from 'vitest'
import { Speed, Speeds } from '../../src/pool/speed'

/** Workers that have answered in these times, and one that has failed. */
function known(...times: number[]) {
  const speeds = new Speeds()
  for (const ms of times) {
    const speed = new Speed()
    for (let i = 0; i < 20; i++) speeds.add(speed, ms)
  }
  const failing = new Speed()
  speeds.add(failing, Number.POSITIVE_INFINITY)
  return { speeds, failing }
}

it.each([
  ['where nobody is known to answer: 20 ms', [], 20],
  ['twenty times what the fastest takes', [8, 80], 160],
  ['also where that is as fast as can be told', [0.1], 2],
] as const)('rows are kept from a worker that fails %s', (_, times, ms) => {
  const { speeds, failing } = known(...times)
  expect(speeds.passOverMs(failing)).toBeCloseTo(ms)
})

it('a slow worker is passed over also for ones that are as fast as can be told', () => {
  const { speeds } = known(0.1, 0.1)
  const slow = new Speed()
  for (let i = 0; i < 20; i++) speeds.add(slow, 10)
  expect(speeds.passOverThreshold(slow)).toBe(2 * 100 - 2 - 1) // two that answer a hundred times as fast
})

it('one failure among three outcomes is chance; two are not, until two answers have followed', () => {
  const [speeds, speed] = [new Speeds(), new Speed()]
  const fails = Number.POSITIVE_INFINITY
  const expected = [10, fails, 10, 10, fails, fails, 10, 10].map((ms) => {
    speeds.add(speed, ms)
    return Math.round(speed.ms as number)
  })
  expect(expected).toEqual([10, 10, 10, 10, 10, fails, fails, 10])
})

it('a worker’s pace has changed where three times in a row are far off on one side; one or two are chance', () => {
  const kept = (...logs: number[]) => {
    const speed = new Speed()
    for (const log of [...new Array<number>(10).fill(5), ...logs]) speed.add(log, 1)
    return speed.logs
  }
  expect(kept(7, 7).length).toBe(12)
  expect(kept(3, 3).length).toBe(12)
  expect(kept(7, 3, 7).length).toBe(13)
  expect(kept(3, 3, 5.5, 3).length).toBe(14)
  expect(kept(7, 7, 7)).toEqual([7, 7, 7])
  expect(kept(3, 3, 3)).toEqual([3, 3, 3])
})
