/** What happens: a predictor with the options that a verdict recommends answers a stream in real time, on real threads. */

import { createPredictor, localWorkers } from 'approxifer'
import { tensorsOf, vectorOf } from '../../src/base/payload'
import { seeded } from '../../src/base/random'
import { isVector, type TensorList, toNamed } from '../../src/base/tensor'
import { InputFile, loadLabels, loadTensors } from '../../src/cli/npy'
import { loadCore } from '../../src/core/load'
import { criterionFor, experienceOf, right } from '../../src/evaluate/experiment'
import { answersOf } from '../../src/evaluate/model'
import { gapMsOf } from '../../src/evaluate/premise'
import { OnnxModel } from '../../src/workers/onnx/model'
import { readModel } from '../../src/workers/onnx/model-file'
import { askAtRandom } from './arrivals'
import { StragglingWorker } from './straggling-worker'
import type { Asked } from './streams'
import type { Said } from './verdict'

export interface Happened {
  queries: number
  p50: number
  p99: number
  /** Share of all answers. */
  right: number
  recovered: number
  inferences: number
}

interface Length {
  first: number
  counted: number
  mostSeconds: number
}

export async function happen(stream: Asked, { verdict, use }: Said, length: Length): Promise<Happened> {
  const { premise, callMs } = verdict
  const gapMs = gapMsOf(premise, callMs.mean)
  const counted = Math.min(length.counted, Math.round((1000 * length.mostSeconds) / gapMs))
  const first = Math.min(length.first, counted)
  const model = await OnnxModel.load(await readModel(stream.path))
  const queries = await queriesOf(stream, model)
  const random = seeded(7)
  const threads = await localWorkers({ model: stream.path, workers: premise.workers, onWarning() {} })
  const workers = threads.map((thread) => new StragglingWorker(thread, premise, random))
  const { workers: _, ...options } = use
  const predictor = await createPredictor({ ...options, workers, limits: { queries: 1e5 }, onWarning() {} })
  const { inputs, outputs } = predictor.signature
  const asked: { ms: number; answer: TensorList; isRecovered: boolean }[] = []
  let before = 0
  const calls = () => workers.reduce((sum, worker) => sum + worker.calls, 0)
  const ask = async (n: number) => {
    if (n === first) before = calls()
    const query = toNamed(queries[n], inputs)
    const since = performance.now()
    try {
      const { output, status } = await predictor.predict(query)
      const answer = outputs.map(({ name }) => output[name])
      if (n >= first) asked[n - first] = { ms: performance.now() - since, answer, isRecovered: status === 'recovered' }
    } catch {
      if (n >= first) asked[n - first] = { ms: Number.POSITIVE_INFINITY, answer: [], isRecovered: false }
    }
  }
  await askAtRandom({ gapMs, count: first + counted, random }, ask)
  const inferences = (calls() - before) / counted
  await predictor.close()
  const judge = await judgeOf(stream, model, queries)
  let rights = 0
  for (const [i, { answer, isRecovered }] of asked.entries()) rights += await judge(first + i, answer, isRecovered)
  await model.close()
  const sorted = asked.map(({ ms }) => ms).sort((a, b) => a - b)
  const at = (share: number) => sorted[Math.floor(share * (sorted.length - 1))]
  const recovered = asked.filter(({ isRecovered }) => isRecovered).length / counted
  return { queries: counted, p50: at(0.5), p99: at(0.99), right: rights / counted, recovered, inferences }
}

async function queriesOf({ inputs }: Asked, { signature }: OnnxModel): Promise<TensorList[]> {
  if (inputs['']) {
    const file = await InputFile.open(inputs[''])
    const rows = Array.from({ length: file.length }, (_, i) => tensorsOf(file.at(i) as Float32Array, signature.inputs))
    await file.close()
    return rows
  }
  const columns = await Promise.all(signature.inputs.map((spec) => loadTensors(inputs[spec.name], spec)))
  return Array.from({ length: columns[0].length }, (_, i) => columns.map((column) => column.at(i)))
}

/** 1 for an answer with the right label, or without labels for one that agrees with the model's own; else 0. */
async function judgeOf({ labels: file }: Asked, model: OnnxModel, queries: readonly TensorList[]) {
  const labels = file ? await loadLabels(file) : undefined
  const criterion = criterionFor(model, {})
  const judged = { criterion, labels, experience: experienceOf(await loadCore(), model, { criterion, memory: false }) }
  const isCoded = isVector(model.signature.inputs) && isVector(model.signature.outputs)
  const ownOf = async (i: number) => (await answersOf(model, [vectorOf(queries[i])]))[0]
  for (let i = 0; isCoded && !labels && i < 128; i++) judged.experience.confidence.observe(await ownOf(i))
  return async (input: number, answer: TensorList, isRecovered: boolean): Promise<number> => {
    if (!answer.length) return 0
    if (!labels && !isRecovered) return 1
    const given = vectorOf(answer)
    return right(judged, given, { input, own: isRecovered ? await ownOf(input) : given })
  }
}
