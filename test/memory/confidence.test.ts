import { describe, expect, it } from 'vitest'
import type { Recovered } from '../../src/base/prediction'
import { seeded } from '../../src/base/random'
import { loadCore } from '../../src/core/load'
import { brierSkill, calibrationError, reliability } from '../../src/evaluate/statistics'
import { bestRecovery } from '../../src/memory/best-recovery'
import { Calibration } from '../../src/memory/calibration'
import { Confidence } from '../../src/memory/confidence'

const core = await loadCore()
const labels = (classes: number) => ({ kind: 'label', positions: 1, classes }) as const
const sigmoid = (z: number) => 1 / (1 + Math.exp(-z))

describe('Calibration', () => {
  it('learns probabilities that are true, from 300 outcomes', () => {
    const random = seeded(1)
    const draw = () => {
      const signals = [random.gauss(), 5 + 3 * random.gauss(), 1] // the last one says nothing
      return { signals, right: random.next() < sigmoid(1.5 * signals[0] - 0.3 * (signals[1] - 5) - 0.5) }
    }
    const calibration = new Calibration(core)
    for (let i = 0; i < 300; i++) calibration.learn(draw())
    const stated = Array.from({ length: 5000 }, draw).map(({ signals, right }) => ({
      confidence: calibration.probability(signals) as number,
      right,
    }))
    expect(calibrationError(reliability(stated))).toBeLessThan(0.05)
    expect(brierSkill(stated)).toBeGreaterThan(0.15)
  })

  it('says nothing before 30 outcomes, and is bounded in what it keeps', () => {
    const calibration = new Calibration(core)
    for (let i = 0; i < 29; i++) calibration.learn({ signals: [i], right: true })
    expect(calibration.probability([0])).toBeUndefined()
    for (let i = 0; i < 5000; i++) calibration.learn({ signals: [i], right: true })
    expect(calibration.save().length).toBe(2000)
    expect(calibration.probability([5000])).toBeGreaterThan(0.98)
  })

  it('stays finite where the signals tell right from wrong without fail, and follows a stream that turns', () => {
    const calibration = new Calibration(core)
    for (let i = -500; i < 500; i++) calibration.learn({ signals: [i], right: i > 0 })
    const far = [-1e6, -400, 400, 1e6].map((x) => calibration.probability([x]) as number)
    expect(far.every((p) => p >= 0 && p <= 1)).toBe(true)
    expect(far[1]).toBeLessThan(0.1)
    expect(far[2]).toBeGreaterThan(0.9)
    for (let i = 0; i < 2000; i++) calibration.learn({ signals: [i % 500], right: false })
    expect(calibration.probability([400])).toBeLessThan(0.05)
  })
})

describe('Calibration by label', () => {
  it('one label that turns out wrong loses confidence within tens of answers, the others do not, and gains it back', () => {
    const calibration = new Calibration(core)
    const random = seeded(1)
    for (let i = 0; i < 600; i++) {
      const signal = 3 + random.gauss()
      calibration.learn({ signals: [signal], right: random.next() < sigmoid(signal), label: i % 3 })
    }
    const said = (kind: number) => calibration.probability([4], kind) as number
    expect(Math.min(said(0), said(1), said(2))).toBeGreaterThan(0.9)
    for (let i = 0; i < 8; i++) calibration.learn({ signals: [4], right: false, label: 1 })
    expect(said(1)).toBeLessThan(0.8)
    expect(Math.min(said(0), said(2))).toBeGreaterThan(0.9)
    for (let i = 0; i < 100; i++) calibration.learn({ signals: [4], right: true, label: 1 })
    expect(said(1)).toBeGreaterThan(0.9)
  })

  it('what a worker showed is forgotten at once, by one that has said something before; of others nothing is', () => {
    const taught = (...from: string[]) => {
      const calibration = new Calibration(core)
      for (let i = 0; i < 90; i++) {
        const own = { signals: [i % 7], right: i % 3 > 0, from: i % 9 ? 'honest' : 'liar' }
        if (from.includes(own.from)) calibration.learn(own)
      }
      return calibration
    }
    const calibration = taught('honest', 'liar')
    const before = calibration.probability([3])
    expect([calibration.forget('nobody'), calibration.probability([3])]).toEqual([0, before])
    expect(calibration.forget('liar')).toBe(10)
    const without = new Calibration(core, taught('honest').save())
    expect(calibration.probability([3])).toBe(without.probability([3]))
    expect(calibration.probability([3])).not.toBe(before)
  })

  it('without a label nothing is doubted but what the fit says', () => {
    const calibration = new Calibration(core)
    for (let i = 0; i < 400; i++) calibration.learn({ signals: [i % 7], right: true })
    const before = calibration.probability([3]) as number
    calibration.learn({ signals: [3], right: false })
    expect(calibration.probability([3])).toBeGreaterThan(before - 0.02)
  })
})

describe('Confidence', () => {
  const recovered = (answer: number[], missing = 1): Recovered => ({
    answer: Float32Array.from(answer),
    source: 'code',
    missing,
    variance: 0.5,
  })

  it('counts by source and number missing, with an interval; rehearsals teach and are not counted', () => {
    const confidence = new Confidence(core, labels(3))
    const own = Float32Array.of(0, 5, 0, 99) // the fourth value belongs to another output
    expect(confidence.grade(recovered([1, 2, 0, 0]), own)).toBe(true)
    expect(confidence.grade(recovered([3, 2, 0, 0]), own)).toBe(false)
    expect(confidence.grade(recovered([1, 2, 0, 0], 2), own)).toBe(true)
    for (let i = 0; i < 40; i++) confidence.rehearse(recovered([1, 2, 0, 0]), own)
    expect(confidence.agreements).toMatchObject([
      { source: 'code', missing: 1, graded: 2, agreed: 1 },
      { source: 'code', missing: 2, graded: 1, agreed: 1 },
    ])
    const [low, high] = confidence.agreements[0].ci95
    expect([low, high].map((value) => value.toFixed(3))).toEqual(['0.095', '0.905'])
    expect(confidence.of(recovered([1, 2, 0, 0]))).toBeGreaterThan(0.9)
    expect(confidence.of({ ...recovered([1, 2, 0, 0]), source: 'memory' })).toBeUndefined()
  })

  it('chooses the best of what was decoded and what is remembered', () => {
    const decoded = recovered([1, 0])
    const remembered = { answer: Float32Array.of(0, 1), source: 'memory' as const, odds: 2 }
    const confidence = new Confidence(core, labels(2))
    const sources = (mixed: boolean, code = decoded) => {
      const best = bestRecovery([code], remembered, { mixed, missing: 1 }, confidence)
      return [best?.recovery.source, ...(best?.all ?? []).map(({ source }) => source)]
    }
    expect(sources(true)).toEqual(['memory', 'code', 'memory']) // its confidence is known, the code's is not yet
    expect(sources(false)).toEqual(['memory', 'memory'])
    expect(sources(true, recovered([Number.NaN, 0]))).toEqual(['memory', 'memory'])
    for (let i = 0; i < 100; i++) confidence.rehearse(decoded, Float32Array.of(1, 0))
    expect(sources(true)).toEqual(['code', 'code', 'memory'])
    const nothing = bestRecovery([recovered([Number.NaN, 0])], undefined, { mixed: true, missing: 1 }, confidence)
    expect(nothing).toBeUndefined()
    const untaught = bestRecovery([decoded], undefined, { mixed: true, missing: 1 }, undefined)
    expect(untaught).toEqual({ recovery: decoded, confidence: undefined, all: [decoded] })
  })

  it('comes back from JSON as it was', () => {
    const confidence = new Confidence(core, labels(2))
    const random = seeded(2)
    for (let i = 0; i < 100; i++) confidence.grade(recovered([random.gauss(), random.gauss()]), Float32Array.of(1, 0))
    const again = new Confidence(core, labels(2), JSON.parse(JSON.stringify(confidence.save())))
    expect(again.agreements).toEqual(confidence.agreements)
    expect(again.of(recovered([2, 1]))).toBe(confidence.of(recovered([2, 1])))
  })
})

it('without a label an answer is right within the tolerance; where none is stated, once it is known how much answers differ', () => {
  const [own, near, far] = [0, 0.4, 0.6].map((y) => Float32Array.of(y))
  const agreed = (confidence: Confidence) => [near, far].map((answer) => confidence.agrees(answer, own))
  expect(agreed(new Confidence(core, { kind: 'tolerance', tolerance: 0.5 }))).toEqual([true, false])
  const learned = new Confidence(core, { kind: 'tolerance', tolerance: undefined })
  expect(agreed(learned)).toEqual([undefined, undefined])
  for (let i = 0; i < 200; i++) learned.observe(Float32Array.of(i % 2 ? 5 : -5))
  expect(learned.tolerance).toBeCloseTo(0.5, 1)
  expect(agreed(learned)).toEqual([true, false])
})
