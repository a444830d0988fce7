/**
 * Honest workers of two runtimes, which round in different orders, and of one that keeps 16 bits of each value, where one worker may lie: nobody
 * is ejected. More answers than in CI: APPROXIFER_HONEST=100000 npx vitest run --project models test/models/two-runtimes.test.ts
 */

import { readFileSync } from 'node:fs'
import type { ModelWorker, Query, TensorList } from 'approxifer'
import { expect, it } from 'vitest'
import { seeded } from '../../src/base/random'
import { loadInputs } from '../../src/cli/npy'
import { verdicts } from '../shared/heard-events'
import { PATIENCE_MS } from '../shared/waiting'
import { consumer } from './consumer'
import { texts } from './texts'

const ANSWERS = Number(process.env.APPROXIFER_HONEST ?? 3000)
/** Each is proven by two. */
const PROOFS = 2
const AT_ONCE = 500

const packages = {
  'onnxruntime-web': 'node_modules/onnxruntime-web',
  'onnxruntime-node': 'test/models/node_modules/onnxruntime-node',
}
const pathOf = (name: string) => new URL(`${name}.onnx`, import.meta.url).pathname

/** Float32 as 16 significant bits. */
const rounded = (tensors: TensorList): TensorList =>
  tensors.map((tensor) => {
    if (!(tensor.data instanceof Float32Array)) return tensor
    const bits = new Int32Array(Float32Array.from(tensor.data).buffer)
    for (let i = 0; i < bits.length; i++) bits[i] = (bits[i] + 0x80) & ~0xff
    return { ...tensor, data: new Float32Array(bits.buffer) }
  })

/** The same worker, but for what it answers. */
function rounding(worker: ModelWorker): ModelWorker {
  const [infer, inferBatch] = [worker.infer.bind(worker), worker.inferBatch?.bind(worker)]
  return Object.assign(worker, {
    infer: async (...call: Parameters<typeof infer>) => rounded(await infer(...call)),
    inferBatch: (...call: Parameters<NonNullable<typeof inferBatch>>) => inferBatch?.(...call).map(async (answer) => rounded(await answer)), // biome-ignore format: one line
  })
}

/** Queries without end: noise on the rows of a file; now and then what is far too large. */
async function* noisy(file: string, shape?: number[]): AsyncGenerator<Query> {
  const rows = await loadInputs(file, shape)
  const random = seeded(1)
  for (let n = 0; ; n++) {
    const scale = n % 50 === 49 ? 255 : 1
    yield rows[n % rows.length].map((value) => scale * (value + 0.05 * random.gauss()))
  }
}

/** Beyond the first two thousand they are asked again. */
async function* described(): AsyncGenerator<Query> {
  const all = texts(2000)
  for (let n = 0; ; n++) yield all[n % all.length] as Query
}

const images = () => noisy('models/mnist-digits.npy')
const coloured = async function* (): AsyncGenerator<Query> {
  const random = seeded(2)
  for (;;) yield Float32Array.from({ length: 3072 }, () => random.next())
}

it.each<[name: string, share: number, queries: () => AsyncGenerator<Query>]>([
  ['../../models/mnist-lenet', 0.4, images],
  ['../../models/fashion-lenet', 0.2, images],
  ['../../models/cifar-resnet8', 0.1, coloured],
  ['text/sections', 0.1, described],
  ['text/embedder', 0.1, described],
  ['detector', 0.1, () => noisy('test/models/detector-inputs.npy')],
])('%s: nobody honest is ejected', { timeout: 20 * PATIENCE_MS }, async (name, share, queries) => {
  const { createPredictor, localWorkers } = await consumer(packages)
  const model = readFileSync(pathOf(name))
  const runtimes = [['onnxruntime-web', 'web'], ['onnxruntime-node', 'node'], ['onnxruntime-web', 'rounding']] as const // biome-ignore format: one line
  const workers = runtimes.map(async ([runtime, name]) => {
    const two = await localWorkers({ model, workers: 2, runtime, onWarning: () => {} })
    const named = two.map((worker, i) => Object.assign(worker, { name: `${name} ${i}` }))
    return name === 'rounding' ? named.map(rounding) : named
  })
  const judged: object[] = []
  const predictor = await createPredictor({
    workers: (await Promise.all(workers)).flat(),
    scheme: { queries: 1, byzantine: 1 },
    memory: false,
    onEvent: verdicts((verdict) => judged.push(verdict)),
  })
  let given = 0
  const source = queries()
  for (const count = Math.ceil((share * ANSWERS) / PROOFS); given < count; ) {
    const some: Query[] = []
    while (some.length < Math.min(AT_ONCE, count - given)) some.push((await source.next()).value)
    const predictions = await predictor.predictAll(some, { deadlineMs: PATIENCE_MS })
    expect(predictions.every(({ status }) => status === 'exact')).toBe(true)
    given += predictions.length
  }
  const { workers: all } = predictor.stats()
  const answered = runtimes.map(([, name]) => all.filter(({ worker }) => worker.startsWith(name)).reduce((sum, { onTime }) => sum + onTime, 0)) // biome-ignore format: one line
  await predictor.close()
  expect(Math.min(...answered)).toBeGreaterThan(given / 20) // the slower ones, too
  expect(all.map(({ suspected }) => suspected)).toEqual([0, 0, 0, 0, 0, 0])
  expect(judged).toEqual([])
})
