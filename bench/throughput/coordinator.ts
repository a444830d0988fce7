/**
 * npm run bench -- coordinator [--json]: what the predictor itself costs. Time per query with workers that answer at once,
 * beside code written by hand (a queue of queries, a list of idle workers, promises), 9 to 1,000 workers and as many queries
 * under way; and on real threads, as many as cores, beside piscina with the same onnxruntime-web session: queries per
 * second where the threads have always something to do, and the median answer where each has one query at a time.
 * All take turns within one run; medians. Needs `npm run data` for the images of CIFAR.
 */

import { readFile } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { fileURLToPath } from 'node:url'
import { createPredictor, type ModelWorker, type PredictorOptions } from 'approxifer'
import { Piscina } from 'piscina'
import { loadInputs } from '../../src/cli/npy'
import { table } from '../../src/cli/table'
import { median } from '../shared/measure'

const ROUNDS = 9
const QUERIES = 20_000
const THREADED = 4000
const MANY = 16

type Ask = (query: Float32Array) => Promise<unknown>
interface System {
  ask: Ask
  close(): Promise<unknown>
}

const signature = { inputs: [{ name: 'x', shape: [784] }], outputs: [{ name: 'y', shape: [10] }] }
const answer = Float32Array.from({ length: 10 }, (_, i) => Math.sin(i))

/** Answers at once: what takes time is the coordinator's own. */
const instant = (i: number): ModelWorker => ({
  name: `worker ${i}`,
  signature,
  free: true,
  onFree: undefined,
  infer: async () => [{ data: answer.slice(), shape: [10] }],
  restart() {},
  async close() {},
})

const workers = (count: number) => Array.from({ length: count }, (_, i) => instant(i))

function byHand(count: number): System {
  const idle = workers(count)
  const waiting: ((worker: ModelWorker) => void)[] = []
  const ask = async (query: Float32Array) => {
    const worker = idle.pop() ?? (await new Promise<ModelWorker>((resolve) => waiting.push(resolve)))
    const given = await worker.infer([{ data: query, shape: [784] }])
    const next = waiting.shift()
    if (next) next(worker)
    else idle.push(worker)
    return given
  }
  return { ask, close: async () => {} }
}

async function ours(count: number, options: Partial<PredictorOptions>): Promise<System> {
  const predictor = await createPredictor({
    workers: workers(count),
    limits: { queries: 1e6 },
    onWarning: () => {},
    ...options,
  })
  return { ask: (query) => predictor.predict(query), close: () => predictor.close() }
}

/** Milliseconds for so many queries, of which `under` are under way at a time. */
async function loop({ ask }: System, queries: readonly Float32Array[], count: number, under: number): Promise<number> {
  let left = count
  const start = performance.now()
  const one = async () => {
    while (left-- > 0) await ask(queries[left % queries.length])
  }
  await Promise.all(Array.from({ length: under }, one))
  return performance.now() - start
}

/** Every system in turn, round after round; the median of what each measures. */
async function inTurn(systems: Record<string, System>, measure: (system: System) => Promise<number>) {
  const all = Object.fromEntries(Object.keys(systems).map((name) => [name, [] as number[]]))
  for (let round = 0; round <= ROUNDS; round++) {
    for (const [name, system] of Object.entries(systems)) {
      const value = await measure(system)
      if (round) all[name].push(value) // the first warms up
    }
  }
  return Object.fromEntries(Object.entries(all).map(([name, values]) => [name, median(values)]))
}

async function alone() {
  const scheme = { queries: 8, stragglers: 1 }
  const queries = Array.from({ length: 500 }, (_, i) => Float32Array.from({ length: 784 }, (_, j) => Math.sin(i + j)))
  const results: { workers: number; microseconds: Record<string, number> }[] = []
  for (const count of [9, 27, 100, 1000]) {
    const systems = {
      'by hand': byHand(count),
      'no scheme': await ours(count, {}),
      'K = 8, memory off': await ours(count, { scheme, memory: false }),
      'K = 8, memory on': await ours(count, { scheme }),
    }
    const ms = await inTurn(systems, (system) => loop(system, queries, QUERIES, count))
    const perQuery = Object.entries(ms).map(([name, each]) => [name, (1000 * each) / QUERIES])
    results.push({ workers: count, microseconds: Object.fromEntries(perQuery) })
    for (const system of Object.values(systems)) await system.close()
  }
  return results
}

async function threaded(model: string, images: string, count: number) {
  const queries = (await loadInputs(images)).slice(0, 500)
  const bytes = new Uint8Array(await readFile(model))
  const threads = availableParallelism()
  const predictor = await createPredictor({
    model: bytes,
    workers: threads,
    limits: { queries: 1e6 },
    onWarning: () => {},
  })
  const { shape } = predictor.signature.inputs[0]
  const pool = new Piscina({
    filename: fileURLToPath(new URL('./piscina-worker.js', import.meta.url)),
    minThreads: threads,
    maxThreads: threads,
    workerData: { model: bytes, shape },
  })
  const systems: Record<string, System> = {
    piscina: { ask: (query) => pool.run(query), close: () => pool.destroy() },
    'no scheme': { ask: (query) => predictor.predict(query), close: () => predictor.close() },
  }
  const saturated = await inTurn(systems, (system) => loop(system, queries, count, MANY * threads))
  const closed = await inTurn(systems, async (system) => {
    const times: number[] = []
    const timed = async (query: Float32Array) => {
      const start = performance.now()
      await system.ask(query)
      times.push(performance.now() - start)
    }
    await loop({ ...system, ask: timed }, queries, count / 4, threads)
    return median(times)
  })
  for (const system of Object.values(systems)) await system.close()
  const perSecond = Object.fromEntries(Object.entries(saturated).map(([name, ms]) => [name, (1000 * count) / ms]))
  return { model, threads, perSecond, medianMs: closed }
}

export default async function coordinator(json: boolean): Promise<void> {
  const cost = await alone()
  const real = [
    await threaded('models/mnist-lenet.onnx', 'data/mnist-images.npy', THREADED),
    await threaded('models/cifar-resnet8.onnx', 'data/cifar-images.npy', THREADED / 10),
  ]
  if (json) return console.log(JSON.stringify({ cost, real }, null, 2))
  const names = Object.keys(cost[0].microseconds)
  const first = table(['microseconds a query', ...names])
  for (const { workers, microseconds } of cost) {
    first.push([`${workers} workers`, ...names.map((name) => microseconds[name].toFixed(1))])
  }
  console.log(first.toString())
  const second = table(['threads', 'queries a second: piscina', 'no scheme', 'ratio', 'median: piscina', 'no scheme'])
  for (const { model, threads, perSecond, medianMs } of real) {
    const [theirs, own] = [perSecond.piscina, perSecond['no scheme']]
    const figures = [theirs.toFixed(0), own.toFixed(0), (own / theirs).toFixed(2)]
    const ms = [medianMs.piscina, medianMs['no scheme']].map((each) => `${each.toFixed(2)} ms`)
    second.push([`${model}, ${threads}`, ...figures, ...ms])
  }
  console.log(`\n${second}`)
}
