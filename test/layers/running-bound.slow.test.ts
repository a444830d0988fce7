/** Wrong answers so far: at any time at most 20 + 2 x maxError x answers, in 95 of 100 streams, however many are under way. */

import { describe, expect, it } from 'vitest'
import { seeded } from '../../src/base/random'
import { type Draw, ErrorBudget } from '../../src/layers/error-budget'
import { auditRate, binomialBelow } from '../../src/layers/error-rates'

const SEEDS = Number(process.env.APPROXIFER_SEEDS ?? 60)
const MAX_ERROR = 0.05
const ANSWERS = 8000

interface World {
  /** Whether what would be given is wrong. `renewed`: how often what was kept was found to be wrong. */
  isWrong(n: number, at: { window: number; renewed: number; from: number }): boolean
  /** A catch shows that what was kept is wrong. */
  isRenewed?: boolean
}

const worlds: Record<string, World> = {
  'always wrong': { isWrong: () => true },
  'wrong after the first window': { isWrong: (_, { window }) => window > 1 },
  'replaced unseen at some time': { isWrong: (n, { from }) => n >= from },
  'replaced unseen, which the first catch shows': {
    isWrong: (n, { from, renewed }) => n >= from && !renewed,
    isRenewed: true,
  },
  'replaced again with each catch': { isWrong: () => true, isRenewed: true },
}

/** Of one stream: whether it kept the bound, and how long its windows were. */
function play({ isWrong, isRenewed }: World, seed: number, underWay: number) {
  const [random, coin] = [seeded(seed), seeded(seed + 1000)]
  const budget = new ErrorBudget({ maxError: MAX_ERROR, recovers: false, coin: coin.next })
  const at = { window: 1, renewed: 0, from: random.below(ANSWERS / 2) }
  const waiting: (() => void)[] = []
  const lengths: number[] = []
  let [wrong, isOver] = [0, false]
  for (let n = 0; n < ANSWERS; n++) {
    const isBad = isWrong(n, at)
    const draw: Draw = seed % 2 ? budget.drawRepeat() : budget.draw(1)
    at.window = budget.window
    lengths[at.window - 1] = (lengths[at.window - 1] ?? 0) + 1
    budget.count()
    wrong += Number(isBad && draw.is === 'remember')
    isOver ||= wrong > 20 + 2 * MAX_ERROR * (n + 1)
    waiting.push(() => {
      draw.grade(!isBad)
      if (!isRenewed || !isBad || draw.is !== 'audit') return
      at.renewed++
      budget.renew()
    })
    if (waiting.length > underWay) waiting.shift()?.()
  }
  return { isOver, lengths }
}

describe.each([0, 10, 50])('with %i under way', (underWay) => {
  it.each(Object.keys(worlds))('%s: at most 5 % of the streams are over', (name) => {
    let over = 0
    for (let seed = 1; seed <= SEEDS; seed++) over += Number(play(worlds[name], seed, underWay).isOver)
    expect(over / SEEDS).toBeLessThan(0.05 + 3 * Math.sqrt((0.05 * 0.95) / SEEDS))
  })

  it('a window is at most twice as long as the one before was', () => {
    for (const world of Object.values(worlds)) {
      const { lengths } = play(world, 2, underWay)
      expect(lengths[0]).toBeLessThanOrEqual(400)
      for (const [i, length] of lengths.slice(1).entries()) expect(length).toBeLessThanOrEqual(2 * lengths[i])
    }
  })
})

it('is the worst that an adversary can do who chooses catches and lengths of windows: fewer than 5 % of streams are over', () => {
  const budgets = [20, 40, 80, 160, 320, 640]
  const most = 1300 // what is left of earlier budgets: with more no window is over any more
  /** P(a window gives so many wrong answers). */
  const given = (catches: number, budget: number) => {
    const rate = auditRate(catches, budget)
    const below = Array.from({ length: most + budget + 2 }, (_, n) => binomialBelow(catches, n + catches - 1, rate))
    return below.slice(0, -1).map((p, n) => p - below[n + 1])
  }
  /** By what is left when a window of this budget begins: P(some time more are wrong than all budgets so far). */
  let after = new Float64Array(most + 1)
  for (const budget of budgets.toReversed()) {
    const worst = new Float64Array(most + 1)
    for (const catches of [1, 4, 16, 96]) {
      if (auditRate(catches, budget) > 0.8) continue
      const counts = given(catches, budget)
      for (let left = 0; left <= most; left++) {
        let [over, sum] = [0, 0]
        for (let n = 0; n <= left + budget; n++) {
          sum += counts[n]
          over += counts[n] * after[Math.min(most, left + budget - n)]
        }
        worst[left] = Math.max(worst[left], over + 1 - sum)
      }
    }
    after = worst
  }
  expect(after[0]).toBeGreaterThan(0.035)
  expect(after[0]).toBeLessThan(0.05)
})

it('what was found to be wrong leaves the budget as it is, and ends a window that has no detected errors left once it was half a first one', () => {
  let heads = false
  const budget = new ErrorBudget({ maxError: MAX_ERROR, recovers: false, coin: () => (heads ? 0 : 1) })
  const ask = (right: boolean) => {
    const draw = budget.drawRepeat()
    budget.count()
    draw.grade(right)
    return draw.is
  }
  for (let n = 0; n < 50; n++) ask(true)
  heads = true
  expect(ask(false)).toBe('audit')
  heads = false
  budget.renew()
  expect([ask(true), budget.stats]).toMatchObject(['ask', { window: 1, answers: 52, detectedErrors: 1, allowed: 20 }])
  for (let n = 52; n < 200; n++) ask(true)
  expect(budget.stats).toMatchObject({ window: 1, answers: 200 })
  expect([ask(true), budget.stats]).toMatchObject(['remember', { window: 2, length: 400, allowed: 20, answers: 1 }])
})

it('repeats go on where a memory is sure of itself and wrong: it may not use up their catches', () => {
  let [given, repeats] = [0, 0]
  for (let seed = 1; seed <= 20; seed++) {
    const random = seeded(seed)
    const budget = new ErrorBudget({ maxError: 0.01, recovers: false, coin: random.next })
    for (let n = 0; n < 2800; n++) {
      const [isRepeat, isKnown] = [random.next() < 0.7, random.next() < 0.3]
      const draw = isRepeat ? budget.drawRepeat() : budget.draw(isKnown ? 0.995 : 0.2)
      budget.count()
      draw.grade(isRepeat || random.next() < (isKnown ? 0.8 : 0.2))
      repeats += Number(isRepeat)
      given += Number(isRepeat && draw.is === 'remember')
    }
  }
  expect(given / repeats).toBeGreaterThan(0.5) // .6; where the threshold is the lowest that may do, .32
})
