/** Whether it pays to look first: switched off where it does not, and on again by itself. */

import { expect, it } from 'vitest'
import { type LookupCosts, Payoff, Repeats, Savings } from '../../src/layers/savings'

const cheap: LookupCosts = { lookupMs: 0.5, inferenceMs: 5, share: 0.8 }

function judged(costs: LookupCosts) {
  const own = { ...costs }
  const worth = new Payoff(() => own)
  const looks = (count: number) =>
    Array.from({ length: count }, () => worth.mayLookUp()).filter((looks) => looks).length
  return { own, worth, looks }
}

it('looks are off within 1,000 queries where nothing is confident, but for one in 16, and on again once something is', () => {
  const { own, worth, looks } = judged({ ...cheap, share: 0 })
  expect(looks(511)).toBe(511)
  expect([looks(512), worth.isOff]).toEqual([32, true])
  own.share = 0.8
  expect(looks(2)).toBe(2)
  expect(worth.isOff).toBe(false)
})

it('what a model of a tenth of a millisecond takes is not worth half a millisecond of looking', () => {
  for (const [costs, isOff] of [
    [cheap, false],
    [{ ...cheap, inferenceMs: 0.1 }, true],
    [{ ...cheap, inferenceMs: undefined }, false],
    [{ ...cheap, lookupMs: Number.POSITIVE_INFINITY }, false],
  ] as [LookupCosts, boolean][]) {
    const { worth, looks } = judged(costs)
    looks(512)
    expect([costs, worth.isOff]).toEqual([costs, isOff])
  }
})

it('a millisecond of a lookup is worth two of the workers', () => {
  for (const [inferenceMs, isOff] of [
    [1.2, true],
    [1.4, false],
  ] as const) {
    const { worth, looks } = judged({ lookupMs: 0.5, inferenceMs, share: 0.8 })
    looks(512)
    expect([inferenceMs, worth.isOff]).toEqual([inferenceMs, isOff])
  }
})

it('comes back by a tenth more than it left: no answer more or less turns it on and off', () => {
  const { own, worth, looks } = judged({ lookupMs: 1, inferenceMs: 20, share: 0.09 })
  looks(512)
  expect(worth.isOff).toBe(true)
  own.share = 0.105
  looks(512)
  expect(worth.isOff).toBe(true)
  own.share = 0.12
  looks(512)
  expect(worth.isOff).toBe(false)
})

it('what is spared and what that takes is counted, at what an answer takes at that time', () => {
  const spared = new Savings()
  spared.addLookup(0.5)
  spared.gave(5)
  spared.addLookup(0.25)
  spared.gave(10)
  spared.addLookup(0.25)
  spared.gave(undefined)
  expect({ ...spared }).toEqual({ lookups: 3, lookupMs: 1, saved: 3, savedMs: 15 })
})

/** Whether answers are kept after each of these keys. */
function judgedBy(inferenceMs: number | undefined, keys: readonly string[]): boolean[] {
  const repeats = new Repeats(() => inferenceMs)
  return keys.map((key) => {
    repeats.saw(key, 3136)
    return repeats.isOn
  })
}

const keys = (count: number, from = 0) =>
  Array.from({ length: count }, (_, i) => `${((from + i) * 2654435761).toString(16)} 784 `)

it('where no query equals another no answer is kept, until they repeat: a hot one, or all after thousands of others', () => {
  const off = judgedBy(5, keys(512))
  expect([off.indexOf(false), off.length]).toEqual([511, 512])
  expect(judgedBy(5, [...keys(512), ...Array(512).fill(keys(1)[0])]).pop()).toBe(true)
  expect(judgedBy(5, [...keys(8192), ...keys(512)]).pop()).toBe(true)
  expect(judgedBy(5, [...keys(20_480), ...keys(512, 100_000)]).pop()).toBe(false)
})

it('answers are kept where what is found spares twice what keeping takes', () => {
  for (const [inferenceMs, found, isOn] of [
    [5, 6, true],
    [5, 4, false],
    [0.5, 45, false],
    [0.5, 55, true],
    [undefined, 0, true], // nobody knows
  ] as const) {
    const some = [...keys(512 - found), ...keys(found)]
    expect([inferenceMs, found, judgedBy(inferenceMs, some).pop()]).toEqual([inferenceMs, found, isOn])
  }
})
