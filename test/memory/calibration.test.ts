import { readFileSync } from 'node:fs'
import { beforeAll, describe, expect, it } from 'vitest'
import { labelAt } from '../../src/base/criterion'
import type { Recovered } from '../../src/base/prediction'
import { type Random, seeded } from '../../src/base/random'
import { loadCore } from '../../src/core/load'
import { answersOf } from '../../src/evaluate/model'
import { calibrationError, reliability } from '../../src/evaluate/statistics'
import { Calibration } from '../../src/memory/calibration'
import { Confidence } from '../../src/memory/confidence'
import type { ConfidenceState } from '../../src/memory/confidence-state'
import { Memory } from '../../src/memory/memory'
import { choiceLead } from '../../src/memory/odds'
import { finished } from '../../src/memory/steps'
import { OnnxModel } from '../../src/workers/onnx/model'
import { readModel } from '../../src/workers/onnx/model-file'
import { digits } from '../shared/digits'

const core = await loadCore()
const labels = (classes: number) => ({ kind: 'label', positions: 1, classes }) as const
const sigmoid = (z: number) => 1 / (1 + Math.exp(-z))
const MIN_CONFIDENCE = 0.9

interface Stated {
  confidence: number
  right: boolean
}
const confidentOf = (all: Stated[]) => all.filter(({ confidence }) => confidence >= MIN_CONFIDENCE)
const wrongOf = (all: Stated[]) => confidentOf(all).filter(({ right }) => !right).length

describe('odds of a label', () => {
  const odds = (answer: number[], classes = answer.length, positions = 1) =>
    choiceLead(Float32Array.from(answer), { kind: 'label', positions, classes }, 1).odds

  it('96 classes far behind do not add up to a doubt', () => {
    const four = [6, 2, 2, 2]
    expect(odds([...four, ...Array(96).fill(1.9)])).toBe(odds(four))
    expect(odds(four)).toBeLessThan(odds([6, 2, 2]))
  })

  it('come of any order, of two classes, of equal values and of every position', () => {
    expect(odds([1, 5, 2, 4, 3])).toBe(odds([5, 4, 3, 2, 1]))
    expect(odds([2, 0])).toBeGreaterThan(2)
    expect(odds([1, 1])).toBeCloseTo(0, 5)
    const [first, second] = [odds([3, 0, 1]), odds([2, 0, 0])]
    const both = sigmoid(first) * sigmoid(second)
    expect(odds([3, 0, 1, 2, 0, 0], 3, 2)).toBeCloseTo(Math.log(both / (1 - both)), 5)
  })
})

/** Outcomes of labels 0 to 9 whose odds are right, but for what is added to those of some. */
function drawing(random: Random, biasOf: (kind: number) => number) {
  return (kind = random.below(10)) => {
    const signal = 1.5 + 2 * random.gauss()
    return { kind, signals: [signal], right: random.next() < sigmoid(signal + biasOf(kind)) }
  }
}

describe('the intercept of a label', () => {
  it('goes to those that are right more often than others, and from those that are less', () => {
    const draw = drawing(seeded(1), (kind) => (kind === 3 ? -2 : kind === 4 ? 2 : 0))
    const calibration = new Calibration(core)
    for (let i = 0; i < 1500; i++) {
      const { kind, ...outcome } = draw()
      calibration.learn({ ...outcome, label: kind })
    }
    const stated = Array.from({ length: 6000 }, () => {
      const { kind, ...outcome } = draw()
      const confidence = calibration.probability(outcome.signals, kind) as number
      calibration.learn({ ...outcome, label: kind })
      return { confidence, right: outcome.right, kind }
    })
    for (const kind of [3, 4]) {
      const error = calibrationError(reliability(stated.filter((each) => each.kind === kind)))
      expect(error).toBeLessThan(0.12) // .29 and .20 without
    }
    expect(calibrationError(reliability(stated))).toBeLessThan(0.03)
  })

  it('follow what is learned while all is fitted anew, from the 30th recovery on', () => {
    const [made, random] = [new Calibration(core, [], undefined, 4), seeded(8)] // fitted anew by hand
    const recovered = (label: number) => ({ signals: [random.gauss()], right: random.next() < 0.5, label, from: 'w' })
    for (let i = 0; i < 29; i++) made.learn(recovered(i % 2))
    expect(made.probability([0], 0)).toBeUndefined()
    made.learn(recovered(1))
    expect(made.probability([0], 0)).toBeDefined()
    let renewal = made.renew()
    for (let i = 0; renewal.next().done; renewal = made.renew()) made.learn(recovered(i++ % 2))
    for (let i = 0; i < 10; i++) made.learn({ ...recovered(7), right: true })
    finished(renewal)
    expect(made.probability([0], 7)).toBeGreaterThan((made.probability([0], 8) as number) + 0.1)
  })

  it('one label of nearly all queries, then all alike: few are confident and wrong, and the others are confident again soon', () => {
    for (const seed of [1, 2, 3]) {
      const random = seeded(seed)
      const calibration = new Calibration(core)
      const before = drawing(random, () => 0)
      for (let i = 0; i < 1000; i++) {
        const { kind, ...outcome } = before(random.next() < 0.95 ? 0 : undefined)
        calibration.learn({ ...outcome, label: kind })
      }
      // The memory takes most of what is new for the label that it knows, and these are wrong; the others are as before.
      const after = drawing(random, (kind) => (kind === 0 ? -6 : 0))
      const stated = Array.from({ length: 1500 }, () => {
        const { kind, ...outcome } = after(random.next() < 0.5 ? 0 : undefined)
        const confidence = calibration.probability(outcome.signals, kind) as number
        calibration.learn({ ...outcome, label: kind })
        return { confidence, right: outcome.right, kind }
      })
      expect(wrongOf(stated.slice(0, 500).filter(({ kind }) => kind === 0))).toBeLessThanOrEqual(8)
      const others = stated.slice(500).filter(({ kind }) => kind > 0)
      expect(confidentOf(others).length / others.length).toBeGreaterThan(0.12) // none without, and .36 had it always been so
      expect(wrongOf(others) / confidentOf(others).length).toBeLessThan(0.1)
    }
  })
})

describe('what a worker taught', () => {
  const workers = ['a', 'b', 'liar', undefined]
  const recovered = (random: Random, source: 'code' | 'memory'): Recovered => {
    const answer = Float32Array.from({ length: 4 }, () => 3 * random.gauss())
    return { answer, source, missing: 1 + random.below(2), variance: 0.3, ...(source === 'memory' && { odds: random.gauss() + 1 }) } // biome-ignore format: one line
  }
  const taught = (met: (from: string | undefined) => boolean, state?: ConfidenceState) => {
    const random = seeded(5)
    const confidence = new Confidence(core, labels(4), state)
    for (let i = 0; i < 900; i++) {
      const each = recovered(random, i % 3 ? 'memory' : 'code')
      const own = random.next() < 0.8 ? each.answer : Float32Array.from(each.answer, (value) => -value)
      const from = workers[i % workers.length]
      if (!met(from)) continue
      const answer = from === 'liar' ? Float32Array.from(each.answer, (value) => -value) : own
      if (i % 2) confidence.grade(each, answer, from)
      else confidence.rehearse(each, answer, from)
    }
    return confidence
  }
  const ask = (confidence: Confidence) => {
    const random = seeded(6)
    return Array.from({ length: 50 }, (_, i) => confidence.of(recovered(random, i % 2 ? 'memory' : 'code')))
  }

  it('can be taken back: all is as if it had never been met', () => {
    const [confidence, never] = [taught(() => true), taught((from) => from !== 'liar')]
    expect(ask(confidence)).not.toEqual(ask(never))
    expect(confidence.forget('liar')).toBe(225)
    expect(confidence.save()).toEqual(never.save())
    expect(ask(confidence)).toEqual(ask(never))
    expect(confidence.agreements).toEqual(never.agreements)
    expect(confidence.forget('liar')).toBe(0)
    expect(confidence.forget('nobody')).toBe(0)
  })

  it('can be taken back of a state that was saved, whose credits are the same', () => {
    const before = taught(() => true)
    const state = JSON.parse(JSON.stringify(before.save())) as ConfidenceState
    expect([...state.workers].sort()).toEqual(['a', 'b', 'liar'])
    const again = new Confidence(core, labels(4), state)
    expect(ask(again)).toEqual(ask(before))
    again.forget('liar')
    const never = taught((from) => from !== 'liar')
    expect(again.save()).toEqual(never.save())
    expect(ask(again)).toEqual(ask(never))
  })

  it('below 30 outcomes nothing is left to be said', () => {
    const calibration = new Calibration(core)
    for (let i = 0; i < 60; i++)
      calibration.learn({ signals: [i % 5], right: i % 5 > 1, label: i % 2, from: i % 3 ? 'liar' : 'a' })
    expect(calibration.probability([3], 0)).toBeTypeOf('number')
    expect(calibration.forget('liar')).toBe(40)
    expect(calibration.probability([3], 0)).toBeUndefined()
    expect(calibration.save().length).toBe(20)
  })

  it('how much answers differ without a label is learned again from those that are left', () => {
    const criterion = { kind: 'tolerance' } as const
    const [confidence, never] = [new Confidence(core, criterion), new Confidence(core, criterion)]
    const random = seeded(7)
    const left = Array.from({ length: 1200 }, () => Float32Array.of(random.gauss(), random.gauss()))
    for (const [i, answer] of left.entries()) {
      if (i >= 200) never.observe(answer)
      confidence.observe(answer)
      if (i % 8 === 0) confidence.observe(Float32Array.of(15, -15))
    }
    expect(confidence.tolerance).toBeGreaterThan(1.5 * (never.tolerance as number))
    confidence.differ(left)
    expect(confidence.tolerance).toBe(never.tolerance)
  })

  it('is bounded, however many workers there were', () => {
    const confidence = new Confidence(core, labels(2))
    const own = Float32Array.of(1, 0)
    for (let i = 0; i < 5000; i++) {
      const each = { answer: own, source: 'code' as const, missing: 1 + (i % 3), variance: 0.2 }
      confidence.grade(each, own, `worker ${i}`)
    }
    const state = confidence.save()
    expect(state.agreements.length).toBeLessThanOrEqual(4000)
    expect(confidence.agreements.reduce((sum, { graded }) => sum + graded, 0)).toBe(5000)
    confidence.forget('worker 4999')
    confidence.forget('worker 0') // too long ago to be told from others
    expect(confidence.agreements.reduce((sum, { graded }) => sum + graded, 0)).toBe(4999)
    const again = new Confidence(core, labels(2), JSON.parse(JSON.stringify(state)))
    expect(again.save()).toEqual(state)
  })

  it('a state with other kinds, workers or tallies is refused, with the field', () => {
    const read = (change: (state: ConfidenceState) => void) => {
      const state = JSON.parse(JSON.stringify(taught(() => true).save())) as ConfidenceState
      change(state)
      return () => new Confidence(core, labels(4), state)
    }
    const outcome = (state: ConfidenceState) => state.outcomes.memory[7]
    expect(read((s) => (outcome(s).kind = 4))).toThrow('state: worth.outcomes.memory[7].kind: expected an integer from 0 to 3, got 4') // biome-ignore format: one line
    expect(read((s) => (outcome(s).kind = -1))).toThrow('worth.outcomes.memory[7].kind')
    expect(read((s) => (s.outcomes.code[7].kind = 0))).toThrow('worth.outcomes.code[7].kind')
    expect(read((s) => (outcome(s).from = s.workers.length))).toThrow('worth.outcomes.memory[7].from: expected an integer from -1 to 2, got 3') // biome-ignore format: one line
    expect(read((s) => Reflect.deleteProperty(outcome(s), 'from'))).toThrow('worth.outcomes.memory[7].from')
    expect(read((s) => Reflect.deleteProperty(outcome(s), 'kind'))).toThrow('worth.outcomes.memory[7].kind')
    expect(read((s) => (s.workers[1] = s.workers[0]))).toThrow('state: worth.workers: expected names that all differ')
    expect(read((s) => Reflect.deleteProperty(s, 'workers'))).toThrow('state: worth.workers: expected a list')
    expect(read((s) => (s.agreements[0].from = 9))).toThrow('worth.agreements[0].from')
    expect(read((s) => (s.agreements[1] = s.agreements[0]))).toThrow(
      'worth.agreements[1]: expected no other of its source',
    )
  })
})

describe('with a real model', () => {
  const file = (name: string) => new Uint8Array(readFileSync(`models/${name}`)).buffer
  const { images } = digits(file('mnist-digits.npy'), file('mnist-labels.npy'))
  let model: OnnxModel
  let own: Float32Array[]

  beforeAll(async () => {
    model = await OnnxModel.load(await readModel('models/mnist-lenet.onnx'))
    own = await answersOf(model, images)
    return () => model.close()
  })

  /** A memory, and what it says of what it was told and of its own recoveries. */
  function student(shape: number[], classes: number) {
    const memory = new Memory(core, { shape, outputs: classes })
    const confidence = new Confidence(core, labels(classes))
    const teach = (query: Float32Array, answer: Float32Array) => {
      const { predicted } = memory.remember(query, answer)
      if (predicted) confidence.rehearse({ ...predicted, missing: 1 }, answer)
    }
    const ask = (query: Float32Array, answer: Float32Array): Stated => {
      const recovery = { ...(memory.recover(query) as NonNullable<ReturnType<Memory['recover']>>), missing: 1 }
      return { confidence: confidence.of(recovery) ?? 0, right: confidence.agrees(recovery.answer, answer) as boolean }
    }
    return { teach, ask }
  }

  it('near-duplicates on both sides of a decision border: knowing the one gives no confidence in the other', async () => {
    const random = seeded(9)
    const border = Array.from({ length: 3000 }, () => [random.below(images.length), random.below(images.length)])
      .filter(([a, b]) => labelAt(own[a], labels(10)) !== labelAt(own[b], labels(10)))
      .slice(0, 100)
    const between = (at: number[]) =>
      border.map(([a, b], k) => images[a].map((value, i) => (1 - at[k]) * value + at[k] * images[b][i]))
    let [from, to] = [border.map(() => 0), border.map(() => 1)]
    for (let step = 0; step < 7; step++) {
      const middle = from.map((low, k) => (low + to[k]) / 2)
      const answers = await answersOf(model, between(middle))
      const stays = answers.map((answer, k) => labelAt(answer, labels(10)) === labelAt(own[border[k][0]], labels(10)))
      from = from.map((low, k) => (stays[k] ? middle[k] : low))
      to = to.map((high, k) => (stays[k] ? high : middle[k]))
    }
    const left = between(from.map((at) => Math.max(0, at - 0.02)))
    const right = between(to.map((at) => Math.min(1, at + 0.02)))
    const [told, asked] = [await answersOf(model, left), await answersOf(model, right)]
    const { teach, ask } = student([1, 28, 28], 10)
    for (const [i, image] of images.entries()) teach(image, own[i])
    for (const [i, image] of left.entries()) teach(image, told[i])
    const stated = right.map((image, i) => ask(image, asked[i]))
    expect(stated.filter((each) => !each.right).length).toBeGreaterThan(20)
    expect(wrongOf(stated)).toBeLessThanOrEqual(2)
  })

  it('of 100 classes, two digits side by side, many are confident and nearly all of these right', () => {
    const random = seeded(3)
    const draw = () => {
      const [a, b] = [random.below(images.length), random.below(images.length)]
      const image = new Float32Array(28 * 56)
      for (let y = 0; y < 28; y++) {
        image.set(images[a].subarray(28 * y, 28 * y + 28), 56 * y)
        image.set(images[b].subarray(28 * y, 28 * y + 28), 56 * y + 28)
      }
      const answer = Float32Array.from({ length: 100 }, (_, i) => own[a][Math.floor(i / 10)] + own[b][i % 10])
      return [image, answer] as const
    }
    const { teach, ask } = student([1, 28, 56], 100)
    for (let i = 0; i < 600; i++) teach(...draw())
    const stated = Array.from({ length: 300 }, () => ask(...draw()))
    expect(confidentOf(stated).length).toBeGreaterThan(150)
    expect(wrongOf(stated) / confidentOf(stated).length).toBeLessThan(0.05)
  })
})
