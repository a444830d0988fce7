/** Which newcomer is examined next. */

import { describe, expect, it } from 'vitest'
import { Candidates } from '../../src/trust/candidates'
import { Evidence } from '../../src/trust/evidence'
import { HandWorker } from '../shared/hand-predictor'

function house(count: number, originOf = (i: number) => `${i}`) {
  const evidence = new Evidence()
  const candidates = new Candidates(evidence)
  const workers = Array.from({ length: count }, (_, i) => new HandWorker(`${i}`))
  workers.forEach((worker, i) => {
    evidence.meet(worker.name, 10)
    candidates.add(worker, originOf(i))
  })
  const earn = (i: number, times = 1) => {
    for (; times; times--) evidence.proven(`${i}`)
    candidates.place(`${i}`)
  }
  let looks = 0
  const busy = new Set<string>()
  const next = (coin = 0) => {
    const isFree = ({ worker }: { worker: { name: string } }) => ++looks > 0 && !busy.has(worker.name)
    return candidates.next(coin, isFree)?.worker.name
  }
  return { evidence, candidates, workers, earn, next, busy, looks: () => looks }
}

describe('the next newcomer', () => {
  it('is found with few looks among a thousand', () => {
    const { earn, next, busy, looks } = house(1000)
    earn(700, 2)
    earn(20, 3)
    for (const [name, coin] of [
      ['20', 0],
      ['700', 0],
      ['0', 0],
      ['999', 1 - 1e-9],
    ] as const) {
      expect(next(coin)).toBe(name)
      busy.add(name)
    }
    expect(looks()).toBe(4 + 3 + 2) // and those that are busy, before them
  })

  it('is one of equal ones, each as likely', () => {
    const { next } = house(4)
    expect([0, 0.25, 0.5, 0.75].map(next)).toEqual(['0', '1', '2', '3'])
  })

  it('is nobody beside a better one of its origin, believed or not, until that one cannot be reached', () => {
    const { earn, next, workers, candidates } = house(2, () => 'one')
    expect(next()).toBe('0')
    earn(1, 2)
    expect([next(0), next(0.99)]).toEqual(['1', '1'])
    workers[1].gone = true
    expect([next(), candidates.isAny]).toEqual(['1', true]) // whoever is gone is not free either
    earn(1, 8)
    expect(next()).toBe('0')
    workers[1].gone = false
    earn(1)
    expect([next(), candidates.isAny]).toEqual([undefined, false])
    candidates.delete('1')
    expect(next()).toBe('0')
  })

  it('who lied or failed is the last of equal ones of its origin, and who lied behind all others', () => {
    const { next, evidence, candidates } = house(3, (i) => (i < 2 ? 'one' : 'other'))
    candidates.place('0', true)
    expect(next()).toBe('2')
    candidates.place('2')
    expect(next()).toBe('1')
    evidence.lied('1')
    evidence.lied('0')
    candidates.place('0')
    candidates.place('1')
    expect([next(0), next(0.99)]).toEqual(['2', '2'])
  })
})
