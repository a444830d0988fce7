/** A local worker that is given several rows in one run. */

import { Worker } from 'node:worker_threads'
import { localWorkers, type ModelWorker } from 'approxifer'
import { afterEach, describe, expect, it } from 'vitest'
import type { TensorList } from '../../../src/base/tensor'
import { OnnxModel } from '../../../src/workers/onnx/model'
import { WHAT } from '../../fixtures/behaviour.js'
import { onnx } from '../../shared/onnx'
import { listOf } from '../../shared/vectors'
import { ask } from '../../shared/worker-contract'

describe('a local worker', () => {
  const open: ModelWorker[] = []
  afterEach(async () => {
    for (const worker of open.splice(0)) await worker.close()
  })
  const started = async () => {
    const createWorker = () => new Worker(new URL('../../fixtures/thread.js', import.meta.url))
    const [worker] = await localWorkers({ model: Uint8Array.of(1), workers: 1, createWorker })
    open.push(worker)
    return worker as ModelWorker & Required<Pick<ModelWorker, 'inferBatch' | 'maxBatch'>>
  }
  const asked = (...what: Parameters<typeof ask>) => listOf(ask(...what))
  const outcomes = (all: Promise<TensorList>[]) =>
    Promise.all(
      all.map((one) =>
        one.then(
          ([{ data }]) => [...data],
          ({ code }) => code,
        ),
      ),
    )

  it('answers each row as if it were alone; what is wrong with one costs no other its answer', async () => {
    const worker = await started()
    const all = worker.inferBatch([asked('answer', 1), asked('throws'), asked('wrongLength'), asked('answer', 2)])
    expect(await outcomes(all)).toEqual([[2, 2], 'WORKER', 'PROTOCOL', [3, 4]])
    expect(await outcomes(worker.inferBatch([asked('answer', 3), asked('answer', 4)]))).toEqual([
      [4, 6],
      [5, 8],
    ])
  })

  it('an abort of one row rejects that one at once; a death rejects all; afterwards it is well', async () => {
    const worker = await started()
    const abort = new AbortController()
    const signals = [abort.signal, new AbortController().signal]
    const all = worker.inferBatch([asked('slow', 1), asked('answer', 2)], { signals })
    abort.abort()
    expect(await outcomes(all)).toEqual(['ABORTED', [3, 4]])
    expect(await outcomes(worker.inferBatch([asked('answer'), asked('exits')]))).toEqual(['WORKER', 'WORKER'])
    expect(await outcomes(worker.inferBatch([asked('answer'), asked('answer')]))).toEqual(['WORKER', 'WORKER']) // not yet
  })

  it('says what a query must be', async () => {
    const worker = await started()
    const refused = (query: unknown) => worker.infer(query as TensorList).catch(String)
    expect(await refused(Float32Array.of(1, 2))).toBe(
      'RangeError: query: expected tensors of 2 values, got Float32Array',
    )
    expect(await refused(listOf(Float32Array.of(1)))).toBe('RangeError: query: expected tensors of 2 values, got Array')
    expect(await refused([])).toMatch('expected tensors of 2 values')
  })

  it('takes no more than it says, and none when it is closed', async () => {
    const worker = await started()
    const many = Array.from({ length: worker.maxBatch + 1 }, () => listOf(Float32Array.of(WHAT.answer, 0)))
    await expect(Promise.any(worker.inferBatch(many))).rejects.toMatchObject({
      errors: many.map(() => expect.any(RangeError)),
    })
    const running = outcomes(worker.inferBatch([asked('slow'), asked('slow')]))
    await worker.close()
    expect(await running).toEqual(['CLOSED', 'CLOSED'])
    expect(await outcomes(worker.inferBatch(many.slice(0, 2)))).toEqual(['CLOSED', 'CLOSED'])
  })

  it('takes one row a run where rows have an influence on each other, or do not fit into one', async () => {
    const [x, y] = ['x', 'y'].map((name) => ({ name, shape: ['batch', 3] }))
    const across = { op: 'Softmax', inputs: ['x'], outputs: ['y'], ints: { axis: 0 } }
    const model = await OnnxModel.load(onnx([x], [y], [across]))
    expect(model.batches).toBe(false)
    expect([...(await model.infer(new Float32Array(6), 2))]).toEqual([1, 1, 1, 1, 1, 1])
    const wide = { name: 'x', shape: ['batch', 2 ** 18] }
    const neg = { op: 'Neg', inputs: ['x'], outputs: ['y'] }
    const [worker] = await localWorkers({
      model: onnx([wide], [{ ...wide, name: 'y' }], [neg]),
      workers: 1,
      onWarning() {},
    })
    open.push(worker)
    expect(worker.maxBatch).toBe(1)
  })
})
