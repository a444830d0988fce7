/** Servers whose models take and give other things than float32, or lengths that differ. */

import { describe, expect, it, onTestFinished } from 'vitest'
import { probeQuery } from '../../../src/base/probe-query'
import type { Signature, TensorList } from '../../../src/base/tensor'
import type { HttpOptions } from '../../../src/workers/http/options'
import { type HttpWorker, httpWorker } from '../../../src/workers/http/worker'
import { anotherQuery, isSameModel } from '../../../src/workers/remote/model'
import { echoGateway } from '../../shared/echo'
import { bitsOfAll, everyType, everyValue } from '../../shared/element-values'
import { errorReply, startWorker } from '../../shared/http-worker'
import { PretendServer } from '../../shared/simulated-server'

async function echoing(signature: Signature, options: Partial<HttpOptions> = {}) {
  const { fetch, asked } = await echoGateway(signature)
  const worker = (await httpWorker('http://there:8000', { model: 'm', fetch, ...options })) as HttpWorker
  onTestFinished(() => worker.close())
  const probed = asked.splice(0)
  return { worker, asked, probed }
}

describe.each([
  [true, true],
  [true, false],
  [false, true],
  [false, false],
])('every type (binary: %s, lengths that differ: %s)', (binary, isOpen) => {
  it('comes to the server and back as it was sent, alone and in a batch, to the bit', async () => {
    const signature = everyType(isOpen)
    const { worker, asked } = await echoing(signature, { binary })
    expect(worker.signature).toEqual(signature)
    expect(worker.maxBatch).toBe(16)
    expect(bitsOfAll(await worker.infer(everyValue()))).toEqual(bitsOfAll(everyValue()))
    const queries = [1, 2, 3].map(everyValue)
    const answers = await Promise.all(worker.inferBatch(queries))
    expect(answers.map(bitsOfAll)).toEqual(queries.map(bitsOfAll))
    expect(asked.slice(1).map(bitsOfAll)).toEqual(queries.map(bitsOfAll))
  })

  it('a model without a batch dimension is asked one query at a time', async () => {
    const signature: Signature = { ...everyType(isOpen), batched: false }
    const { worker } = await echoing(signature, { binary })
    expect([worker.signature, worker.maxBatch]).toEqual([signature, 1])
    expect(bitsOfAll(await worker.infer(everyValue()))).toEqual(bitsOfAll(everyValue()))
  })
})

describe('lengths that differ', () => {
  const tokens: Signature = {
    inputs: [{ name: 'ids', shape: [-1], type: 'int64' }],
    outputs: [{ name: 'y', shape: [-1], type: 'int64' }],
  }
  const ids = (...all: number[]): TensorList => [
    { data: BigInt64Array.from(all, BigInt), shape: [all.length], type: 'int64' },
  ]

  it('queries of other shapes are not for one batch, and each says so', async () => {
    const { worker, asked } = await echoing(tokens)
    const outcomes = await Promise.allSettled(worker.inferBatch([ids(1, 2), ids(1, 2, 3)]))
    const reason = new RangeError('queries: expected equal shapes in one batch, got [2] beside [3]')
    expect(outcomes).toEqual([1, 2].map(() => ({ status: 'rejected', reason })))
    expect(asked).toEqual([])
    await expect(worker.infer([{ data: Float32Array.of(1), shape: [1] }])).rejects.toThrow(
      'query: expected tensors of int64 [?], got Array',
    )
  })

  it('the probe asks for tokens of any vocabulary, and what it is told to', async () => {
    const { probed } = await echoing(tokens)
    expect(probed[0]).toEqual(ids(1, 0, 1, 0, 1, 0, 1, 0))
    const others = probed.slice(1).map(([{ data }]) => [...(data as BigInt64Array)])
    expect(others.flat().every((id) => id === 0n || id === 1n)).toBe(true)
    const query = { data: BigInt64Array.of(101n, 102n) }
    expect((await echoing(tokens, { probe: { query } })).probed[0]).toEqual(ids(101, 102))
  })

  it('a model that does not take the probe says what to do', async () => {
    const server = new PretendServer()
    server.metadata = { ...server.metadata, inputs: [{ name: 'x', datatype: 'INT64', shape: [-1, -1] }] }
    server.instead = ({ method }) => (method === 'POST' ? errorReply(400, 'index 1 is out of range') : undefined)
    const { started, clock } = await startWorker({ timeoutMs: 1000 }, server)
    await clock.run(1000)
    await expect(started).rejects.toMatchObject({
      code: 'WORKER',
      message: expect.stringMatching(
        /answers 400: index 1 is out of range; the option probe.query says what to ask it/,
      ),
    })
  })

  it('a reply with lengths that do not fit is none', async () => {
    const server = new PretendServer()
    server.metadata = {
      inputs: [{ name: 'x', datatype: 'FP32', shape: [-1, 2] }],
      outputs: [{ name: 'y', datatype: 'FP32', shape: [-1, -1, 2] }],
    }
    server.factor = 1
    const { started, clock } = await startWorker({ timeoutMs: 1000 }, server)
    await clock.run(1000)
    await expect(started).rejects.toMatchObject({
      code: 'PROTOCOL',
      message: expect.stringMatching(/outputs\[0\].shape: expected \[1,\?,2\], got \[1,2\]/),
    })
  })
})

describe('one model and another', () => {
  const signature = everyType(true)
  const query = probeQuery(signature)
  const changed = (name: string, change: (data: never) => unknown): TensorList =>
    everyValue().map((tensor, i) =>
      signature.inputs[i].name === name ? { ...tensor, data: change(tensor.data as never) as never } : tensor,
    )
  const isSame = (answer: TensorList) => isSameModel({ signature, answer: everyValue() }, { signature, answer }, 1e-3)

  it('integers, strings and booleans are equal; real numbers are near, by each output’s own size', () => {
    expect(isSame(everyValue())).toBe(true)
    expect(isSame(changed('in_int64', (data: BigInt64Array) => data.map((x, i) => (i ? x : x + 1n))))).toBe(false)
    expect(isSame(changed('in_string', (data: string[]) => data.with?.(0, 'x') ?? ['x', ...data.slice(1)]))).toBe(false)
    expect(isSame(changed('in_bool', (data: Uint8Array) => data.map((x) => 1 - x)))).toBe(false)
    expect(isSame(changed('in_float16', (data: Uint16Array) => data.map((x, i) => (i === 5 ? x - 1 : x))))).toBe(true)
    expect(isSame(changed('in_float16', (data: Uint16Array) => data.map((x, i) => (i === 5 ? x - 99 : x))))).toBe(false)
    expect(isSame(changed('in_float64', (data: Float64Array) => data.map((x) => (x > 1e9 ? Number.NaN : x))))).toBe(
      false,
    )
    expect(isSame(everyValue().map((tensor) => ({ ...tensor, shape: [10] })))).toBe(false)
  })

  it('an answer that is no number is the same where it is again', () => {
    const small: Signature = { inputs: [{ name: 'x', shape: [1] }], outputs: [{ name: 'y', shape: [1] }] }
    const answering = (...data: number[]) => {
      return { signature: small, answer: [{ data: Float32Array.from(data), shape: [3] }] }
    }
    const own = answering(1, Number.NaN, -Infinity)
    expect(isSameModel(own, answering(1.0001, Number.NaN, -Infinity), 1e-3)).toBe(true)
    for (const other of [
      [1.1, Number.NaN, -Infinity],
      [1, 0, -Infinity],
      [1, Number.NaN, 0],
      [1, Number.NaN, Infinity],
    ]) {
      // biome-ignore format: one line
      expect(isSameModel(own, answering(...other), 1e-3)).toBe(false)
    }
  })

  it('queries of a batch differ in all that may', () => {
    for (let n = 2; n < 17; n++) {
      anotherQuery(query, n).forEach(({ data, type }, i) => {
        const same = String(data) === String(query[i].data)
        if (type !== 'string' && same) expect(type).not.toMatch(/float/)
      })
    }
  })
})
