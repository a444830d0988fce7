import { readFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { fileURLToPath } from 'node:url'
import { createPredictor, localWorkers } from 'approxifer'
import { describe, expect, it } from 'vitest'
import { inferRow } from '../../shared/vectors'
import { free } from '../../shared/worker-contract'

const lenet = fileURLToPath(new URL('../../../models/mnist-lenet.onnx', import.meta.url))

describe('real model in real threads', () => {
  it('answers like the model itself, shares its bytes, keeps the warnings', async () => {
    const bytes = readFileSync(lenet)
    const workers = await localWorkers({ model: bytes, workers: 3 })
    expect(workers.map((worker) => worker.name)).toEqual(['worker 0', 'worker 1', 'worker 2'])
    expect(workers[0].signature).toEqual({
      inputs: [{ name: 'input', shape: [1, 28, 28] }],
      outputs: [{ name: 'logits', shape: [10] }],
    })
    const row = Float32Array.from({ length: 784 }, (_, i) => (i % 7) / 7)
    const answers = await Promise.all(workers.map((worker) => inferRow(worker, row)))
    expect(answers[1]).toEqual(answers[0])
    expect(answers[2]).toEqual(answers[0])
    await Promise.all(workers.map((worker) => worker.close()))
  })

  it('a killed thread comes back with the model', async () => {
    const [worker] = await localWorkers({ model: lenet, workers: 1 })
    const row = new Float32Array(784)
    const before = await inferRow(worker, row)
    worker.restart?.('was killed')
    await free(worker)
    expect(await inferRow(worker, row)).toEqual(before)
    await worker.close()
  })

  it('a number of threads that would take all memory', async () => {
    const most = Math.max(64, 16 * availableParallelism())
    const message = (field: string) => `${field}: expected an integer from 1 to ${most}, got ${most + 1}`
    await expect(localWorkers({ model: lenet, workers: most + 1 })).rejects.toThrow(message('workers'))
    await expect(createPredictor({ model: lenet, workers: most + 1 })).rejects.toThrow(message('workers'))
  })

  it('a missing file, a wrong kind of model, no model at all', async () => {
    await expect(localWorkers({ model: 'no/such.onnx', workers: 1 })).rejects.toMatchObject({
      code: 'MODEL',
      message: expect.stringContaining("'no/such.onnx' cannot be read"),
    })
    await expect(localWorkers({ model: Uint8Array.of(1, 2, 3), workers: 1 })).rejects.toMatchObject({ code: 'MODEL' })
    await expect(localWorkers({ model: 5 as unknown as string, workers: 1 })).rejects.toThrow(
      'model: expected a path, a URL or bytes, got 5',
    )
  })
})
