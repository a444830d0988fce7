/** Several outputs of different units: each is judged, compared and remembered in its own. */

import { beforeAll, describe, expect, it } from 'vitest'
import { type Criterion, criterionOf } from '../../src/base/criterion'
import { seeded } from '../../src/base/random'
import { rmsDifference } from '../../src/base/stats'
import { loadCore } from '../../src/core/load'
import { Confidence } from '../../src/memory/confidence'
import { Experience, type ExperienceOptions } from '../../src/memory/experience'
import { Memory } from '../../src/memory/memory'
import { jointOdds } from '../../src/memory/odds'
import { opened, sealed, withMemory } from '../shared/learned-states'

const core = await loadCore()
const signature = {
  inputs: [{ name: 'x', shape: [6] }],
  outputs: [
    { name: 'boxes', shape: [4, 2] },
    { name: 'score', shape: [1] },
  ],
}
const criterion = criterionOf(signature.outputs)
const pixels = (x: Float32Array) => Array.from({ length: 8 }, (_, i) => 300 * Math.sin(x[0] + i))
const learnable = (x: Float32Array) => Float32Array.of(...pixels(x), 0.5 + 0.4 * Math.sin(x[1]))
/** Decided by the input, and by nothing near. */
const scattered = (x: Float32Array) => Float32Array.of(...pixels(x), Math.abs(Math.sin(1e5 * x[1])))

/** Queries that are answered and learned one after the other, and how the last ones were foretold. */
function taught(model: (x: Float32Array) => Float32Array, options: Partial<ExperienceOptions> = {}, queries = 600) {
  const warn = (text: string) => expect.fail(text)
  const experience = new Experience(core, signature, {
    criterion,
    memory: {},
    warn,
    ...options,
  })
  const random = seeded(4)
  const foretold: { confidence: number; isRight: boolean }[] = []
  for (let i = 0; i < queries; i++) {
    const query = Float32Array.from({ length: 6 }, () => random.gauss())
    const answer = model(query)
    experience.confidence.observe(answer)
    const said = i < queries - 200 ? undefined : experience.recall(query)
    if (said) {
      const confidence = experience.confidence.of({ ...said, missing: 1 }) as number
      foretold.push({ confidence, isRight: experience.confidence.agrees(said.answer, answer) === true })
    }
    Array.from(experience.train(query, answer))
  }
  experience.settle()
  return { experience, foretold }
}

describe('an answer', () => {
  const right = (boxes: number, score: number, of: Criterion = criterion) => {
    const confidence = new Confidence(core, of)
    for (let i = 0; i < 200; i++) confidence.observe(learnable(Float32Array.of(i, 7 * i)))
    const own = learnable(Float32Array.of(1, 1))
    return confidence.agrees(own.map((value, i) => value + (i < 8 ? boxes : score)), own) // biome-ignore format: one line
  }

  it('is right where each output is, by its own scale', () => {
    const off = [[0, 0], [15, 0.02], [15, 0.04], [30, 0], [0, 0.3]] // biome-ignore format: one line
    expect(off.map(([boxes, score]) => right(boxes, score))).toEqual([true, true, false, false, false])
  })

  it('is right as it is said of each', () => {
    const stated = criterionOf(signature.outputs, { outputs: { boxes: { within: 40 }, score: 'equal' } })
    const off = [[30, 0], [50, 0], [30, 1e-3]] // biome-ignore format: one line
    expect(off.map(([boxes, score]) => right(boxes, score, stated))).toEqual([true, false, false])
    const labels = criterionOf(signature.outputs, { outputs: { boxes: 'label', score: { within: 0.1 } } })
    expect([right(1e-3, 0, labels), right(0, 0.2, labels)]).toEqual([true, false])
  })

  it('is neither before it is known how much every output differs', () => {
    const confidence = new Confidence(core, criterionOf(signature.outputs, { outputs: { score: { within: 1 } } }))
    const answer = learnable(Float32Array.of(1, 1))
    const wrong = answer.map((value) => value + 1000)
    expect([confidence.agrees(wrong, answer), confidence.tolerances]).toEqual([
      undefined,
      { boxes: undefined, score: 1 },
    ])
  })

  it('has the confidence that the error of each output allows', () => {
    const confidence = new Confidence(
      core,
      criterionOf(signature.outputs, { outputs: { boxes: { within: 40 }, score: { within: 0.1 } } }),
    )
    const answer = learnable(Float32Array.of(1, 1))
    const of = (...errors: number[]) => confidence.of({ answer, source: 'memory', missing: 1, error: 10, errors, variance: 0.1 }) // biome-ignore format: one line
    expect(of(10, 0.02)).toBeGreaterThan(0.95)
    expect(of(10, 0.3)).toBeLessThan(0.3)
    expect(of(100, 0.02)).toBeLessThan(0.4)
  })

  it('has the odds of all outputs', () => {
    const odds = (p: number) => Math.log(p / (1 - p))
    expect(jointOdds([odds(0.9), odds(0.5)])).toBeCloseTo(odds(0.45), 9)
    expect(jointOdds([odds(0.9)])).toBeCloseTo(odds(0.9), 9)
    expect(jointOdds([-5000, 8])).toBeLessThan(-600) // and finite
    expect(Number.isFinite(jointOdds([-5000, -5000]))).toBe(true)
  })
})

describe('a memory', () => {
  let [known, vain]: ReturnType<typeof taught>[] = []
  beforeAll(() => {
    known = taught(learnable)
    vain = taught(scattered)
  })

  it('is confident of outputs that it can learn, and right', () => {
    const confident = known.foretold.filter(({ confidence }) => confidence >= 0.9)
    expect(confident.length).toBeGreaterThan(60)
    expect(confident.filter(({ isRight }) => isRight).length).toBeGreaterThan(0.93 * confident.length)
  })

  it('is confident of none where one output is small and cannot be foretold', () => {
    expect(vain.foretold.length).toBe(200)
    expect(vain.foretold.filter(({ confidence }) => confidence >= 0.5)).toEqual([])
    expect(vain.foretold.filter(({ isRight }) => isRight).length).toBeLessThan(40)
  })

  it('tells the error of each output in its own unit', () => {
    const of = ({ experience }: ReturnType<typeof taught>) => experience.recall(Float32Array.of(0.3, 0.2, 0, 0, 0, 0))
    const [good, bad] = [of(known), of(vain)]
    expect(good?.errors?.map((error) => error > 0)).toEqual([true, true])
    expect(good?.errors?.[1]).toBeLessThan(0.08)
    expect(bad?.errors?.[1]).toBeGreaterThan(0.15)
    expect(bad?.errors?.[0]).toBeLessThan(100)
  })

  it('compares queries by what each output tells, however small its numbers are', () => {
    const error = ({ experience }: ReturnType<typeof taught>) => {
      const random = seeded(9)
      const errors = Array.from({ length: 100 }, () => {
        const query = Float32Array.from({ length: 6 }, () => random.gauss())
        const said = experience.recall(query)?.answer as Float32Array
        return rmsDifference(said.subarray(8), learnable(query).subarray(8))
      })
      return errors.reduce((sum, each) => sum + each / 100, 0)
    }
    expect(error(known)).toBeLessThan(0.5 * error(taught(learnable, { criterion: { kind: 'tolerance' } })))
  })

  it('does not keep an answer of which one output is unlike all others', () => {
    const memory = new Memory(core, { shape: [6], outputs: 9, criterion })
    const random = seeded(2)
    const put = (change = 0) => {
      const query = Float32Array.from({ length: 6 }, () => random.gauss())
      return memory.remember(query, learnable(query).map((value, i) => (i < 8 ? value : value + change))) // biome-ignore format: one line
    }
    for (let i = 0; i < 200; i++) put()
    expect([put().kept, put(50).kept, put().kept]).toEqual([true, false, true]) // 50 pixels would be nothing
  })
})

describe('what was learned of several outputs', () => {
  it('comes back as it was', () => {
    const { experience } = taught(learnable, {}, 300)
    const query = Float32Array.of(0.3, 0.2, 0, 0, 0, 0)
    const again = taught(learnable, { state: experience.save() }, 0).experience
    expect(again.recall(query)).toEqual(experience.recall(query))
    expect(again.confidence.tolerances).toEqual(experience.confidence.tolerances)
    expect(again.save()).toEqual(experience.save())
  })

  it('is refused where it is forged, or of another criterion', () => {
    const state = taught(learnable, {}, 300).experience.save()
    const read =
      (changed: Uint8Array, options = {}) =>
      () =>
        taught(learnable, { state: changed, ...options }, 0)
    const told = (error: unknown) =>
      withMemory(state, (header) => {
        header.content.errors.error = error
        return header
      })
    expect(read(told([1, 1]))).not.toThrow()
    expect(read(told([1]))).toThrow('state: memory.errors.error: expected a list of 2, got 1')
    expect(read(told([1, -1]))).toThrow('state: memory.errors.error[1]')
    expect(read(told(1))).toThrow('state: memory.errors.error')
    const { header, body } = opened(state)
    header.content.worth.spread.pop()
    expect(read(sealed(header, body))).toThrow('state: worth.spread: expected a list of 2, got 1')
    const other = criterionOf(signature.outputs, { outputs: { score: { within: 1 } } })
    expect(read(state, { criterion: other })).toThrow('state: worth.criterion')
  })
})
