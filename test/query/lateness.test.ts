import { expect, it } from 'vitest'
import { Lateness } from '../../src/query/lateness'
import { seeded } from '../../src/random'

it('lateness: the quantiles of the last 500 times, as sorting would give them; of less than 50 three medians, of less than 10 none', () => {
  const random = seeded(1)
  const lateness = new Lateness(0.95)
  const times: number[] = []
  for (let i = 0; i < 2000; i++) {
    const ms = i % 7 ? Math.floor(20 * random.next()) : 100 * random.next() // some are equal
    times.push(ms)
    lateness.see(ms)
    const last = times.slice(-500).sort((a, b) => a - b)
    const at = (share: number) => last[Math.floor(share * (last.length - 1))]
    const late = last.length < 10 ? undefined : last.length < 50 ? 3 * at(0.5) : at(0.95)
    expect([lateness.lateMs, lateness.medianMs]).toEqual([late, last.length < 10 ? undefined : at(0.5)])
  }
})

it('when it is first known what is late, that is told, once', () => {
  const lateness = new Lateness(0.95)
  let known = 0
  lateness.known = () => {
    known++
    expect(lateness.lateMs).toBe(30)
  }
  for (let i = 0; i < 1000; i++) lateness.see(10)
  expect(known).toBe(1)
})
