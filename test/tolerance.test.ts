import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { loadInputs } from '../src/cli/npy'
import { Codec } from '../src/codec/codec'
import { loadCore } from '../src/core/load'
import { criterionOf, labelAt, lead, sameLabels } from '../src/criterion'
import { evaluate } from '../src/evaluate/evaluate'
import { Confidence } from '../src/memory/confidence'
import { seeded } from '../src/random'
import type { CriterionOptions } from '../src/reading'
import { RunningDeviation } from '../src/stats'
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
    expect(criterionOf(y(...shape), {})).toEqual(criterion)
  })

  it('as the user says', () => {
    expect(criterionOf(y(40, 97), { labelAxis: 'last' })).toEqual({ kind: 'label', positions: 40, classes: 97 })
    expect(criterionOf(y(10), { labelAxis: 'none', tolerance: 0.5 })).toEqual({ kind: 'tolerance', tolerance: 0.5 })
  })

  it.each([
    [[1], { labelAxis: 'last' }, "labelAxis: expected 'none' for output 'y' of one value, got 'last'"],
    [[10], { labelAxis: 'first' }, "labelAxis: expected 'last' | 'none', got \"first\""],
    [[10], { tolerance: 1 }, "tolerance: expected none for outputs with labels (labelAxis 'last'), got 1"],
    [[1], { tolerance: 0 }, 'tolerance: expected a number above 0, got 0'],
    [[1], { tolerance: '1' }, 'tolerance: expected a number above 0, got "1"'],
  ])('of shape %j, %j: refused', (shape, options, message) => {
    expect(() => criterionOf(y(...shape), options as CriterionOptions)).toThrow(message)
  })

  it('several positions agree only all together; the lead is that of the least sure one', () => {
    const labels = { kind: 'label', positions: 2, classes: 3 } as const
    const [a, b] = [Float32Array.of(0, 5, 1, 9, 2, 8), Float32Array.of(0, 3, 1, 2, 1, 8)]
    expect([labelAt(a, labels), labelAt(a, labels, 1), labelAt(b, labels, 1)]).toEqual([1, 0, 2])
    expect([sameLabels(a, a, labels), sameLabels(a, b, labels)]).toEqual([true, false])
    expect(lead(a, labels)).toEqual({ margin: 1, height: 9 - 19 / 3 })
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
  const measure = async (name: string, memory: number, options: CriterionOptions) => {
    const model = await OnnxModel.load(readFileSync(`test/fixtures/${name}.onnx`))
    const inputs = await loadInputs(`test/fixtures/${name}-inputs.npy`)
    const codec = new Codec(core, { queries: 8, stragglers: 1 })
    const { confidence } = await evaluate({ model, codec, inputs, memory, groups: 2500, sets: 0, ...options })
    await model.close()
    return confidence as NonNullable<typeof confidence>
  }

  it.each([
    ['friedman', 1000, {}, 0],
    ['friedman', 500, { tolerance: 2 }, 0.9], // the regression errs by less: nearly all are sure, and right
    ['checker', 1000, { labelAxis: 'none' as const }, 0],
  ])('%s, %i remembered, %j: calibration error at most .05', async (name, memory, options, sure) => {
    const { tested, calibrationError, sure: stated } = await measure(name, memory, options)
    expect(tested).toBeGreaterThan(1000)
    expect(calibrationError).toBeLessThanOrEqual(0.05)
    expect(stated.share).toBeGreaterThanOrEqual(sure)
    if (sure) expect(stated.agreement).toBeGreaterThan(0.95)
  })
})
