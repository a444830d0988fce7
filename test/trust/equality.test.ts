import { describe, expect, it } from 'vitest'
import { criterionOf } from '../../src/base/criterion'
import type { TensorData } from '../../src/base/element'
import { Payload, sizesOf } from '../../src/base/payload'
import type { TensorSpec } from '../../src/base/tensor'
import { agree, type Equality, isLie, isNear } from '../../src/trust/equality'

const equality = (outputs: TensorSpec[], rest: Partial<Equality> = {}): Equality => ({
  ...{ criterion: criterionOf(outputs), outputs, rounding: 1e-3, scales: outputs.map(() => 1e-9) },
  ...rest,
})
const answer = (...outputs: TensorData[]) => new Payload(outputs.map((data) => ({ data, shape: [data.length] })))
/** Whether two answers are the same, and whether the first is a lie beside the second. */
const pair = (a: Payload, b: Payload, by: Equality) => [agree(a, b, by), isLie(a, b, by)]

describe('numbers', () => {
  const numbers = equality([{ name: 'y', shape: [1] }])
  const values = (a: number[], b: number[], by: Equality) =>
    pair(answer(Float32Array.from(a)), answer(Float32Array.from(b)), by)

  it('are the same up to rounding, by their size; what is far from that is a lie, and in between nothing is proven', () => {
    expect(values([10], [10.009], numbers)).toEqual([true, false])
    expect(values([10], [10.02], numbers)).toEqual([false, false])
    expect(values([10], [10.4], numbers)).toEqual([false, true])
    expect(values([10], [10.4], { ...numbers, rounding: 0.1 })).toEqual([true, false])
  })

  it('near 0 go by the scale of their output, as most workers tell it', () => {
    expect(values([0], [1e-5], numbers)).toEqual([false, true])
    expect(values([0], [1e-5], { ...numbers, scales: [1] })).toEqual([true, false])
    expect(values([0], [1e-3], { ...numbers, scales: [1] })).toEqual([false, false])
    expect(values([0], [4e-2], { ...numbers, scales: [1] })).toEqual([false, true])
  })

  it('are no lies within rounding of their scale', () => {
    expect(values([0], [0.02], { ...numbers, scales: [1] })).toEqual([false, false])
    expect(values([0], [0.04], { ...numbers, scales: [1] })).toEqual([false, true])
  })

  it('of which one of many is off are not the same, however small the mean difference', () => {
    const many = equality([{ name: 'y', shape: [2, 500] }])
    const [a, b] = [new Float32Array(1000).fill(100), new Float32Array(1000).fill(100)]
    b[700] += 5 // one box of many, by five pixels
    expect(pair(answer(a), answer(b), many)).toEqual([false, true])
  })

  it('with labels are the same only where these are', () => {
    const labels = equality([{ name: 'y', shape: [2] }])
    expect(values([1, 1.0004], [1.0004, 1], labels)).toEqual([false, false])
    expect(values([1, 1.0004], [1, 1.0008], labels)).toEqual([true, false])
  })

  it('go by the smaller one’s size: no answer may decide by its own what is the same for others', () => {
    const labels = equality([{ name: 'y', shape: [2] }])
    expect(values([0, 1], [0, 1000], labels)[0]).toBe(false)
    expect(values([0, 1000], [0, 1], labels)[0]).toBe(false)
    expect(values([1], [1.6], { ...numbers, rounding: 0.5 })[0]).toBe(false)
    expect(values([1.6], [1], { ...numbers, rounding: 0.5 })[0]).toBe(false)
  })

  it('before their scale is known are no lies, unless there are labels', () => {
    expect(values([1], [1.0005], { ...numbers, scales: [] })).toEqual([true, false])
    expect(values([1], [100], { ...numbers, scales: [] })).toEqual([false, false])
    const labels = equality([{ name: 'y', shape: [2] }], { scales: [] })
    expect(values([0, 1], [0, 1.01], labels)).toEqual([false, false])
    expect(values([0, 1], [0, 1.1], labels)).toEqual([false, true])
  })

  it('that are none, as a mask of -Infinity, are the same where both are', () => {
    const many = equality([{ name: 'y', shape: [3] }])
    const odd = [Number.NEGATIVE_INFINITY, Number.NaN, 1]
    expect(values(odd, odd, many)).toEqual([true, false])
    expect(values([0, Number.NaN, 1], odd, many)[0]).toBe(false)
  })
})

describe('each output by itself', () => {
  const outputs: TensorSpec[] = [
    { name: 'scores', shape: [3] },
    { name: 'boxes', shape: [4] },
  ]
  const boxes = Float32Array.of(100, 200, 300, 400)

  it('a small one is not lost beside a large one', () => {
    const [right, wrong] = [Float32Array.of(0.9, 0.05, 0.05), Float32Array.of(0.2, 0.05, 0.05)]
    expect(pair(answer(wrong, boxes), answer(right, boxes), equality(outputs))).toEqual([false, true])
  })

  it('sizes are told of each', () => {
    const payload = answer(Float32Array.of(3, 4, 5), boxes, BigInt64Array.of(9n))
    const sizes = sizesOf(payload.tensors, [...outputs, { type: 'int64' }])
    expect(sizes).toEqual([expect.closeTo(Math.sqrt(50 / 3)), expect.closeTo(Math.sqrt(75_000)), 0])
  })
})

describe('what is no real number', () => {
  it.each([
    ['int64', BigInt64Array.of(1n, 2n ** 62n), BigInt64Array.of(1n, 2n ** 62n + 1n)],
    ['bool', Uint8Array.of(1, 0), Uint8Array.of(1, 1)],
    ['string', ['a', 'b'], ['a', 'B']],
  ] as const)('of type %s is equal or a lie', (type, a, b) => {
    const by = equality([{ name: 'y', shape: [2], type }])
    expect(pair(answer(a), answer(a), by)).toEqual([true, false])
    expect(pair(answer(a), answer(b), by)).toEqual([false, true])
  })

  it('of another length is not the same, and proves nothing: rounding may tip which boxes are kept', () => {
    const by = equality([{ name: 'y', shape: [-1], type: 'int64' }])
    expect(pair(answer(BigInt64Array.of(1n)), answer(BigInt64Array.of(1n, 2n)), by)).toEqual([false, false])
  })

  describe('labels beside their scores, of which two are as large but for rounding', () => {
    const one = equality([{ name: 'label', shape: [1], type: 'int64' }, { name: 'scores', shape: [3] }]) // biome-ignore format: one line
    const labelled = (label: bigint, ...scores: number[]) => answer(BigInt64Array.of(label), Float32Array.from(scores))
    const tied = [1, 1.0008, 0]

    it('may be either one’s: they are not the same, and no lie', () => {
      expect(pair(labelled(0n, 1.0008, 1.0007, 0), labelled(1n, ...tied), one)).toEqual([false, false])
      expect(isNear(labelled(0n, 1.0008, 1.0007, 0), labelled(1n, ...tied), one)).toBe(true)
    })

    it('are lies where they are any other’s, or no place of a score', () => {
      for (const label of [2n, 3n, -1n, 2n ** 62n]) expect(pair(labelled(label, ...tied), labelled(1n, ...tied), one)).toEqual([false, true]) // biome-ignore format: one line
      expect(pair(labelled(0n, 1, 1.01, 0), labelled(1n, 1, 1.01, 0), one)).toEqual([false, true])
      expect(pair(labelled(0n, 1000, 1000, 0), labelled(1n, 1, 1.01, 0), one)).toEqual([false, true]) // its own scores do not count
    })

    it('are lies where they are too large to be told apart as numbers', () => {
      expect(pair(labelled(2n ** 62n, ...tied), labelled(2n ** 62n + 1n, ...tied), one)).toEqual([false, true])
    })

    it('of each pixel, whichever axis the classes are', () => {
      const many = equality([{ name: 'label', shape: [2], type: 'int32' }, { name: 'scores', shape: [-1, -1] }]) // biome-ignore format: one line
      const pixels = (labels: number[], scores: number[], shape: number[]) =>
        new Payload([{ data: Int32Array.from(labels), shape: [2] }, { data: Float32Array.from(scores), shape }]) // biome-ignore format: one line
      for (const [scores, shape] of [
        [
          [1, 1.0008, 0, 5, 1, 0],
          [2, 3],
        ],
        [
          [1, 5, 1.0008, 1, 0, 0],
          [3, 2],
        ],
      ]) {
        // biome-ignore format: one line
        const judged = (told: number[], right: number[]) => pair(pixels(told, scores, shape), pixels(right, scores, shape), many) // biome-ignore format: one line
        expect(judged([0, 0], [1, 0])).toEqual([false, false])
        expect(judged([1, 1], [1, 0])).toEqual([false, true])
        expect(judged([1, -1], [1, 0])).toEqual([false, true])
        expect(judged([0, 1], [1, 0])).toEqual([false, true])
      }
    })

    it('are lies where equal ones beside them are no places of the largest scores, or scores are integers, which no rounding changes', () => {
      const outputs = [
        { name: 'label', shape: [3], type: 'int32' as const },
        { name: 'scores', shape: [3, 2] },
      ]
      const judged = (told: number[], right: number[], by = equality(outputs)) => {
        const of = (labels: number[]) => {
          const scores =
            by.outputs[1].type === 'int32' ? Int32Array.of(1, 1, 5, 1, 5, 1) : Float32Array.of(1, 1, 5, 1, 5, 1)
          return new Payload([{ data: Int32Array.from(labels), shape: [3] }, { data: scores, shape: [3, 2] }]) // biome-ignore format: one line
        }
        return pair(of(told), of(right), by)
      }
      expect(judged([0, 0, 0], [1, 0, 0])).toEqual([false, false])
      expect(judged([0, 0, 1], [1, 0, 1])).toEqual([false, true])
      expect(judged([0, 0, 0], [1, 0, 0], equality([outputs[0], { ...outputs[1], type: 'int32' }]))).toEqual([
        false,
        true,
      ])
    })

    it('of a million pixels are no lies or lies within a few milliseconds', () => {
      const [pixels, classes] = [1_000_000, 20]
      const outputs = [{ type: 'int32' as const }, {}]
      const equality = { criterion: { kind: 'equal' as const }, outputs, rounding: 1e-4, scales: [0, 1] }
      const scores = new Float32Array(pixels * classes).map((_, i) => (i % classes ? 0 : 1))
      const last = pixels * classes - classes
      scores[last + 1] = 1
      const masked = (label: number) => {
        const data = new Int32Array(pixels)
        data[pixels - 1] = label
        return new Payload([{ data, shape: [pixels] }, { data: scores, shape: [pixels, classes] }]) // biome-ignore format: one line
      }
      const [own, tied, lie] = [0, 1, 2].map(masked)
      for (const [other, expected] of [
        [tied, true],
        [lie, false],
      ] as const) {
        other.sizeIn(1, 'float32')
        own.sizeIn(1, 'float32')
        const mask = { ...equality, outputs: [outputs[0]] }
        expect(isNear(other, own, mask)).toBe(false) // nothing says that they are labels
        const at = process.cpuUsage()
        const found = !isLie(other, own, equality)
        const { user, system } = process.cpuUsage(at)
        expect(found).toBe(expected)
        if (!found) expect((user + system) / 1000).toBeLessThan(100) // 5; 475 where all positions and all scores were gone over
      }
    })

    it('are lies where other numbers are equal: features that are 0, coordinates, scores of labels that do not lead', () => {
      expect(pair(labelled(2n, 0, 5, 0, 0), labelled(1n, 0, 5, 0, 0), one)).toEqual([false, true])
      expect(pair(labelled(2n, 0, 5, 0), labelled(0n, 0, 5, 0), one)).toEqual([false, true])
      const box = equality([{ name: 'label', shape: [1], type: 'int64' }, { name: 'scores', shape: [3] }, { name: 'box', shape: [1, 4] }]) // biome-ignore format: one line
      const boxed = (label: bigint) => new Payload([{ data: BigInt64Array.of(label), shape: [1] }, { data: Float32Array.of(1, 5, 0), shape: [3] }, { data: Float32Array.of(0, 7, 7, 0), shape: [2, 2] }]) // biome-ignore format: one line
      expect(pair(boxed(2n), boxed(1n), box)).toEqual([false, true])
      const flag = equality([{ name: 'label', shape: [1], type: 'bool' }, { name: 'scores', shape: [2] }]) // biome-ignore format: one line
      expect(pair(answer(Uint8Array.of(1), Float32Array.of(1, 1)), answer(Uint8Array.of(0), Float32Array.of(1, 1)), flag)).toEqual([false, true]) // biome-ignore format: one line
    })
  })

  it('half floats as bits are numbers all the same', () => {
    const by = equality([{ name: 'y', shape: [2], type: 'float16' }])
    const [one, near, far] = [0x3c00, 0x3c01, 0x3e00].map((bits) => answer(Uint16Array.of(bits, 0x3c00)))
    expect(pair(one, near, by)).toEqual([true, false])
    expect(pair(one, far, by)).toEqual([false, true])
  })
})

describe('shapes', () => {
  const shaped = (data: TensorData, shape: number[]) => new Payload([{ data, shape }])
  it.each([
    ['numbers', undefined, Float32Array.of(1, 2, 3, 4, 5, 6)],
    ['integers', 'int32', Int32Array.of(1, 2, 3, 4, 5, 6)],
  ] as const)('of %s: the same values the other way round are a lie', (_, type, data) => {
    const by = equality([{ name: 'y', shape: [-1, -1], ...(type && { type }) }], { scales: [3] })
    expect(pair(shaped(data, [2, 3]), shaped(data.slice(), [3, 2]), by)).toEqual([false, true])
    expect(pair(shaped(data, [2, 3]), shaped(data.slice(), [2, 3]), by)).toEqual([true, false])
  })
})

describe('values that stand for none', () => {
  const logits = equality([{ name: 'y', shape: [4] }], { rounding: 1e-4, scales: [0] })
  const values = (a: number[], b: number[]) => pair(answer(Float32Array.from(a)), answer(Float32Array.from(b)), logits)

  it.each([Number.NEGATIVE_INFINITY, -1e9, -3.4e38])(
    '%f in the place of a logit leaves the others their size',
    (none) => {
      expect(values([none, none, 1, 2], [none, none, 2, 1])).toEqual([false, true])
      expect(values([none, none, 1, 2], [none, none, 1, 2.0001])).toEqual([true, false]) // rounding
      expect(values([none, none, 1, 2], [none, none, 1, 2.002])).toEqual([false, false])
    },
  )

  it('are below -1,000: two numbers of other magnitudes go by both', () => {
    expect(values([-5, 0.001, 0, 0], [-5, 0.0011, 0, 0])).toEqual([true, false])
  })

  it('as they differ from runtime to runtime are within rounding', () => {
    expect(values([-1e9, 2, 1, 2], [-1e9 + 640, 2, 1, 2])).toEqual([true, false])
    expect(values([-1e9, 2, 1, 2], [-2e9, 2, 1, 2])[1]).toBe(true)
  })

  it('are of doubles beyond the square root of all numbers none', () => {
    const doubles = equality([{ name: 'y', shape: [2], type: 'float64' }], { rounding: 1e-4, scales: [0] })
    const two = (a: number[], b: number[]) => pair(answer(Float64Array.from(a)), answer(Float64Array.from(b)), doubles)
    expect(two([1e161, 2e161], [1e161, 2.000001e161])).toEqual([true, false])
  })
})
