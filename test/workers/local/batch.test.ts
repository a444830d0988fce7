/** A local worker that is given several rows in one run. */

import { Worker } from 'node:worker_threads'
import { localWorkers, type ModelWorker } from 'approxifer'
import { afterEach, describe, expect, it } from 'vitest'
import { OnnxModel } from '../../../src/workers/onnx/model'
import { WHAT } from '../../fixtures/behaviour.js'
import { ask } from '../../shared/contract'
import { onnx } from '../../shared/onnx'

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
  const outcomes = (all: Promise<Float32Array>[]) =>
    Promise.all(
      all.map((one) =>
        one.then(
          (y) => [...y],
          ({ code }) => code,
        ),
      ),
    )

  it('answers each row as if it were alone; what is wrong with one costs no other its answer', async () => {
    const worker = await started()
    const all = worker.inferBatch([
      ask('answer', 1),
      ask('throws'),
      ask('notANumber'),
      ask('wrongLength'),
      ask('answer', 2),
    ])
    expect(await outcomes(all)).toEqual([[2, 2], 'WORKER', 'PROTOCOL', 'PROTOCOL', [3, 4]])
    expect(await outcomes(worker.inferBatch([ask('answer', 3), ask('answer', 4)]))).toEqual([
      [4, 6],
      [5, 8],
    ])
  })

  it('an abort of one row rejects that one at once; a death rejects all; afterwards it is well', async () => {
    const worker = await started()
    const abort = new AbortController()
    const signals = [abort.signal, new AbortController().signal]
    const all = worker.inferBatch([ask('slow', 1), ask('answer', 2)], { signals })
    abort.abort()
    expect(await outcomes(all)).toEqual(['ABORTED', [3, 4]])
    expect(await outcomes(worker.inferBatch([ask('answer'), ask('exits')]))).toEqual(['WORKER', 'WORKER'])
    expect(await outcomes(worker.inferBatch([ask('answer'), ask('answer')]))).toEqual(['WORKER', 'WORKER']) // not yet
  })

  it('takes no more than it says, and none when it is closed', async () => {
    const worker = await started()
    const many = Array.from({ length: worker.maxBatch + 1 }, () => Float32Array.of(WHAT.answer, 0))
    await expect(Promise.any(worker.inferBatch(many))).rejects.toMatchObject({
      errors: many.map(() => expect.any(RangeError)),
    })
    const running = outcomes(worker.inferBatch([ask('slow'), ask('slow')]))
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
