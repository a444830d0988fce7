import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { criterionOf, isWithinShare, labelAt, lead, sameChoice } from '../src/base/criterion'
import type { Right } from '../src/base/output-kind'
import { seeded } from '../src/base/random'
import { RunningDeviation } from '../src/base/stats'
import { loadInputs } from '../src/cli/npy'
import { Codec } from '../src/codec/codec'
import { loadCore } from '../src/core/load'
import { evaluate } from '../src/evaluate/evaluate'
import { Confidence } from '../src/memory/confidence'
import { OnnxModel } from '../src/workers/onnx/model'

const core = await loadCore()
const y = (...shape: number[]) => [{ name: 'y', shape }]

describe('what a label is', () => {
  it.each([
    [[10], { kind: 'label', positions: 1, classes: 10 }],
    [[10, 1, 1], { kind: 'label', positions: 1, classes: 10 }],
    [[1, 10], { kind: 'label', positions: 1, classes: 10 }],
    [[], { kind: 'tolerance' }],
    [[1], { kind: 'tolerance' }],
    [[1, 1], { kind: 'tolerance' }],
    [[21, 64, 64], { kind: 'tolerance' }], // an argmax over all pixels of a segmentation would mean nothing
    [[40, 97], { kind: 'tolerance' }],
  ])('by itself, of an output of shape %j: %j', (shape, criterion) => {
    expect(criterionOf(y(...shape))).toEqual(criterion)
  })

  it.each([
    [[40, 97], 'label' as const, { kind: 'label', positions: 40, classes: 97 }],
    [[21, 8, 4], { axis: 0 }, { kind: 'label', positions: 32, classes: 21, step: 32 }],
    [[8, 21, 4], { axis: -2 }, { kind: 'label', positions: 32, classes: 21, step: 4 }],
    [[10], { within: 0.5 }, { kind: 'tolerance', tolerance: 0.5 }],
    [[10], { relative: 0.1 }, { kind: 'relative', share: 0.1 }],
    [[10], { top: 3 }, { kind: 'top', k: 3 }],
    [[10], { threshold: 0.2 }, { kind: 'labels', threshold: 0.2 }],
  ])('of shape %j, as the user says: %j', (shape, right, criterion) => {
    expect(criterionOf(y(...shape), right)).toEqual(criterion)
  })

  it('several positions agree only all together; the lead is that of the least sure one', () => {
    const labels = { kind: 'label', positions: 2, classes: 3 } as const
    const [a, b] = [Float32Array.of(0, 5, 1, 9, 2, 8), Float32Array.of(0, 3, 1, 2, 1, 8)]
    expect([labelAt(a, labels), labelAt(a, labels, 1), labelAt(b, labels, 1)]).toEqual([1, 0, 2])
    expect([sameChoice(a, a, labels), sameChoice(a, b, labels)]).toEqual([true, false])
    expect(lead(a, labels)).toEqual({ margin: 1, height: 9 - 19 / 3 })
  })
})

describe('what else is right', () => {
  const of = (...values: number[]) => Float32Array.from(values)

  it('classes along another axis: the label at each of the other positions', () => {
    const labels = { kind: 'label', positions: 2, classes: 3, step: 2 } as const // [3, 2]
    const answer = of(1, 9, 5, 2, 3, 4)
    expect([labelAt(answer, labels), labelAt(answer, labels, 1)]).toEqual([1, 0])
    expect(lead(answer, labels)).toEqual({ margin: 2, height: 2 })
    expect(sameChoice(answer, of(1, 9, 5, 2, 6, 4), labels)).toBe(false)
  })

  it('tags: the same ones are set', () => {
    const tags = { kind: 'labels', threshold: 0.5 } as const
    expect(sameChoice(of(0.9, 0.6, 0.1), of(0.6, 0.9, 0.3), tags)).toBe(true)
    expect(sameChoice(of(0.9, 0.6, 0.1), of(0.9, 0.4, 0.1), tags)).toBe(false)
    expect(lead(of(0.9, 0.6, 0.1), tags).margin).toBeCloseTo(0.1)
  })

  it('a ranking: the first k in their order', () => {
    const first = { kind: 'top', k: 2 } as const
    expect(sameChoice(of(5, 9, 1, 0), of(7, 8, 0, 6), first)).toBe(true)
    expect(sameChoice(of(5, 9, 1, 0), of(9, 5, 1, 0), first)).toBe(false)
    expect(lead(of(5, 9, 1, 0), first)).toEqual({ margin: 4, height: 5.25 })
  })

  it('a share of each value: of 0 only 0', () => {
    expect(isWithinShare(of(110, -9), of(100, -10), 0.101)).toBe(true)
    expect(isWithinShare(of(110, -8), of(100, -10), 0.101)).toBe(false)
    expect([of(0), of(1e-6)].map((value) => isWithinShare(value, of(0), 0.1))).toEqual([true, false])
  })
})

describe('the default tolerance', () => {
  it('is a tenth of how much answers differ, whatever their number of values, and follows a stream', () => {
    const random = seeded(1)
    for (const values of [1, 3, 5000]) {
      const spread = new RunningDeviation()
      const see = (scale: number) =>
        spread.add(Float32Array.from({ length: values }, (_, c) => 100 * c + scale * random.gauss()))
      for (let i = 0; i < 29; i++) see(2)
      expect(spread.deviation).toBeUndefined()
      for (let i = 0; i < 500; i++) see(2)
      expect(Math.abs((spread.deviation as number) - 2)).toBeLessThan(0.25)
      for (let i = 0; i < 5000; i++) see(6)
      expect(Math.abs((spread.deviation as number) - 6)).toBeLessThan(0.75)
    }
  })

  it('is saved with what was learned', () => {
    const confidence = new Confidence(core, { kind: 'tolerance' })
    for (let i = 0; i < 100; i++) confidence.observe(Float32Array.of(Math.sin(i)))
    const again = new Confidence(core, { kind: 'tolerance' }, JSON.parse(JSON.stringify(confidence.save())))
    expect(again.tolerance).toBeCloseTo(0.1 * Math.SQRT1_2, 2)
    expect(again.tolerance).toBe(confidence.tolerance)
    const own = Float32Array.of(0)
    expect([0.05, 0.09].map((off) => confidence.agrees(Float32Array.of(off), own))).toEqual([true, false])
  })

  it('is not moved by one odd answer', () => {
    const spread = new RunningDeviation()
    for (let i = 0; i < 200; i++) spread.add([Math.sin(i)])
    const before = spread.deviation as number
    spread.add([1e6])
    expect(spread.deviation).toBeLessThan(1.1 * before)
  })

  it('of answers that are all alike is 0: only the same one is right', () => {
    const confidence = new Confidence(core, { kind: 'tolerance' })
    for (let i = 0; i < 40; i++) confidence.observe(Float32Array.of(3))
    expect([3, 3.1].map((y) => confidence.agrees(Float32Array.of(y), Float32Array.of(3)))).toEqual([true, false])
    const recovered = { answer: Float32Array.of(3), source: 'memory', missing: 1, error: 0.1 } as const
    expect(confidence.of(recovered)).toBeLessThan(0.01)
  })

  it('what was learned with another criterion is refused: what was right then may be wrong now', () => {
    const labels = new Confidence(core, { kind: 'label', positions: 1, classes: 3 }).save()
    const load = (tolerance?: number) => new Confidence(core, { kind: 'tolerance', tolerance }, labels)
    expect(load).toThrow('state: worth.criterion: expected {"kind":"tolerance"}, got {"kind":"label","positions":1')
    const loose = new Confidence(core, { kind: 'tolerance', tolerance: 2 }).save()
    expect(() => new Confidence(core, { kind: 'tolerance', tolerance: 1e-3 }, loose)).toThrow('"tolerance":0.001}, got')
  })

  it('until it is known nothing is called right or wrong', () => {
    const confidence = new Confidence(core, { kind: 'tolerance' })
    expect([confidence.tolerance, confidence.agrees(Float32Array.of(1), Float32Array.of(1))]).toEqual([
      undefined,
      undefined,
    ])
  })
})

describe('"within the tolerance" is calibrated', () => {
  const measure = async (name: string, memory: number, options: { right?: Right }) => {
    const model = await OnnxModel.load(readFileSync(`test/fixtures/${name}.onnx`))
    const inputs = await loadInputs(`test/fixtures/${name}-inputs.npy`)
    const codec = new Codec(core, { queries: 8, stragglers: 1 })
    const { confidence } = await evaluate({ model, codec, inputs, memory, groups: 2500, sets: 0, ...options })
    await model.close()
    return confidence as NonNullable<typeof confidence>
  }

  it.each([
    ['friedman', 1000, {}, 0],
    ['friedman', 500, { right: { within: 2 } }, 0.9], // the regression errs by less: nearly all are sure, and right
    ['checker', 1000, { right: { within: 0.5 } }, 0],
  ])('%s, %i remembered, %j: calibration error at most .05', async (name, memory, options, sure) => {
    const { tested, calibrationError, sure: stated } = await measure(name, memory, options)
    expect(tested).toBeGreaterThan(1000)
    expect(calibrationError).toBeLessThanOrEqual(0.05)
    expect(stated.share).toBeGreaterThanOrEqual(sure)
    if (sure) expect(stated.agreement).toBeGreaterThan(0.95)
  })
})
