import { localWorkers } from 'approxifer'
import { describe, expect, it } from 'vitest'

const model = new URL('../../models/mnist-lenet.onnx', import.meta.url)
const row = new Float32Array(784)

const createWorker = () => new Worker(new URL('../../dist/worker.webgpu.js', import.meta.url), { type: 'module' })

async function answer(providers?: string[]): Promise<Float32Array> {
  const [worker] = await localWorkers({ model, workers: 1, providers, ...(providers && { createWorker }) })
  const [{ data: logits }] = await worker.infer([{ data: row, shape: [1, 28, 28] }])
  await worker.close()
  return logits as Float32Array
}

describe('execution providers', () => {
  it('webgpu where there is one, else wasm: the same answer', async () => {
    const [gpu, wasm] = [await answer(['webgpu', 'wasm']), await answer()]
    expect(Math.max(...gpu.map((value, i) => Math.abs(value - wasm[i])))).toBeLessThan(1e-2)
  })

  it('webgpu alone works, or is refused with what is missing', async () => {
    const outcome = await answer(['webgpu']).catch((error) => error)
    if (outcome instanceof Float32Array) return expect(outcome).toHaveLength(10)
    expect(outcome).toMatchObject({
      code: 'MODEL',
      message: expect.stringContaining('the model cannot be loaded with providers webgpu of onnxruntime-web: '),
    })
  })

  it('one that does not exist', async () => {
    await expect(answer(['warp'])).rejects.toMatchObject({
      code: 'MODEL',
      message: expect.stringContaining('with providers warp of onnxruntime-web: no available backend found'),
    })
  })

  it('the default worker, which has no large runtime, says which one has it', async () => {
    await expect(localWorkers({ model, workers: 1, providers: ['webgpu'] })).rejects.toMatchObject({
      code: 'MODEL',
      message: expect.stringContaining("'webgpu' needs the larger runtime: createWorker: () => new Worker("),
    })
  })

  it('native code is not for browsers', async () => {
    await expect(localWorkers({ model, workers: 1, runtime: 'onnxruntime-node' })).rejects.toThrow(
      `runtime: expected 'onnxruntime-web', got "onnxruntime-node"`,
    )
  })
})
