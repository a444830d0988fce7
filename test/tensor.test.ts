import * as ort from 'onnxruntime-web'
import { describe, expect, it } from 'vitest'
import { acceptAnswers, Payload, tensorsOf, vectorOf } from '../src/base/payload'
import { type QueryTensors, type TensorSpec, toNamed, toTensors } from '../src/base/tensor'

const image = [{ name: 'image', shape: [2, 2] }]
const pair = [
  { name: 'a', shape: [2] },
  { name: 'b', shape: [1, 3] },
]
const four = Float32Array.of(1, 2, 3, 4)

/** The values of all inputs. */
const toRow = (query: QueryTensors, specs: readonly TensorSpec[], given = false) =>
  vectorOf(toTensors(query, specs, undefined, given ? (data) => data : undefined))

describe('a query becomes tensors', () => {
  it.each([
    ['data alone', four],
    ['a tensor', { data: four, shape: [2, 2] }],
    ['by name', { image: { data: four, shape: [2, 2] } }],
    ['data by name', { image: four }],
    ['a tensor with a batch dimension of 1', { data: four, shape: [1, 2, 2] }],
    ['a tensor with a batch dimension of 1, by name', { image: { data: four, shape: [1, 2, 2] } }],
    ['a tensor with dims', { data: four, dims: [2, 2] }],
    ['a tensor with dims that begin with a batch of 1', { data: four, dims: [1, 2, 2] }],
    ['a tensor of onnxruntime', new ort.Tensor('float32', four, [2, 2])],
    ['a tensor of onnxruntime with a batch dimension of 1', new ort.Tensor('float32', four, [1, 2, 2])],
    ['tensors of onnxruntime by name', { image: new ort.Tensor('float32', four, [1, 2, 2]) }],
  ] as [string, QueryTensors][])('%s', (_, query) => {
    const row = toRow(query, image)
    expect(row).toEqual(four)
    expect(row.buffer).not.toBe(four.buffer)
    expect(toTensors(query, image)[0].shape).toBe(image[0].shape)
  })

  it('that is given away is not copied, and looked through all the same', () => {
    expect(toRow(four, image, true)).toBe(four)
    const named = { a: Float32Array.of(1, 2), b: Float32Array.of(3, 4, 5) }
    expect(toTensors(named, pair, true, (data) => data).map(({ data }) => data)).toEqual([named.a, named.b])
    expect(toTensors(named, pair, true, (data) => data)[0].data).toBe(named.a)
    expect(() => toRow(Float32Array.of(1, 2, Number.NaN, 4), image, true)).toThrow('got NaN at 2')
    expect(() => toRow(Float32Array.of(1, 2), image, true)).toThrow('expected 4 values')
  })

  it('several inputs, in the order of the signature, and back', () => {
    const query = { b: { data: Float32Array.of(3, 4, 5), shape: [1, 3] }, a: Float32Array.of(1, 2) }
    const row = toRow(query, pair)
    expect([...row]).toEqual([1, 2, 3, 4, 5])
    const back = toNamed(tensorsOf(row, pair), pair)
    expect(back).toEqual({ a: { data: query.a, shape: [2] }, b: query.b })
    expect(back.a.data.buffer).not.toBe(row.buffer)
  })

  it.each([
    [undefined, 'query: expected tensors, got undefined'],
    ['cat.png', 'query: expected tensors, got "cat.png"'],
    [new Uint8Array(4), 'query.image: expected a Float32Array, got Uint8Array'],
    [{ data: new Float64Array(4), shape: [2, 2] }, 'query.image: expected a Float32Array, got Float64Array'],
    [{ image: [1, 2, 3, 4] }, 'query.image: expected a Float32Array, got Array'],
    [{}, 'query.image: expected a Float32Array, got undefined'],
    [{ picture: four }, "query: expected inputs 'image', got 'picture'"],
    [{ data: four, shape: [4] }, 'query.image: expected shape [2,2] or [1,2,2], got [4]'],
    [{ data: four, dims: [4] }, 'query.image: expected shape [2,2] or [1,2,2], got [4]'],
    [{ data: four, shape: [1, 1, 2, 2] }, 'query.image: expected shape [2,2] or [1,2,2], got [1,1,2,2]'],
    [{ data: four, shape: [2, 1, 2] }, 'query.image: expected shape [2,2] or [1,2,2], got [2,1,2]'],
    [{ data: four, shape: [2, 2], dims: [4] }, 'query.image: expected shape [2,2] or [1,2,2], got [4]'],
    [{ data: four, shpae: [2, 2] }, "query.image.shpae: expected 'shape', got an unknown option"],
    [new ort.Tensor('float32', four, [4]), 'query.image: expected shape [2,2] or [1,2,2], got [4]'],
    [{ image: new ort.Tensor('float32', four, [4]) }, 'query.image: expected shape [2,2] or [1,2,2], got [4]'],
    [new Float32Array(5), 'query.image: expected 4 values (shape [2,2]), got 5'],
    [Float32Array.of(1, Number.NaN, 3, 4), 'query.image: expected finite values, got NaN at 1'],
    [Float32Array.of(1, 2, 3, Number.NEGATIVE_INFINITY), 'query.image: expected finite values, got -Infinity at 3'],
  ])('refuses %s', (query, message) => {
    expect(() => toRow(query as QueryTensors, image)).toThrow(message)
  })

  it('an input may be named data', () => {
    const specs = [
      { name: 'data', shape: [2] },
      { name: 'info', shape: [1] },
    ]
    expect([...toRow({ data: Float32Array.of(1, 2), info: Float32Array.of(3) }, specs)]).toEqual([1, 2, 3])
    const [alone] = [specs.slice(0, 1)]
    const two = Float32Array.of(1, 2)
    for (const query of [{ data: two }, { data: two, shape: [1, 2] }, new ort.Tensor('float32', two, [1, 2])])
      expect([...toRow(query, alone)]).toEqual([1, 2])
  })

  it('inputs may be called what every object has already', () => {
    const specs = ['__proto__', 'toString'].map((name) => ({ name, shape: [1] }))
    const row = toRow(
      { ['__proto__']: Float32Array.of(1), toString: Float32Array.of(2) } as unknown as QueryTensors,
      specs,
    )
    expect([...row]).toEqual([1, 2])
    const back = toNamed(tensorsOf(row, specs), specs)
    expect(Object.getPrototypeOf(back)).toBe(Object.prototype)
    expect(Object.entries(back).map(([name, { data }]) => [name, ...data])).toEqual([
      ['__proto__', 1],
      ['toString', 2],
    ])
    expect([...toRow(Float32Array.of(3), specs.slice(0, 1))]).toEqual([3])
    const missing = 'query.toString: expected a Float32Array, got undefined'
    expect(() => toRow({ ['__proto__']: Float32Array.of(1) }, specs)).toThrow(missing)
  })

  it('a single tensor is no query for two inputs', () => {
    expect(() => toRow(four, pair)).toThrow("query: expected one tensor for each of 'a', 'b', got a single one")
  })
})

it('where a model has no vectors its floats may be anything: a mask of -Infinity is meant', () => {
  const specs = [
    { name: 'mask', shape: [2] },
    { name: 'ids', shape: [2], type: 'int64' as const },
  ]
  const mask = Float32Array.of(Number.NEGATIVE_INFINITY, 3e38)
  const [{ data }] = toTensors({ mask, ids: BigInt64Array.of(1n, 2n) }, specs)
  expect(data).toEqual(mask)
  expect(() => toTensors({ mask }, specs.slice(0, 1))).toThrow('query.mask: expected finite values')
  expect(toTensors({ mask }, specs.slice(0, 1), false)[0].data).toEqual(mask)
})

describe('an answer', () => {
  const listOf = (data: Float32Array) => [{ data, shape: [data.length] }]
  const accept = (length: number) => acceptAnswers({ inputs: [], outputs: [{ name: 'y', shape: [length] }] }, true)

  it.each([10, 1000, 1003])('finds what is not finite anywhere among %i values, and nothing else', (length) => {
    const fine = Float32Array.from({ length }, (_, i) => (i % 2 ? 3.4028234663852886e38 : -3.4028234663852886e38))
    expect(accept(length)(listOf(fine)).vector).toEqual(fine)
    const places = [0, 1, 2, 3, 4, length >> 1, length - 4, length - 3, length - 2, length - 1]
    for (const at of places) {
      for (const bad of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
        const answer = listOf(fine.with(at, bad))
        expect(() => accept(length)(answer)).toThrow(`output 'y': expected finite values, got ${bad} at ${at}`)
      }
    }
    const odd = new Float32Array(length).with(length - 1, 1.1e36)
    expect(() => toRow(odd, [{ name: 'x', shape: [length] }])).toThrow(/got 1\.1\d*e\+36 at/)
  })

  it('may be NaN where nothing is mixed', () => {
    const answer = Float32Array.of(Number.NaN, 1)
    const outputs = [{ name: 'y', shape: [2] }]
    expect(acceptAnswers({ inputs: [], outputs }, false)(listOf(answer)).tensors[0].data).toEqual(answer)
  })

  it('is a copy, since a worker may use its buffer again', () => {
    const buffer = Float32Array.of(1, 2)
    const { vector } = accept(2)(listOf(buffer))
    buffer.fill(9)
    expect([...vector]).toEqual([1, 2])
  })

  it.each([
    [undefined, "answer: expected tensors, one for each of 'y', got undefined"],
    [new Float32Array(2), "answer: expected tensors, one for each of 'y', got Float32Array"],
    [[], 'answer: expected tensors, one for each of \'y\', got "0 of them"'],
    [[null], "output 'y': expected 2 float32 values, shape [2], got undefined, shape [undefined]"],
    [[{ data: [1, 2], shape: [2] }], "output 'y': expected 2 float32 values, shape [2], got Array, shape [2]"],
    [[{ data: new Float32Array(2) }], "output 'y': expected 2 float32 values, shape [2], got 2, shape [undefined]"],
    [listOf(new Float32Array(3)), "output 'y': expected 2 float32 values, shape [2], got 3, shape [3]"],
    [[{ data: new Float32Array(3), shape: [2] }], "output 'y': expected 2 float32 values, shape [2], got 3, shape [2]"],
  ])('refuses %j', (answer, message) => {
    expect(() => accept(2)(answer)).toThrow(expect.objectContaining({ code: 'PROTOCOL', message }))
  })

  it('names the output that is not finite, and says what to do', () => {
    const outputs = [
      { name: 'logits', shape: [2] },
      { name: 'mask', shape: [1, 2] },
    ]
    const answer = Float32Array.of(0, 1, 2, Number.NEGATIVE_INFINITY)
    expect(() => acceptAnswers({ inputs: [], outputs }, true)(tensorsOf(answer, outputs))).toThrow(
      "output 'mask': expected finite values, got -Infinity at 1, which cannot be coded or remembered; if it is the model that answers so, clamp it there (Clip)",
    )
    expect([
      ...acceptAnswers({ inputs: [], outputs }, true)(tensorsOf(Float32Array.of(0, 1, 2, 3), outputs)).vector,
    ]).toEqual([0, 1, 2, 3])
  })
})

describe('a payload', () => {
  it('has one vector, which is the data of a single tensor', () => {
    const one = tensorsOf(four, image)
    expect(new Payload(one).vector).toBe(four)
    const two = new Payload([...one, ...one])
    expect([...two.vector]).toEqual([1, 2, 3, 4, 1, 2, 3, 4])
    expect(two.vector).toBe(two.vector) // by which a group knows whose answer it was
  })
})
