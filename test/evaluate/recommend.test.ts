import { describe, expect, it } from 'vitest'
import { advice, lateSentence, type Measurement, recommend, worthOf } from '../../src/evaluate/recommend'
import { sureCells, sureSentence } from '../../src/evaluate/statistics'

/**
 * K = 8, S = 1: recovered answers right in `right`; `sure` of them are sure, and always right. Of the memory alone
 * `memoryAlone` are right, and `memorySure` sure.
 */
const measured = (right: number, sure = 0, memoryAlone?: number, memorySure?: number): Measurement => ({
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
      nothingMissing: 0.95,
    },
    confidence: {
      tested: 1e6,
      agreement: right,
      brierSkill: 0.1,
      calibrationError: 0.02,
      bins: [],
      sure: { share: sure, agreement: 1, ci95: [0.999, 1] },
    },
    rivals: {
      replicationWorkers: 16,
      guessLost: 0.8,
      ...(memoryAlone !== undefined && {
        memoryAlone: {
          accuracy: memoryAlone,
          ci95: [memoryAlone, memoryAlone],
          ...(memorySure !== undefined && {
            confidence: {
              tested: 1e6,
              agreement: memoryAlone,
              sure: { share: memorySure, agreement: 1, ci95: [0.999, 1] },
            },
          }),
        },
      }),
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

describe('a tolerance that nobody can exceed', () => {
  const wishes = { tolerate: 0.01, stragglerRate: 0.01, retryPrice: 1 } // even with all lost answers wrong

  it('does not make a coin toss good enough: retry, do not recover', () => {
    const all = recommend([measured(0.5, 0.02, 0.5)], wishes)
    expect(all[0]).toMatchObject({ name: 'no code', policy: 'retry' })
    expect(all.map(({ cost }) => cost)[1]).toBe(1) // though the memory costs less
    expect(advice(all)).toBe(
      'retry, do not recover; recovered answers are wrong too often, and too few of them are sure',
    )
    expect(worthOf(all)).toMatch(/^recovered answers agree with the model in 50\.0 % of cases; 2\.0 % of recovered/)
  })

  it('takes what is right as often as sure answers should be', () => {
    expect(recommend([measured(0.8, 0, 0.8)], wishes)[0].policy).toBe('retry')
    expect(recommend([measured(0.8, 0, 0.8)], { ...wishes, minConfidence: 0.8 })[0].policy).toBe('recover')
    expect(recommend([measured(0.9, 0, 0.9)], wishes)[0]).toMatchObject({ policy: 'recover', cost: 1, fit: true })
  })

  it('takes a memory for what it is sure of', () => {
    const [best] = recommend([measured(0.5, 0, 0.5, 0.6)], wishes)
    expect(best).toMatchObject({ name: 'no code, a memory of 1000', policy: 'auto', use: 'workers: 4, scheme: { queries: 1 }' }) // biome-ignore format: one line
    expect(best.cost).toBeCloseTo(1.004, 6)
    expect(worthOf([best])).toMatch(/60\.0 % of recovered answers are sure, 100\.0 % of these right$/)
  })
})

it('a retry that is only cheaper is not advised for the sake of what is recovered', () => {
  expect(advice(recommend([measured(0.95, 0.9)], { tolerate: 0.01, stragglerRate: 0.02, retryPrice: 1 }))).toBe(
    'do not code this model: ask again instead',
  )
})

it('where those that are sure are wrong as well, it says so', () => {
  const wrong = measured(0.3, 0.5)
  const confidence = wrong.evaluation.confidence
  if (confidence) confidence.sure = { share: 0.5, agreement: 0.5, ci95: [0.49, 0.51] }
  const all = recommend([wrong], { tolerate: 0.5, stragglerRate: 0.01, retryPrice: 100 })
  expect(advice(all)).toBe(
    'retry, do not recover; recovered answers are wrong too often, and those that are sure no less so',
  )
})

describe('of what is sure', () => {
  const withSure = (agreement: number, ci95: [number, number], share = 0.5) => {
    const each = measured(0.3, 0.5)
    if (each.evaluation.confidence) each.evaluation.confidence.sure = { share, agreement, ci95 }
    return each
  }
  const wishes = { tolerate: 0.05, stragglerRate: 0.02, retryPrice: 100 }

  it('too little was measured: it says so, and not that it is wrong', () => {
    const all = recommend([withSure(1, [0.6, 1])], wishes)
    expect(advice(all)).toBe(
      'retry, do not recover; recovered answers are wrong too often, and of those that are sure too few were measured: more groups may tell',
    )
  })

  it('at a tolerance that nobody can exceed sure answers are as good as they say', () => {
    expect(recommend([withSure(0.8, [0.78, 0.82])], wishes)[0].policy).toBe('retry')
    expect(recommend([withSure(0.8, [0.78, 0.82])], { ...wishes, minConfidence: 0.8 })[0].policy).toBe('auto')
    expect(recommend([withSure(0.95, [0.93, 0.97])], wishes)[0].policy).toBe('auto')
  })
})

describe('what a late query gets', () => {
  const wishes = { tolerate: 0.01, stragglerRate: 0.02, retryPrice: 20 }

  it('what is sure, or another turn: together all of them, at what it costs', () => {
    const each = measured(0.7, 0.5)
    const auto = recommend([each], wishes).find(({ policy }) => policy === 'auto')
    const few = 0.98 ** 8
    expect(auto?.late?.recovered).toBeCloseTo(0.5 * few, 9)
    expect(auto?.late?.again).toBeCloseTo(1 - 0.5 * few, 9)
    expect(auto?.cost).toBeCloseTo(9 / 8 + 0.02 * (1 - 0.5 * few) * 20, 9)
    expect(lateSentence(recommend([each], wishes))).toBe(
      'a late query gets, with K = 8, S = 1 and the policy auto: at once what is recovered, since it is sure (42.5 %), another worker’s answer, exact, after another turn (57.5 %); 1.355 inferences a query',
    )
  })

  it('nothing is told that hardly ever happens, nor of a code without confidences', () => {
    expect(lateSentence(recommend([measured(0.5, 0)], wishes))).toBe(
      'a late query gets, with K = 8, S = 1 and the policy auto: another worker’s answer, exact, after another turn (100.0 %); 1.525 inferences a query',
    )
    const { confidence, ...evaluation } = measured(0.5).evaluation
    expect(lateSentence(recommend([{ ...measured(0.5), evaluation }], wishes))).toBeUndefined()
  })

  it('is told where everything is late, and nothing', () => {
    for (const stragglerRate of [0, 1]) {
      const late = recommend([measured(0.9, 0.5, 0.9, 0.5)], { ...wishes, stragglerRate }).flatMap(
        (each) => each.late ?? [],
      )
      expect(late.length).toBe(1) // beside a memory no parity is sent
      for (const { recovered, again } of late) expect(recovered + again).toBeCloseTo(1, 9)
    }
  })
})

it('a confidence other than the default is among the options', () => {
  const all = recommend([measured(0.5, 0.5)], {
    tolerate: 0.01,
    stragglerRate: 0.02,
    retryPrice: 20,
    minConfidence: 0.8,
  })
  expect(all.find(({ policy }) => policy === 'auto')?.use).toBe(
    'scheme: { queries: 8, stragglers: 1 }, minConfidence: 0.8, memory: false',
  )
})

it('a memory other than the default is among the options', () => {
  const each = measured(0.9, 0, 0.9)
  each.evaluation.memoryOptions = { bytes: 1e9, features: 'raw' }
  const [memory] = recommend([each], { tolerate: 0.01, stragglerRate: 0.02, retryPrice: 20 })
  expect(memory.use).toBe(
    "workers: 4, scheme: { queries: 1 }, policy: 'recover', memory: { bytes: 1000000000, features: 'raw' }",
  )
})

it('a model that is always wrong is no reason to recover anything', () => {
  const each = measured(0.2, 0, 0.2)
  each.evaluation.accuracy.base = 0 // labels of something else
  each.evaluation.rivals.memoryAlone = { accuracy: 0, ci95: [0, 0], confidence: { tested: 5, agreement: 0.2, sure: { share: 0 } } } // biome-ignore format: one line
  const all = recommend([each], { tolerate: 0.01, stragglerRate: 0.01, retryPrice: 1 })
  expect(advice(all)).toMatch(/^retry, do not recover/)
})

describe('how many are sure', () => {
  const stated = (sure: number, right: number, tested: number) => ({
    tested,
    agreement: 0.5,
    sure: { share: sure / tested, agreement: sure ? right / sure : undefined },
  })

  it.each([
    [0, 0, 812, 'none of 812 recovered answers is sure'],
    [1, 1, 812, '1 of 812 recovered answers is sure, and it is right'],
    [1, 0, 812, '1 of 812 recovered answers is sure, and it is wrong'],
    [4, 3, 200, '4 of 200 recovered answers are sure, 3 of 4 right'],
    [30, 30, 100_000, '30 of 100000 recovered answers are sure, 30 of 30 right'],
    [21, 21, 21, '100.0 % of recovered answers are sure, 100.0 % of these right'],
    [250, 245, 1000, '25.0 % of recovered answers are sure, 98.0 % of these right'],
  ])('%i, %i right, of %i: %s', (sure, right, tested, text) => {
    expect(sureSentence(stated(sure, right, tested))).toBe(text)
  })

  it('of none, and of next to none, no share is told', () => {
    for (let sure = 0; sure < 50; sure++) {
      const text = sureSentence(stated(sure, sure, 100_000))
      expect(text).not.toMatch(/%/)
      expect(sureCells(stated(sure, sure, 100_000)).join()).not.toMatch(/%/)
    }
    expect(sureCells(stated(0, 0, 5))).toEqual(['none of 5'])
  })
})
