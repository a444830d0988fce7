/**
 * npm run bench -- batch [MODEL ...] [--json]: what it gains that a worker gets several rows in one run of its model where much waits. Real
 * threads, as many as cores; the same predictor with workers that take batches and with such that do not, in turn.
 * Queries a second on a deep queue, and the 99th percentile at 60 % of what goes without batches (Poisson arrivals, from when
 * a query was due). Medians, and the medians of each pair's ratio. Whether a batch changes the last bits of an answer is looked
 * at first. Needs `npm run data`; four minutes.
 */

import { readFile } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { createPredictor, localWorkers, type Predictor } from 'approxifer'
import { seeded } from '../../src/base/random'
import { loadInputs } from '../../src/cli/npy'
import { table } from '../../src/cli/table'
import { OnnxModel } from '../../src/workers/onnx/model'
import { median } from '../shared/measure'

const models = [
  { name: 'mnist-lenet', data: 'mnist', deep: 20_000, loaded: 10_000 },
  { name: 'fashion-lenet', data: 'fashion', deep: 20_000, loaded: 10_000 },
  { name: 'cifar-resnet8', data: 'cifar', deep: 800, loaded: 400 },
]
const ROUNDS = 11
/** Queries under way at a time, for each thread, where the queue is deep. */
const UNDER = 64
const LOAD = 0.6
const SIZES = [2, 4, 8, 16]

async function start(bytes: Uint8Array, threads: number, batches: boolean): Promise<Predictor> {
  const workers = await localWorkers({ model: bytes, workers: threads, onWarning: () => {} })
  if (!batches) for (const worker of workers) Object.defineProperty(worker, 'maxBatch', { value: 1 })
  return createPredictor({ workers, limits: { queries: 1e6 } })
}

/** Queries a second where so many are under way at a time. */
async function deep(predictor: Predictor, queries: readonly Float32Array[], count: number, under: number) {
  let left = count
  const start = performance.now()
  const one = async () => {
    while (left-- > 0) await predictor.predict(queries[left % queries.length])
  }
  await Promise.all(Array.from({ length: under }, one))
  return (1000 * count) / (performance.now() - start)
}

/** The 99th percentile in ms where queries come by themselves, so many a second. */
async function loaded(
  predictor: Predictor,
  queries: readonly Float32Array[],
  count: number,
  rate: number,
  seed: number,
) {
  const random = seeded(seed)
  const times: number[] = []
  let [due, sent] = [performance.now(), 0]
  const answered: Promise<unknown>[] = []
  while (sent < count) {
    for (; due <= performance.now() && sent < count; due -= (Math.log(1 - random.next()) * 1000) / rate) {
      const since = due
      answered.push(
        predictor.predict(queries[sent++ % queries.length]).then(() => times.push(performance.now() - since)),
      )
    }
    await new Promise((resolve) => setTimeout(resolve, Math.max(0, due - performance.now())))
  }
  await Promise.all(answered)
  return times.sort((a, b) => a - b)[Math.floor(0.99 * (count - 1))]
}

/** Share of the rows whose answer in a batch has other bits than alone. */
async function otherBits(bytes: Uint8Array, queries: readonly Float32Array[]): Promise<number> {
  const model = await OnnxModel.load(bytes)
  const alone = await Promise.all(queries.map((query) => model.infer(query)))
  let [other, rows] = [0, 0]
  for (const size of SIZES) {
    for (let from = 0; from + size <= queries.length; from += size) {
      const part = queries.slice(from, from + size)
      const together = await model.infer(Float32Array.from(part.flatMap((query) => [...query])), size)
      const width = together.length / size
      for (let i = 0; i < size; i++) {
        other += Number(alone[from + i].some((value, at) => !Object.is(value, together[i * width + at])))
      }
      rows += size
    }
  }
  await model.close()
  return other / rows
}

async function measure({ name, data, deep: many, loaded: some }: (typeof models)[number]) {
  const bytes = new Uint8Array(await readFile(`models/${name}.onnx`))
  const queries = (await loadInputs(`data/${data}-images.npy`)).slice(0, 480)
  const bits = await otherBits(bytes, queries)
  const threads = availableParallelism()
  const systems = { alone: await start(bytes, threads, false), batches: await start(bytes, threads, true) }
  const inTurn = async (rounds: number, one: (predictor: Predictor, round: number) => Promise<number>) => {
    const values = { alone: [] as number[], batches: [] as number[] }
    for (let round = 0; round <= rounds; round++) {
      const order = ['alone', 'batches'] as const
      for (const which of round % 2 ? order : [...order].reverse()) {
        const value = await one(systems[which], round)
        if (round) values[which].push(value) // the first warms up
      }
    }
    const ratio = median(values.alone.map((value, i) => values.batches[i] / value))
    return { alone: median(values.alone), batches: median(values.batches), ratio }
  }
  const perSecond = await inTurn(ROUNDS, (predictor) => deep(predictor, queries, many, UNDER * threads))
  const rate = LOAD * perSecond.alone
  const p99 = await inTurn(ROUNDS, (predictor, round) => loaded(predictor, queries, some, rate, round + 1))
  for (const system of Object.values(systems)) await system.close()
  return { name, threads, otherBits: bits, perSecond, p99 }
}

export default async function batch(json: boolean, names: string[]): Promise<void> {
  const results: Awaited<ReturnType<typeof measure>>[] = []
  const chosen = models.filter(({ name }) => !names.length || names.includes(name))
  for (const model of chosen) results.push(await measure(model))
  if (json) return console.log(JSON.stringify(results, null, 2))
  const out = table(['model, threads', 'queries a second: alone', 'batches', 'ratio', `p99 at load ${LOAD}: alone`, 'batches', 'ratio', 'rows with other bits']) // biome-ignore format: one line
  for (const { name, threads, otherBits: bits, perSecond, p99 } of results) {
    const rates = [perSecond.alone, perSecond.batches].map((each) => each.toFixed(0))
    const ms = [p99.alone, p99.batches].map((each) => `${each.toFixed(2)} ms`)
    const ratios = [perSecond.ratio, p99.ratio].map((each) => `${each.toFixed(2)}x`)
    out.push([`${name}, ${threads}`, ...rates, ratios[0], ...ms, ratios[1], `${(100 * bits).toFixed(1)} %`])
  }
  console.log(out.toString())
}
