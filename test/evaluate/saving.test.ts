import { describe, expect, it } from 'vitest'
import { seeded } from '../../src/base/random'
import { loadInputs } from '../../src/cli/npy'
import { loadCore } from '../../src/core/load'
import { type Recorded, spend } from '../../src/evaluate/error-budgets'
import { type BatchModel, OwnAnswers } from '../../src/evaluate/model'
import { Neighbours } from '../../src/evaluate/neighbours'
import { SavingTrial, whyNothingSaved } from '../../src/evaluate/saving'
import { OnnxModel } from '../../src/workers/onnx/model'
import { readModel } from '../../src/workers/onnx/model-file'

const core = await loadCore()

/** Two values in, and which of two labels they have. */
const labelling = (labelOf: (row: Float32Array) => number): BatchModel => ({
  signature: { inputs: [{ name: 'x', shape: [2] }], outputs: [{ name: 'y', shape: [2] }] },
  async infer(rows, count) {
    const labels = Array.from({ length: count }, (_, i) => labelOf(rows.subarray(2 * i, 2 * i + 2)))
    return Float32Array.from(labels.flatMap((label) => [1 - label, label]))
  },
})
const isRight = labelling(([x]) => Number(x > 0.5))
/** Of bits of the first value that nothing tells of. */
const unforetold = labelling(([x]) => Math.floor(x * 1e6) % 2)

const drawn = (count: number, seed = 1) => {
  const random = seeded(seed)
  return Array.from({ length: count }, () => Float32Array.of(random.next(), random.next()))
}

async function savingOf(model: BatchModel, inputs: Float32Array[], stream = inputs.length) {
  const trial = new SavingTrial({ core, model, inputs, own: new OwnAnswers(model, inputs), stream, seed: 1 })
  await trial.go()
  return trial.summary()
}

describe('answers before asking, on a stream', () => {
  it('of digits: within each share that may be wrong, ahead of a nearest neighbour, and in one sentence', async () => {
    const model = await OnnxModel.load(await readModel('models/mnist-lenet.onnx'))
    const { levels, exact, advice } = await savingOf(model, await loadInputs('models/mnist-digits.npy'))
    await model.close()
    expect(levels.map(({ maxError }) => maxError)).toEqual([0.002, 0.01, 0.02, 0.05])
    for (const { maxError, wrong, wrongOfGiven, inferences, neighbour } of levels) {
      expect(wrong).toBeLessThanOrEqual(maxError)
      expect(wrongOfGiven * (1 - inferences)).toBeCloseTo(wrong, 9)
      expect(inferences).toBeLessThan(neighbour.inferences)
    }
    expect(levels[3].inferences).toBeLessThan(0.8)
    expect(exact.inferences).toBe(1)
    expect(advice).toMatch(/^--max-error 0\.01 would save \d+\.\d % of the inferences, .* here it takes [\d.]+$/)
  })

  it('says that it does not pay where nothing can be foretold', async () => {
    const { levels, advice } = await savingOf(unforetold, drawn(420))
    for (const { inferences } of levels) expect(inferences).toBeGreaterThan(0.95)
    expect(advice).toMatch(/^it does not pay: even with --max-error 0\.05 it would save \d\.\d % of the inferences$/)
  })

  it('has equal queries answered for the price of their audits, and says where these are all', async () => {
    const few = drawn(60)
    const { exact, levels, advice } = await savingOf(
      unforetold,
      Array.from({ length: 600 }, (_, i) => few[i % 60]),
    )
    expect(exact.inferences).toBeCloseTo(0.1, 9)
    for (const { inferences, audits } of levels) {
      expect(inferences - audits).toBeCloseTo(0.1, 9)
      expect(audits).toBeLessThan(0.9 * 0.25)
    }
    expect(advice).toMatch(/does not pay.*; reuse: \{ exact: true } alone saves 90\.0 %$/)
  })

  it('says that a stream is too short', async () => {
    const { advice } = await savingOf(isRight, drawn(500), 100)
    expect(advice).toBe('the stream is too short to tell: expected 400 queries or more, got 100')
  })

  it('tells before its end how it stands', async () => {
    const inputs = drawn(200)
    const own = new OwnAnswers(isRight, inputs)
    const trial = new SavingTrial({ core, model: isRight, inputs, own, stream: 200, seed: 1 })
    await trial.go(0)
    expect(trial.done).toBe(0)
    let steps = 0
    await trial.go(undefined, () => steps++)
    expect([steps, trial.done]).toEqual([200, 200])
    expect(trial.level(0.05).inferences).toBeGreaterThan(0)
  })

  it('is not for what cannot be remembered', () => {
    expect(whyNothingSaved(isRight)).toBeUndefined()
    expect(whyNothingSaved(isRight, undefined, 'the model answered in two ways')).toBe('the model answered in two ways')
    const outputs = [{ name: 'y', shape: [4e7] }]
    const large = { ...isRight, signature: { ...isRight.signature, outputs } }
    expect(whyNothingSaved(large)).toMatch(/too large to be remembered/)
  })
})

describe('one coin', () => {
  const sure = (first: number, right = true): Recorded => ({ first, said: { confidence: 0.9999, isRight: right } })

  it('asks for what is not known, and for equal queries once', () => {
    const stream = [0, 1, 0, 1, 0].map((first) => ({ first, said: undefined }))
    const { queries, asked, audits, wrong } = spend(stream, 0.01, seeded(1))
    expect([queries, asked - audits, wrong]).toEqual([5, 2, 0])
  })

  it('ends what is wrong within the budget, whatever was said of it', () => {
    const stream = Array.from({ length: 2000 }, (_, i) => sure(i, i < 500))
    const { asked, wrong, over, windows } = spend(stream, 0.01, seeded(1))
    expect(wrong).toBeLessThanOrEqual(20)
    expect(asked).toBeGreaterThan(1400)
    expect([over, windows]).toEqual([0, 1])
  })
})

describe('a nearest neighbour', () => {
  it('gives the answer to the nearest earlier query, as sure as those like it were right', () => {
    const neighbours = new Neighbours((a, b) => a[0] === b[0])
    const answer = ([x]: Float32Array) => Float32Array.of(Number(x > 0.5))
    const inputs = drawn(400)
    const said = inputs.map((query) => neighbours.next(query, answer(query)))
    expect(said[0]).toBeUndefined()
    const late = said.slice(200).map((each) => each?.isRight)
    expect(late.filter(Boolean).length).toBeGreaterThan(180)
    expect(said[399]?.confidence).toBeGreaterThan(0.8)
  })
})
