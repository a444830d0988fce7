/** Texts of different lengths in one run, on a real model and real threads: each is answered as it would be alone. */

import { readFileSync } from 'node:fs'
import { createPredictor, localWorkers, type ModelWorker, type Query } from 'approxifer'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { AnyTensor, TensorList } from '../../src/base/tensor'
import { Padding } from '../../src/predictor/padding'
import { OnnxModel } from '../../src/workers/onnx/model'
import { texts } from '../models/texts'
import { onnx } from '../shared/onnx'

const bytes = new Uint8Array(readFileSync(new URL('../models/text/embedder.onnx', import.meta.url)))
const tokens = (...values: number[]) => BigInt64Array.from(values, BigInt)
const text = (length: number, seed = 1) => ({
  input_ids: BigInt64Array.from({ length }, (_, i) => BigInt(5 + ((i * 31 + seed * 97) % 6000))),
  attention_mask: new BigInt64Array(length).fill(1n),
})
type Text = ReturnType<typeof text>

/** A worker that also tells of its runs: of each text in it how long it came, and how much of that its mask shows. */
function watched(worker: ModelWorker, runs: [length: number, shown: number][][]): ModelWorker {
  const inferBatch = (queries: readonly TensorList[], options: object) => {
    runs.push(queries.map(([{ shape }, { data }]) => [shape[0], (data as BigInt64Array).filter((one) => one).length]))
    return (worker as Required<ModelWorker>).inferBatch(queries, options)
  }
  return new Proxy(worker, {
    get: (own, name) => {
      const value = name === 'inferBatch' ? inferBatch : Reflect.get(own, name, own)
      return typeof value === 'function' ? value.bind(own) : value
    },
    set: (own, name, value) => Reflect.set(own, name, value, own),
  })
}

describe('limits.pad', () => {
  const runs: [number, number][][] = []
  let model: OnnxModel
  let predictor: Awaited<ReturnType<typeof createPredictor>>
  beforeAll(async () => {
    model = await OnnxModel.load(bytes)
    const workers = await localWorkers({ model: bytes, workers: 2, onWarning: () => {} })
    const limits = { pad: true }
    predictor = await createPredictor({
      workers: workers.map((each) => watched(each, runs)),
      limits,
      deadlineMs: 60_000,
    })
  })
  afterAll(() => Promise.all([predictor.close(), model.close()]))

  const ask = (query: Text, options = {}) => predictor.predict(query as unknown as Query, options)
  const alone = async ({ input_ids, attention_mask }: Text) => {
    const batch = [input_ids, attention_mask].map((data) => ({ data, shape: [1, data.length], type: 'int64' as const }))
    return (await model.run(batch)).map(({ data }) => data as Float32Array)
  }
  const expectAsAlone = async (
    query: Text,
    output: Record<string, { data: Float32Array; shape: readonly number[] }>,
  ) => {
    const [states, embedding] = await alone(query)
    expect(output.last_hidden_state.shape).toEqual([query.input_ids.length, 128])
    expect(output.sentence_embedding.shape).toEqual([128])
    const off = (a: Float32Array, b: Float32Array) => Math.max(...a.map((x, i) => Math.abs(x - b[i])))
    expect(off(states, output.last_hidden_state.data)).toBeLessThan(1e-4)
    expect(off(embedding, output.sentence_embedding.data)).toBeLessThan(1e-5)
  }

  it('texts up to the same power of two share runs, and each has the answer that it has alone', async () => {
    const lengths = [1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 40, 48, 63, 64]
    const queries = Array.from({ length: 360 }, (_, i) => text(lengths[i % lengths.length], i))
    const predictions = await Promise.all(queries.map((query) => ask(query)))
    for (const [i, { output, status }] of predictions.entries()) {
      expect(status).toBe('exact')
      if (i % 5 === 0 || i >= queries.length - lengths.length) await expectAsAlone(queries[i], output)
    }
    for (const run of runs) expect(new Set(run.map(([length]) => length)).size).toBe(1)
    const mixed = runs.filter((run) => new Set(run.map(([, shown]) => shown)).size > 1)
    expect(mixed.length).toBeGreaterThan(2)
    for (const run of mixed) expect(run.some(([length, shown]) => length === shown)).toBe(true) // no longer than it must be
  })

  it('descriptions of packages, some with zeros in their masks', async () => {
    const queries = texts(120).map(({ input_ids, attention_mask }, i): Text => {
      const mask = attention_mask.data.slice()
      if (i % 3 === 0) mask[mask.length - 1] = 0n
      return { input_ids: input_ids.data, attention_mask: mask }
    })
    const predictions = await Promise.all(queries.map((query) => ask(query)))
    for (let i = 0; i < queries.length; i += 3) await expectAsAlone(queries[i], predictions[i].output)
  })

  it('one that is too long for the model, or that leaves, costs no other its answer', async () => {
    const abort = new AbortController()
    const queries = Array.from({ length: 60 }, (_, i) => text(33 + (i % 32), i))
    const asked = queries.map((query, i) =>
      ask(query, i % 10 ? {} : { signal: abort.signal }).catch(({ code }) => code),
    )
    const long = ask(text(65)).catch(({ code }) => code)
    abort.abort()
    const outcomes = await Promise.all(asked)
    expect(outcomes.filter((_, i) => i % 10 === 0)).toEqual(Array(6).fill('ABORTED'))
    for (let i = 1; i < 60; i += 7) if (i % 10) await expectAsAlone(queries[i], outcomes[i].output)
    expect(await long).toBe('WORKER')
  })
})

it('two queries that look alike with zeros behind are different queries', async () => {
  const limits = { pad: true }
  const predictor = await createPredictor({
    model: bytes,
    workers: 1,
    limits,
    reuse: { exact: true },
    onWarning: () => {},
  })
  const short = { input_ids: tokens(7, 8, 9), attention_mask: tokens(1, 1, 1) }
  const long = { input_ids: tokens(7, 8, 9, 0), attention_mask: tokens(1, 1, 1, 0) }
  const shapes = async (queries: Text[]) => {
    const predictions = await Promise.all(queries.map((query) => predictor.predict(query as unknown as Query)))
    return predictions.map(({ output, reused = false }) => [...output.last_hidden_state.shape, reused])
  }
  expect(await shapes([short, long])).toEqual([
    [3, 128, false],
    [4, 128, false],
  ])
  expect((await shapes([short, long])).map(([length]) => length)).toEqual([3, 4])
  await predictor.close()
})

const masked = (node: Parameters<typeof onnx>[2][number], shape: (string | number)[]) =>
  onnx(
    ['x', 'attention_mask'].map((name) => ({ name, shape: ['batch', 'sequence'] })),
    [{ name: 'y', shape }],
    [node],
  )
const meaning = masked({ op: 'ReduceMean', inputs: ['x'], outputs: ['y'], ints: { axes: [1], keepdims: 0 } }, ['batch'])

it.each<[string, string | Uint8Array, string]>([
  ['without a mask', 'models/mnist-lenet.onnx', 'input [1,28,28]'],
  ['that does not look at it', meaning, 'x [?], attention_mask [?]'],
])('is refused for a model %s', async (_, model, inputs) => {
  const limits = { pad: true }
  const made = createPredictor({ model, workers: 1, limits, onWarning: () => {} })
  const what = "a model with batches and an input 'attention_mask' of any length, which hides zeros"
  await expect(made).rejects.toThrow(new RangeError(`limits.pad: expected ${what}, got inputs ${inputs}`))
})

describe('what is padded', () => {
  const int = { type: 'int64' as const }
  const signature = {
    inputs: [
      { name: 'ids', shape: [-1], ...int },
      { name: 'attention_mask', shape: [-1], ...int },
      { name: 'image', shape: [-1, 2] },
    ],
    outputs: [
      { name: 'maps', shape: [2, -1, -1] },
      { name: 'pairs', shape: [-1, 2] },
    ],
  }
  const sequence = { inputs: [[0], [0], []], outputs: [[1, 2], []] }
  const padding = (own: object = { sequence }) => Padding.for({ signature, ...own } as unknown as ModelWorker)
  const query = (length: number, rows = 1, mask = length): TensorList => [
    { data: new BigInt64Array(length).fill(7n), shape: [length], ...int },
    { data: new BigInt64Array(mask).fill(1n), shape: [mask], ...int },
    { data: new Float32Array(2 * rows).fill(3), shape: [rows, 2] },
  ]
  const shapes = (queries: readonly TensorList[]) => queries.map((tensors) => tensors.map(({ shape }) => shape.join()))

  it('is what differs with the mask; what else differs keeps queries apart', () => {
    const { keyOf } = padding()
    expect([1, 2, 3, 4, 5, 8, 9].map((length) => keyOf(query(length)))).toEqual([
      '1;1;1,2',
      '2;2;1,2',
      ...['4;4;1,2', '4;4;1,2'],
      ...['8;8;1,2', '8;8;1,2'],
      '16;16;1,2',
    ])
    expect(keyOf(query(0))).toBe('0;0;1,2')
    expect(keyOf(query(3, 5))).toBe('4;4;5,2')
    expect(keyOf(query(3, 1, 2))).toBe('3;2;1,2') // the model will say what it thinks of that
  })

  it('becomes as long as the longest, with zeros behind; who is as long is not copied', () => {
    const queries = [query(3), query(4), query(3)]
    const { queries: alike } = padding().together(queries)
    expect(shapes(alike)).toEqual(Array(3).fill(['4', '4', '1,2']))
    expect(alike[0].slice(0, 2).map(({ data }) => data)).toEqual([tokens(7, 7, 7, 0), tokens(1, 1, 1, 0)])
    expect(alike[1]).toBe(queries[1])
    expect(padding().together([query(3, 1, 2), query(3, 1, 2)]).queries[0]).toEqual(query(3, 1, 2))
  })

  it('is cut back in every axis of the answer, and what is none is left to be refused', () => {
    const { cut } = padding().together([query(2), query(3)])
    const maps: AnyTensor = { data: Float32Array.from({ length: 18 }, (_, i) => i), shape: [2, 3, 3] }
    const pairs: AnyTensor = { data: new Float32Array(6), shape: [3, 2] }
    const [own, kept] = cut([maps, pairs], 0) as TensorList
    expect(own).toEqual({ data: Float32Array.of(0, 1, 3, 4, 9, 10, 12, 13), shape: [2, 2, 2] })
    expect([kept, cut([maps, pairs], 1)]).toEqual([pairs, [maps, pairs]])
    for (const odd of [undefined, [], [null, pairs], [{ data: new Float32Array(2), shape: [2, 3, 3] }, pairs]])
      expect(cut(odd, 0)).toEqual(odd)
  })

  it('is told by the model: by what becomes of its outputs, not by what is as long by chance', async () => {
    const model = await OnnxModel.load(bytes)
    const product = masked({ op: 'Mul', inputs: ['x', 'attention_mask'], outputs: ['y'] }, ['batch', 'Muly_dim_1'])
    const named = await OnnxModel.load(product)
    expect([model.sequence, named.sequence]).toEqual([
      { inputs: [[0], [0]], outputs: [[0], []] },
      { inputs: [[0], [0]], outputs: [[0]] },
    ])
    await Promise.all([model.close(), named.close()])
  })

  it('is what stands in the mask’s place where a worker does not tell', () => {
    const { keyOf, together } = padding({})
    expect([keyOf(query(3, 3)), keyOf(query(3, 5))]).toEqual(['4;4;4,2', '3;3;5,2'])
    const { cut } = together([query(2, 2), query(3, 3)])
    const answer = [
      { data: new Float32Array(18), shape: [2, 3, 3] },
      { data: new Float32Array(6), shape: [3, 2] },
    ]
    expect((cut(answer, 0) as TensorList).map(({ shape }) => shape)).toEqual([
      [2, 3, 3], // the mask’s place is the first
      [2, 2],
    ])
  })
})
