import { expect, it } from 'vitest'
import { type Measurement, recommend } from '../src/evaluate/recommend'

/** K = 8, S = 1: recovered answers right in `right`; `sure` of them are sure, and always right. */
const measured = (right: number, sure = 0, memoryAlone?: number): Measurement => ({
  code: 'systematic',
  queries: 8,
  stragglers: 1,
  workers: 9,
  memory: memoryAlone === undefined ? 0 : 1000,
  evaluation: {
    accuracy: {
      base: 0.95,
      all: 0.9,
      allCi95: [0.9, 0.9],
      recovered: right,
      recoveredCi95: [right, right],
      copied: 0,
      nothingMissing: 0.95,
    },
    confidence: {
      tested: 1e6,
      agreement: right,
      brierSkill: 0.1,
      calibrationError: 0.02,
      bins: [],
      sure: { share: sure, agreement: 1 },
    },
    rivals: {
      replicationWorkers: 16,
      guessLost: 0.8,
      ...(memoryAlone !== undefined && { memoryAlone: { accuracy: memoryAlone, ci95: [memoryAlone, memoryAlone] } }),
    },
  },
})
const best = (each: Measurement, retryPrice: number, tolerate = 0.01) =>
  recommend([each], { tolerate, stragglerRate: 0.02, retryPrice })[0]

it('a cheap retry beats every code', () => {
  expect(best(measured(0.9), 1)).toMatchObject({ name: 'no code', policy: 'retry', cost: 1.02, loss: 0 })
})

it('a dear retry is worth a parity whose answers are good enough, else one for those that are sure', () => {
  expect(best(measured(0.7), 20)).toMatchObject({ name: 'K = 8, S = 1', policy: 'recover' })
  expect(best(measured(0.2, 0.9), 20)).toMatchObject({ name: 'K = 8, S = 1', policy: 'auto' })
  expect(best(measured(0.2, 0.1), 20)).toMatchObject({ name: 'no code', policy: 'retry' })
})

it('a memory that answers well enough needs no code at all', () => {
  expect(best(measured(0.9, 0.5, 0.9), 20)).toMatchObject({
    name: 'no code, a memory of 1000',
    cost: 1,
    use: "workers: 4, scheme: { queries: 1 }, policy: 'recover'",
  })
})

it('counts what is lost beyond S: those are asked again whatever the policy', () => {
  const [recover] = recommend([measured(0.95)], { tolerate: 0.01, stragglerRate: 0.2, retryPrice: 10 }).filter(
    ({ policy }) => policy === 'recover',
  )
  const others = 0.8 ** 8 // nobody else of eight is late
  expect(recover.cost).toBeCloseTo(9 / 8 + 0.2 * (1 - others) * 10, 6)
  expect(recover.loss).toBeCloseTo(0, 6)
})

it('the paper’s code loses accuracy on every answer, late or not', () => {
  const all = recommend([{ ...measured(0.85), code: 'berrut' }], {
    tolerate: 0.01,
    stragglerRate: 0.01,
    retryPrice: 20,
  })
  expect(all[0]).toMatchObject({ name: 'no code', policy: 'retry' })
  const atQuorum = 0.99 ** 9 + 9 * 0.01 * 0.99 ** 8 // at most one of nine is late
  const recover = all.find(({ name, policy }) => name !== 'no code' && policy === 'recover')
  expect(recover?.loss).toBeCloseTo(0.1 * atQuorum, 6)
  expect(recover?.cost).toBeCloseTo(9 / 8 + (1 - atQuorum) * 20, 6)
})

it('everything late, or nothing, is a number', () => {
  for (const stragglerRate of [0, 1]) {
    const all = recommend([measured(0.9)], { tolerate: 0.01, stragglerRate, retryPrice: 1 })
    expect(all.flatMap(({ cost, loss }) => [cost, loss]).every(Number.isFinite)).toBe(true)
  }
})
