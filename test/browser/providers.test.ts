import { createPredictor, localWorkers } from 'approxifer'
import { describe, expect, it } from 'vitest'

const model = new URL('../../models/mnist-lenet.onnx', import.meta.url)
const row = new Float32Array(784)

const createWorker = () => new Worker(new URL('../../dist/worker.webgpu.js', import.meta.url), { type: 'module' })

const WRONG = /^wrong answers with providers webgpu.*: values are [\d.e+]+ % of their size off those of the CPU/

async function answer(providers?: string[]): Promise<Float32Array> {
  const [worker] = await localWorkers({ model, workers: 1, providers, ...(providers && { createWorker }) })
  const [{ data: logits }] = await worker.infer([{ data: row, shape: [1, 28, 28] }])
  await worker.close()
  return logits as Float32Array
}

describe('execution providers', () => {
  it('webgpu where there is one, else wasm: the same answer, or it is refused with its worst difference', async () => {
    const [gpu, wasm] = [await answer(['webgpu', 'wasm']).catch((error) => error), await answer()]
    if (gpu instanceof Error) expect(gpu).toMatchObject({ code: 'MODEL', message: expect.stringMatching(WRONG) })
    else expect(Math.max(...gpu.map((value: number, i: number) => Math.abs(value - wasm[i])))).toBeLessThan(1e-2)
  })

  it('webgpu alone works, or is refused with what is missing, or wrong; so are four of a kind', async ({ task }) => {
    const outcome = await answer(['webgpu']).catch((error) => error)
    task.meta.webgpu = outcome instanceof Float32Array ? 'answers' : WRONG.test(outcome.message) ? 'refused' : 'none'
    if (outcome instanceof Float32Array) return expect(outcome).toHaveLength(10)
    const adapter = await (navigator as { gpu?: { requestAdapter(): Promise<{ info: { architecture: string } }> } }).gpu?.requestAdapter() // biome-ignore format: one line
    const isSwiftShader = adapter?.info.architecture === 'swiftshader'
    expect(outcome).toMatchObject({
      code: 'MODEL',
      message: isSwiftShader
        ? expect.stringMatching(WRONG)
        : expect.stringContaining('the model cannot be loaded with providers webgpu of onnxruntime-web: '),
    })
    if (!isSwiftShader) return
    const four = createPredictor({ model, workers: 4, scheme: { queries: 1, byzantine: 1 }, onnx: { providers: ['webgpu'], createWorker } }) // biome-ignore format: one line
    await expect(four).rejects.toMatchObject({ code: 'MODEL', message: expect.stringMatching(WRONG) })
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
