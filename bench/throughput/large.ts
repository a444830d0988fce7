/**
 * npm run bench -- large [--json]: queries a second of a predictor on threads beside piscina's with the same onnxruntime-web session, where a
 * query has 150,528 values (an image of which means are taken, so that almost nothing but its way is measured), and where it has 784
 * (LeNet). 2 and 16 queries under way; both take turns in one run; medians of the rounds, and of each round's ratio.
 */

import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { createPredictor } from 'approxifer'
import { Piscina } from 'piscina'
import { seeded } from '../../src/base/random'
import { table } from '../../src/cli/table'
import { onnx } from '../../test/shared/onnx'
import { median } from '../shared/measure'

const ROUNDS = 15
const THREADS = 2
const UNDER = [2, 16]

/** Means of parts of an image: next to no work. */
export const meansModel = onnx(
  [{ name: 'image', shape: ['batch', 3, 224, 224] }],
  [{ name: 'means', shape: ['batch', 3, 7, 7] }],
  [{ op: 'AveragePool', inputs: ['image'], outputs: ['means'], ints: { kernel_shape: [32, 32], strides: [32, 32] } }],
)

interface System {
  ask(query: Float32Array): Promise<unknown>
  close(): Promise<unknown>
}

async function systemsFor(model: Uint8Array, shape: readonly number[]): Promise<Record<string, System>> {
  const predictor = await createPredictor({ model, workers: THREADS, onWarning: () => {} })
  const pool = new Piscina({
    filename: fileURLToPath(new URL('./piscina-worker.js', import.meta.url)),
    minThreads: THREADS,
    maxThreads: THREADS,
    workerData: { model, shape },
  })
  return {
    piscina: { ask: (query) => pool.run(query), close: () => pool.destroy() },
    ours: { ask: (query) => predictor.predict(query), close: () => predictor.close() },
  }
}

/** Queries a second with so many under way. */
async function perSecond({ ask }: System, queries: readonly Float32Array[], count: number, under: number) {
  let left = count
  const start = performance.now()
  const one = async () => {
    while (left-- > 0) await ask(queries[left % queries.length])
  }
  await Promise.all(Array.from({ length: under }, one))
  return (1000 * count) / (performance.now() - start)
}

async function measured(model: Uint8Array, shape: readonly number[], count: number) {
  const random = seeded(1)
  const length = shape.reduce((a, b) => a * b)
  const queries = Array.from({ length: 32 }, () => Float32Array.from({ length }, () => random.next()))
  const systems = await systemsFor(model, shape)
  const results = []
  for (const under of UNDER) {
    const rates: Record<string, number[]> = { piscina: [], ours: [] }
    for (let round = 0; round <= ROUNDS; round++) {
      const names = Object.keys(systems)
      for (const name of round % 2 ? names : names.reverse()) {
        const rate = await perSecond(systems[name], queries, count, under)
        if (round) rates[name].push(rate) // the first warms up
      }
    }
    const ratio = median(rates.ours.map((rate, i) => rate / rates.piscina[i]))
    results.push({ D: length, under, piscina: median(rates.piscina), ours: median(rates.ours), ratio })
  }
  for (const system of Object.values(systems)) await system.close()
  return results
}

export default async function large(json: boolean): Promise<void> {
  const lenet = new Uint8Array(await readFile('models/mnist-lenet.onnx'))
  const results = [...(await measured(meansModel, [3, 224, 224], 600)), ...(await measured(lenet, [1, 28, 28], 3000))]
  if (json) return console.log(JSON.stringify(results, null, 2))
  const out = table(['values', 'under way', 'queries a second: piscina', 'ours', 'ratio'])
  for (const { D, under, piscina, ours, ratio } of results) {
    out.push([D.toLocaleString('en'), under, piscina.toFixed(0), ours.toFixed(0), `${ratio.toFixed(2)}x`])
  }
  console.log(out.toString())
}
