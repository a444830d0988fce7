import { readFileSync } from 'node:fs'
import { createPredictor, localWorkers } from 'approxifer'
import { describe, expect, it, vi } from 'vitest'
import { OnnxModel } from '../../../src/workers/onnx/model'
import type { OnnxOptions } from '../../../src/workers/onnx/options'
import { onnx, types } from '../../shared/onnx'

const x = { name: 'x', shape: ['batch', 3] }
const y = { name: 'y', shape: ['batch', 3] }
const neg = { op: 'Neg', inputs: ['x'], outputs: ['y'] }

const load = (bytes: Uint8Array, options?: OnnxOptions) => OnnxModel.load(bytes, options)

describe('accepted', () => {
  it('one float input, one float output, in batches', async () => {
    const model = await load(onnx([x], [y], [neg]))
    expect(model.signature).toEqual({ inputs: [{ name: 'x', shape: [3] }], outputs: [{ name: 'y', shape: [3] }] })
    expect(model.batches).toBe(true)
    expect([...(await model.infer(Float32Array.of(1, 2, 3, 4, 5, 6), 2))]).toEqual([-1, -2, -3, -4, -5, -6])
  })

  it('several inputs and outputs: a row is their data in order, alone and in batches', async () => {
    const [a, b] = ['a', 'b'].map((name) => ({ name, shape: ['batch', 2] }))
    const [s, d] = ['s', 'd'].map((name) => ({ name, shape: ['batch', 2] }))
    const nodes = [
      { op: 'Add', inputs: ['a', 'b'], outputs: ['s'] },
      { op: 'Sub', inputs: ['a', 'b'], outputs: ['d'] },
    ]
    const model = await load(onnx([a, b], [s, d], nodes))
    expect([...(await model.infer(Float32Array.of(1, 2, 10, 20)))]).toEqual([11, 22, -9, -18])
    const two = Float32Array.of(1, 2, 10, 20, 3, 4, 30, 40)
    expect([...(await model.infer(two, 2))]).toEqual([11, 22, -9, -18, 33, 44, -27, -36])
    const one = await load(onnx([a, b], [s, d], nodes), { outputs: ['d'] })
    expect([...(await one.infer(two, 2))]).toEqual([-9, -18, -27, -36])
  })

  it('a batch dimension of 1: rows run one by one', async () => {
    const model = await load(onnx([{ ...x, shape: [1, 3] }], [{ ...y, shape: [1, 3] }], [neg]))
    expect(model.batches).toBe(false)
    expect([...(await model.infer(Float32Array.of(1, 2, 3, 4, 5, 6), 2))]).toEqual([-1, -2, -3, -4, -5, -6])
  })

  it('answers that sixteen queries in one run change, but two do not: rows run one by one', async () => {
    const nodes: Parameters<typeof onnx>[2] = [
      { op: 'Shape', inputs: ['x'], outputs: ['n'], ints: { start: 0, end: 1 } },
      { op: 'Cast', inputs: ['n'], outputs: ['real'], ints: { to: types.float32 } },
      { op: 'Log', inputs: ['real'], outputs: ['log'] },
      { op: 'Floor', inputs: ['log'], outputs: ['more'] }, // 0, 0, .., 2
      { op: 'Add', inputs: ['x', 'more'], outputs: ['y'] },
    ]
    expect((await load(onnx([x], [y], nodes))).batches).toBe(false)
  })

  it('other dynamic dimensions: each query has its own, unless the caller fixes them', async () => {
    const bytes = onnx([{ ...x, shape: ['batch', 'n'] }], [{ ...y, shape: ['batch', 'n'] }], [neg])
    const open = await load(bytes)
    expect(open.signature).toEqual({ inputs: [{ name: 'x', shape: [-1] }], outputs: [{ name: 'y', shape: [-1] }] })
    for (const n of [1, 5]) {
      const [{ data, shape }] = await open.run([{ data: new Float32Array(n).fill(2), shape: [1, n] }])
      expect([[...data], shape]).toEqual([Array.from({ length: n }, () => -2), [1, n]])
    }
    const model = await load(bytes, { inputShapes: { x: [2] } })
    expect([...(await model.infer(Float32Array.of(1, 2)))]).toEqual([-1, -2])
    await expect(load(bytes, { inputShapes: { x: [2, 2] } })).rejects.toMatchObject({ code: 'MODEL' })
  })

  it('an integer output, and one that is excluded', async () => {
    const nodes = [neg, { op: 'ArgMax', inputs: ['x'], outputs: ['class'], ints: { axis: 1 } }]
    const outputs = [y, { name: 'class', shape: ['batch', 1], type: types.int64 }]
    const model = await load(onnx([x], outputs, nodes), { outputs: ['y'] })
    expect(model.signature.outputs).toEqual([{ name: 'y', shape: [3] }])
    const both = await load(onnx([x], outputs, nodes))
    expect(both.signature.outputs[1]).toEqual({ name: 'class', shape: [1], type: 'int64' })
    const [, { data }] = await both.run([{ data: Float32Array.of(1, 3, 2), shape: [1, 3] }])
    expect(data).toEqual(BigInt64Array.of(1n))
  })

  it.each([
    ['None', null],
    ['-1', -1],
    ['-2', -2],
    ["''", ''],
  ])('dimensions without a name, written as %s, are dynamic', async (_, dim) => {
    const batch = onnx([{ ...x, shape: [dim, 3] }], [{ ...y, shape: [dim, 3] }], [neg])
    const model = await load(batch)
    expect(model.batches).toBe(true)
    expect([...(await model.infer(Float32Array.of(1, 2, 3, 4, 5, 6), 2))]).toEqual([-1, -2, -3, -4, -5, -6])

    const image = onnx([{ ...x, shape: ['N', 3, dim, dim] }], [{ ...y, shape: [dim, 3, dim, dim] }], [neg])
    expect((await load(image)).signature.inputs).toEqual([{ name: 'x', shape: [3, -1, -1] }])
    await expect(load(image, { inputShapes: { x: [1, 2, 2] } })).rejects.toMatchObject({
      message: expect.stringContaining('inputShapes.x: expected a shape that fits [3,?,?], got [1,2,2]; pass'),
    })
    expect((await load(image, { inputShapes: { x: [3, 1, 2] } })).signature.outputs).toEqual([
      { name: 'y', shape: [3, 1, 2] },
    ])
  })

  it('an input called __proto__ or constructor', async () => {
    for (const name of ['__proto__', 'constructor', 'toString']) {
      const bytes = onnx([{ name, shape: ['batch', 'n'] }], [y], [{ ...neg, inputs: [name] }])
      const model = await load(bytes, { inputShapes: { [name]: [3] } })
      expect(model.signature.inputs).toEqual([{ name, shape: [3] }])
      expect([...(await model.infer(Float32Array.of(1, 2, 3, 4, 5, 6), 2))]).toEqual([-1, -2, -3, -4, -5, -6])
    }
  })

  it('an input called __proto__, through threads and a predictor', async () => {
    const name = '__proto__'
    const model = onnx([{ name, shape: [null, null] }], [y], [{ ...neg, inputs: [name] }])
    const scheme = { queries: 2, stragglers: 1 }
    const predictor = await createPredictor({ model, scheme, onnx: { inputShapes: { [name]: [3] } } })
    const { output } = await predictor.predict({ [name]: Float32Array.of(1, 2, 3) })
    expect([...output.y.data]).toEqual([-1, -2, -3])
    await predictor.close()
  })

  it('an output called __proto__ that is excluded', async () => {
    const bytes = onnx([x], [y, { ...y, name: '__proto__' }], [neg, { ...neg, outputs: ['__proto__'] }])
    const model = await load(bytes, { outputs: ['y'] })
    expect([...(await model.infer(Float32Array.of(1, 2, 3)))]).toEqual([-1, -2, -3])
  })

  it('one value, a million values', async () => {
    const sum = { op: 'ReduceSum', inputs: ['x'], outputs: ['y'], ints: { keepdims: 1 } }
    const one = await load(onnx([x], [{ ...y, shape: [1, 1] }], [sum]))
    expect([...(await one.infer(Float32Array.of(1, 2, 3)))]).toEqual([6])
    expect(one.warnings).toEqual([])

    const shape = { op: 'Constant', inputs: [], outputs: ['shape'], ints: { value_ints: [1, 1_000_000] } }
    const nodes = [shape, sum, { op: 'Expand', inputs: ['y', 'shape'], outputs: ['wide'] }]
    const million = await load(onnx([{ ...x, shape: [1, 3] }], [{ name: 'wide', shape: [1, null] }], nodes))
    expect(million.signature.outputs).toEqual([{ name: 'wide', shape: [1_000_000] }])
    expect((await million.infer(Float32Array.of(1, 2, 3))).every((value) => value === 6)).toBe(true)
    expect(million.warnings).toEqual([])
  })
})

describe('warnings', () => {
  const map = ['batch', 4, 5, 6]
  const warningsOf = async (nodes: Parameters<typeof onnx>[2], shape = map) =>
    (await load(onnx([{ ...x, shape }], [{ ...y, shape }], nodes))).warnings
  const softmax = (axis: number) => [{ op: 'Softmax', inputs: ['x'], outputs: ['y'], ints: { axis } }]
  const sigmoid = [{ op: 'Sigmoid', inputs: ['x'], outputs: ['y'] }]

  it.each([1, 2, 3])('a softmax along axis %i', async (axis) => {
    const text = `output 'y' looks like probabilities, summing to 1 along axis ${axis} of [1,4,5,6]: `
    expect(await warningsOf(softmax(axis))).toEqual([expect.stringContaining(text)])
  })

  it('a softmax over classes', async () => {
    const text = "output 'y' looks like probabilities, summing to 1 along axis 1 of [1,3]: "
    expect(await warningsOf(softmax(1), ['batch', 3])).toEqual([expect.stringContaining(text)])
  })

  it('a softmax over a whole map', async () => {
    const flatten = { op: 'Flatten', inputs: ['x'], outputs: ['flat'], ints: { axis: 1 } }
    const over = { op: 'Softmax', inputs: ['flat'], outputs: ['p'], ints: { axis: 1 } }
    const nodes = [
      flatten,
      over,
      { op: 'Shape', inputs: ['x'], outputs: ['s'] },
      { op: 'Reshape', inputs: ['p', 's'], outputs: ['y'] },
    ]
    expect(await warningsOf(nodes)).toEqual([expect.stringContaining('summing to 1 along all axes of [1,4,5,6]')])
  })

  it.each([
    ['a sigmoid map', sigmoid, map],
    ['a sigmoid over two classes, which are one half each for zeros', sigmoid, ['batch', 2]],
    ['a softmax over a single class, which is always 1', softmax(1), ['batch', 1]],
    ['a softmax along the batch', softmax(0), ['batch', 3]],
    ['logits', [neg], map],
  ])('none for %s', async (_, nodes, shape) => {
    expect(await warningsOf(nodes, shape)).toEqual([])
  })

  it('none for two constants that happen to sum to 1', async () => {
    const zeros = { op: 'Sub', inputs: ['x', 'x'], outputs: ['zeros'] }
    expect(await warningsOf([zeros, { ...sigmoid[0], inputs: ['zeros'] }], ['batch', 2])).toEqual([])
  })

  it('none for the bundled model', async () => {
    expect((await load(readFileSync('models/mnist-lenet.onnx'))).warnings).toEqual([])
  })

  it('a model that answers -Inf or NaN, before a coded answer fails because of it', async () => {
    const log = { op: 'Log', inputs: ['x'], outputs: ['y'] }
    expect(await warningsOf([log], ['batch', 3])).toEqual([
      "output 'y' is -Infinity at 0 for a query of values from 0 to 1: an answer with NaN or Inf cannot be coded nor learned, and counts as a worker's fault where answers are; clamp it in the model (Clip), or leave the output out (option outputs)",
    ])
    const norm = { op: 'Div', inputs: ['x', 'sum'], outputs: ['y'] }
    const sum = { op: 'ReduceSum', inputs: ['x'], outputs: ['sum'] }
    expect(await warningsOf([sum, norm], ['batch', 3])).toEqual([
      expect.stringContaining("output 'y' is NaN at 0 for a query of zeros: "),
    ])

    const onWarning = vi.fn()
    const model = onnx([x], [y], [log])
    const [worker] = await localWorkers({ model, workers: 1, onWarning })
    expect(onWarning).toHaveBeenCalledTimes(1)
    const predictor = await createPredictor({ workers: [worker], scheme: { queries: 1 } })
    const { output } = await predictor.predict(Float32Array.of(1, 1, 1))
    expect([...output.y.data]).toEqual([0, 0, 0])
    await expect(predictor.predict(Float32Array.of(1, -1, 1))).rejects.toMatchObject({
      code: 'WORKER',
      message: expect.stringMatching(
        /: output 'y': expected finite values, got NaN at 1, which cannot be coded or remembered; .*Clip/,
      ),
    })
    await predictor.close()
  })
})

describe('of every type and any shape', () => {
  const identity = { ...neg, op: 'Identity' }
  const real = [
    Float32Array.of(-0, 1.5, Number.NaN),
    Float64Array.of(1e300, -0, 0.1),
    Uint16Array.of(0x3c00, 0xfc00, 1),
  ]
  const whole = [
    ...[Int8Array.of(-128, 127, 0), Int16Array.of(-32768, 32767, 0), Int32Array.of(-(2 ** 31), 2 ** 31 - 1, 0)],
    ...[Uint8Array.of(0, 255, 1), Uint16Array.of(0, 65535, 1), Uint32Array.of(0, 2 ** 32 - 1, 1)],
    ...[BigInt64Array.of(-(2n ** 63n), 2n ** 63n - 1n, 0n), BigUint64Array.of(0n, 2n ** 64n - 1n, 1n)],
  ]
  it.each([
    ...(['float32', 'float64', 'float16'] as const).map((type, i) => [type, real[i]] as const),
    ...(['int8', 'int16', 'int32', 'uint8', 'uint16', 'uint32', 'int64', 'uint64'] as const).map(
      (type, i) => [type, whole[i]] as const,
    ),
    ['bool', Uint8Array.of(1, 0, 1)] as const,
    ['string', ['a', '', 'Grüße, \u{1f600}']] as const,
  ])('%s comes back as it went in', async (type, data) => {
    const model = await load(onnx([{ ...x, type: types[type] }], [{ ...y, type: types[type] }], [identity]))
    const spec = type === 'float32' ? {} : { type }
    expect(model.signature.inputs).toEqual([{ name: 'x', shape: [3], ...spec }])
    const [answer] = await model.run([{ data, shape: [1, 3], type }])
    expect(answer).toEqual({ data, shape: [1, 3], ...spec })
  })

  it.each([
    ['a fixed batch above 1', onnx([{ ...x, shape: [2, 3] }], [{ ...y, shape: [2, 3] }], [neg]), [2, 3]],
    [
      'an output without the batch',
      onnx([x], [{ ...y, shape: [] }], [{ op: 'ReduceSum', inputs: ['x'], outputs: ['y'], ints: { keepdims: 0 } }]),
      [1, 3],
    ],
    ['an input without dimensions', onnx([{ ...x, shape: [] }], [{ ...y, shape: [] }], [neg]), []],
  ])('%s: shapes are whole, and queries go one by one', async (_, bytes, shape) => {
    const model = await load(bytes)
    expect([model.signature.inputs[0].shape, model.signature.batched, model.batches]).toEqual([shape, false, false])
    const count = shape.reduce((product, n) => product * n, 1)
    const [{ data }] = await model.run([{ data: new Float32Array(count).fill(1), shape }])
    expect(Math.abs(Number(data[0]))).toBeGreaterThan(0)
  })

  it('a state with the batch in second place, and a setting without dimensions', async () => {
    const state = { name: 'state', shape: [2, null, 8] }
    const rate = { name: 'rate', shape: [], type: types.int64 }
    const { signature } = await load(onnx([x, state, rate], [y], [neg]))
    expect(signature).toMatchObject({
      inputs: [{}, { shape: [2, -1, 8] }, { shape: [], type: 'int64' }],
      batched: false,
    })
  })

  it('an output whose shape depends on the data', async () => {
    const nonZero = { op: 'NonZero', inputs: ['x'], outputs: ['y'] }
    const model = await load(onnx([x], [{ ...y, shape: [2, 'n'], type: types.int64 }], [nonZero]))
    expect(model.signature.outputs).toEqual([{ name: 'y', shape: [2, -1], type: 'int64' }])
    const [{ data, shape }] = await model.run([{ data: Float32Array.of(0, 1, 0), shape: [1, 3] }])
    expect([data, shape]).toEqual([BigInt64Array.of(0n, 1n), [2, 1]])
  })
})

describe('refused, with a sentence that says what to do', () => {
  const bfloat16 = onnx([{ ...x, type: 16 }], [{ ...y, type: 16 }], [{ ...neg, op: 'Identity' }])

  it.each([
    ['a bfloat16 input', bfloat16, /bfloat16|the model cannot be loaded/],
    [
      'a dimension of 0 in the batch',
      onnx([{ ...x, shape: [0, 3] }], [y], [neg]),
      /input 'x': expected dimensions above 0, got \[0,3\]; export the model without this empty input/,
    ],
    [
      'a dimension of 0 elsewhere',
      onnx([{ ...x, shape: ['batch', 0, null] }], [{ ...y, shape: ['batch', 0, null] }], [neg]),
      /input 'x': expected dimensions above 0, got \[batch,0,\?\]; export the model without this empty input/,
    ],
    [
      'an output called __proto__, under which onnxruntime gives nothing back',
      onnx([x], [{ ...y, name: '__proto__' }], [{ ...neg, outputs: ['__proto__'] }]),
      /output: expected a name that onnxruntime can answer under, got __proto__; rename it/,
    ],
    [
      'no input',
      onnx([], [y], [{ op: 'Constant', inputs: [], outputs: ['y'], ints: { value_ints: [1] } }]),
      /the model: expected at least one input, got none/,
    ],
    ['no model at all', Uint8Array.of(1, 2, 3), /the model cannot be loaded/],
  ])('%s', async (_, bytes, message) => {
    await expect(load(bytes)).rejects.toMatchObject({ code: 'MODEL', message: expect.stringMatching(message) })
  })

  it('an output without values', async () => {
    const shape = { op: 'Constant', inputs: [], outputs: ['shape'], ints: { value_ints: [1, 0] } }
    const nodes = [shape, { op: 'ConstantOfShape', inputs: ['shape'], outputs: ['none'] }, neg]
    const bytes = onnx([x], [y, { name: 'none', shape: [1, null] }], nodes)
    await expect(load(bytes)).rejects.toMatchObject({
      message:
        "output 'none': expected dimensions above 0, got [1,0]; exclude this empty output with the option outputs",
    })
    expect((await load(bytes, { outputs: ['y'] })).signature.outputs).toEqual([{ name: 'y', shape: [3] }])
  })

  it('a provider that the runtime does not have', async () => {
    await expect(load(onnx([x], [y], [neg]), { providers: ['warp'] })).rejects.toMatchObject({
      code: 'MODEL',
      message: expect.stringMatching(
        /the model cannot be loaded with providers warp of onnxruntime-web: .*\[warp\] backend not found/,
      ),
    })
  })

  it('an output that does not exist', async () => {
    await expect(load(onnx([x], [y], [neg]), { outputs: ['z'] })).rejects.toMatchObject({
      code: 'MODEL',
      message: 'outputs: expected names among y, got z; correct the option',
    })
  })
})

describe('options, before anything is loaded', () => {
  it.each([
    [{ outputs: 'y' }, TypeError, 'outputs: expected an array of strings, got "y"'],
    [{ outputs: [] }, RangeError, 'outputs: expected at least one, got []'],
    [{ outputs: ['y', 1] }, TypeError, 'outputs[1]: expected a string, got 1'],
    [{ outputs: ['y', 'z', 'y'] }, RangeError, 'outputs[2]: expected every name once, got y again'],
    [{ providers: [] }, RangeError, 'providers: expected at least one, got []'],
    [{ providers: [{ name: 'wasm' }] }, TypeError, 'providers[0]: expected a string, got Object'],
    [{ inputShapes: [3] }, TypeError, 'inputShapes: expected an object of shapes by input, got Array'],
    [{ inputShapes: { x: 3 } }, TypeError, 'inputShapes.x: expected an array of integers, got 3'],
    [{ inputShapes: { x: [3, 0] } }, RangeError, 'inputShapes.x[1]: expected an integer >= 1, got 0'],
    [{ inputShapes: { x: [2.5] } }, RangeError, 'inputShapes.x[0]: expected an integer >= 1, got 2.5'],
    [
      { runtime: 'tensorflow' },
      RangeError,
      `runtime: expected 'onnxruntime-web' | 'onnxruntime-node', got "tensorflow"`,
    ],
  ])('%j', async (options, type, message) => {
    const error = await load(onnx([x], [y], [neg]), options as OnnxOptions).catch((error) => error)
    expect(error).toBeInstanceOf(type)
    expect(error.message).toBe(message)
    const none = await localWorkers({ model: Uint8Array.of(1), workers: 1, ...(options as OnnxOptions) }).catch(
      (e) => e,
    )
    expect([none.constructor, none.message]).toEqual([type, message])
  })
})
