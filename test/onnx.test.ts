import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { OnnxModel, type OnnxOptions } from '../src/workers/onnx'
import { onnx, types } from './shared/onnx'

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

  it('other dynamic dimensions, when the caller fixes them', async () => {
    const bytes = onnx([{ ...x, shape: ['batch', 'n'] }], [{ ...y, shape: ['batch', 'n'] }], [neg])
    const model = await load(bytes, { inputShapes: { x: [2] } })
    expect([...(await model.infer(Float32Array.of(1, 2)))]).toEqual([-1, -2])
    await expect(load(bytes)).rejects.toMatchObject({
      code: 'MODEL',
      message: expect.stringContaining('pass inputShapes: { "x": [...] }'),
    })
    await expect(load(bytes, { inputShapes: { x: [2, 2] } })).rejects.toMatchObject({ code: 'MODEL' })
  })

  it('a float16 or integer output that is excluded', async () => {
    const nodes = [neg, { op: 'ArgMax', inputs: ['x'], outputs: ['class'], ints: { axis: 1 } }]
    const outputs = [y, { name: 'class', shape: ['batch', 1], type: types.int64 }]
    const model = await load(onnx([x], outputs, nodes), { outputs: ['y'] })
    expect(model.signature.outputs).toEqual([{ name: 'y', shape: [3] }])
    await expect(load(onnx([x], outputs, nodes))).rejects.toMatchObject({
      message: "output 'class': expected float32, got int64; name the float32 outputs to use in the option outputs",
    })
  })

  it('probabilities, with a warning', async () => {
    const model = await load(onnx([x], [y], [{ op: 'Softmax', inputs: ['x'], outputs: ['y'] }]))
    expect(model.warnings).toEqual([expect.stringContaining("output 'y' looks like probabilities")])
    const logits = await load(readFileSync('models/mnist-lenet.onnx'))
    expect(logits.warnings).toEqual([])
  })
})

describe('refused, with a sentence that says what to do', () => {
  const typed = (type: number) => onnx([{ ...x, type }], [{ ...y, type }], [{ ...neg, op: 'Identity' }])
  const nonZero = [
    { op: 'NonZero', inputs: ['x'], outputs: ['at'] },
    { op: 'Cast', inputs: ['at'], outputs: ['y'], ints: { to: types.float32 } },
  ]

  it.each([
    ['an int64 input', typed(types.int64), /input 'x': expected float32, got int64; .*export/],
    ['a float64 input', typed(types.float64), /input 'x': expected float32, got float64/],
    ['a float16 input', typed(types.float16), /input 'x': expected float32, got float16/],
    [
      'a fixed batch above 1',
      onnx([{ ...x, shape: [2, 3] }], [{ ...y, shape: [2, 3] }], [neg]),
      /input 'x': expected a first dimension that is dynamic or 1, got \[2,3\]; export the model with a dynamic batch/,
    ],
    [
      'an output whose shape depends on the data',
      onnx([x], [{ ...y, shape: [2, 'n'] }], nonZero),
      /output 'y': expected one shape, .*depends on the data/,
    ],
    [
      'an output without the batch',
      onnx([x], [{ ...y, shape: [] }], [{ op: 'ReduceSum', inputs: ['x'], outputs: ['y'], ints: { keepdims: 0 } }]),
      /output 'y': expected a first dimension equal to the batch, 1, got \[\]/,
    ],
    ['no model at all', Uint8Array.of(1, 2, 3), /the model cannot be loaded/],
  ])('%s', async (_, bytes, message) => {
    await expect(load(bytes)).rejects.toMatchObject({ code: 'MODEL', message: expect.stringMatching(message) })
  })

  it('an output that does not exist', async () => {
    await expect(load(onnx([x], [y], [neg]), { outputs: ['z'] })).rejects.toMatchObject({
      code: 'MODEL',
      message: 'outputs: expected names among y, got z; correct the option',
    })
  })
})
