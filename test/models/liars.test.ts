/** One liar of five beside models that have no vectors: every output is judged by itself. */

import { readFileSync } from 'node:fs'
import { createPredictor, type ModelWorker, type Query, type TensorList } from 'approxifer'
import { beforeAll, describe, expect, it } from 'vitest'
import { loadInputs } from '../../src/cli/npy'
import { OnnxModel } from '../../src/workers/onnx/model'
import { liars } from '../shared/heard-events'
import { texts } from './texts'

type Lie = (answer: TensorList, before: TensorList | undefined) => TensorList

const QUERIES = 60
const read = (file: string) => readFileSync(new URL(file, import.meta.url))
const values = (answer: TensorList, output: number) => answer[output].data as Float32Array
/** An answer with other values in one output. */
const changed = (answer: TensorList, output: number, change: (data: Float32Array) => Float32Array): TensorList =>
  answer.map((tensor, i) => (i === output ? { ...tensor, data: change(values(answer, i)) } : tensor))

const constant: Lie = (answer) => changed(answer, answer.length - 1, (data) => new Float32Array(data.length).fill(0.1))
const swap: Lie = (answer) =>
  changed(answer, answer.length - 1, (data) => {
    const [first, second] = [...data.keys()].sort((a, b) => data[b] - data[a])
    return data.map((value, i) => (i === first ? data[second] : i === second ? data[first] : value))
  })
/** From the best of the detector's scores, which are its second output. */
const lowered: Lie = (answer) =>
  changed(answer, 1, (data) => {
    const best = data.indexOf(Math.max(...data))
    return data.map((value, i) => (i === best ? value - 0.7 : value))
  })
const moved: Lie = (answer) => changed(answer, 0, (data) => data.map((value, i) => (i === 40 ? value + 5 : value)))

/** Five workers of which one lies, and what it told; they answer in turn, since they share a session. */
async function pool(model: OnnxModel, lie: Lie) {
  let [lies, last]: [number, Promise<unknown>] = [0, Promise.resolve()]
  let before: TensorList | undefined
  const infer = async (query: TensorList, lying: boolean): Promise<TensorList> => {
    const batch = query.map((tensor) => ({ ...tensor, shape: [1, ...tensor.shape] }))
    const running = last.then(() => model.run(batch))
    last = running.catch(() => {})
    const answer = (await running).map((tensor) => ({ ...tensor, shape: tensor.shape.slice(1) }))
    if (!lying) return answer
    lies++
    const told = lie(answer, before)
    before = answer
    return told
  }
  const worker = (i: number): ModelWorker => ({
    ...{ name: `w${i}`, signature: model.signature, scales: model.scales, free: true, onFree: undefined },
    infer: (query) => infer(query, i === 2),
    close: async () => {},
  })
  const ejectedAfter: [worker: string, lies: number][] = []
  const predictor = await createPredictor({
    workers: [0, 1, 2, 3, 4].map(worker),
    scheme: { queries: 1, byzantine: 1 },
    memory: false,
    onWarning: () => {},
    onEvent: liars(({ worker }) => ejectedAfter.push([worker, lies])),
  })
  return { predictor, ejectedAfter, own: (query: TensorList) => infer(query, false) }
}

let models: Record<'sections' | 'embedder' | 'detector', OnnxModel>
let boxes: Float32Array[]
beforeAll(async () => {
  const load = (path: string) => OnnxModel.load(read(path))
  models = {
    sections: await load('text/sections.onnx'),
    embedder: await load('text/embedder.onnx'),
    detector: await load('detector.onnx'),
  }
  boxes = await loadInputs(new URL('detector-inputs.npy', import.meta.url).pathname)
})

const listOf = (model: OnnxModel, query: Query): TensorList =>
  model.signature.inputs.map(({ name, shape }) =>
    query instanceof Float32Array ? { data: query, shape } : (query as Record<string, TensorList[number]>)[name],
  )

describe('one liar of five', () => {
  it.each([
    ...(['sections', 'embedder'] as const).flatMap((name) => [
      [name, 'a constant', constant] as const,
      [name, 'two swapped', swap] as const,
    ]),
    ['detector', '.7 off the best score', lowered] as const,
    ['detector', 'one box of many off by five pixels', moved] as const,
    ['detector', 'a constant', constant] as const,
  ])('%s, %s: no lie is given, and it is ejected within five', async (name, _, lie) => {
    const model = models[name]
    const queries: Query[] = name === 'detector' ? boxes.slice(0, QUERIES) : texts(QUERIES)
    const { predictor, ejectedAfter, own } = await pool(model, lie)
    for (const query of queries) {
      const { output, status } = await predictor.predict(query)
      const right = await own(listOf(model, query))
      expect(status).toBe('exact')
      model.signature.outputs.forEach(({ name: tensor }, i) => {
        const [given, wanted] = [output[tensor].data, values(right, i)]
        expect(Math.max(...given.map((value, k) => Math.abs(value - wanted[k])))).toBeLessThan(1e-3)
      })
    }
    await predictor.close()
    const [[worker, lies], ...others] = ejectedAfter
    expect([worker, others]).toEqual(['w2', []])
    expect(lies).toBeLessThanOrEqual(5)
  })
})
