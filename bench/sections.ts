/**
 * npm run bench -- sections [--json]: the longest time that the predictor holds the event loop, over 1,000 queries (300 where
 * a row is large) of which one in every group of eight is late, for small and large queries and answers. Workers answer at
 * once from memory, so that what takes time is the predictor's own: the call of `predict` itself, every task it runs between
 * two turns of the loop, and the same with nothing but the workers ("bare"). Garbage collection counts, as it would in
 * production; the second longest is printed beside the longest, since the machine itself may pause.
 */

import { createPredictor, type ModelWorker } from 'approxifer'
import { table } from '../src/cli/table'
import { seeded } from '../src/random'

interface Case {
  D: number
  C: number
  memory?: false
  queries: number
}

const cases: Case[] = [
  { D: 784, C: 10, queries: 1000 },
  { D: 784, C: 10, memory: false, queries: 1000 },
  { D: 784, C: 1000, queries: 1000 },
  { D: 784, C: 100_000, queries: 1000 },
  { D: 784, C: 1_000_000, queries: 300 },
  { D: 150_528, C: 10, queries: 1000 },
  { D: 150_528, C: 1000, queries: 300 },
  { D: 150_528, C: 1_000_000, queries: 300 },
]

/** Inputs as images where they can be, since these have the dearest features. */
const shapes: Record<number, number[]> = { 784: [1, 28, 28], 150_528: [3, 224, 224] }
const K = 8
/** Answers to draw from: every one is a worker's own copy, as a message between threads would be. */
const POOL = 16

class InstantWorker implements ModelWorker {
  onFree: (() => void) | undefined
  free = true
  readonly name: string
  readonly signature: ModelWorker['signature']
  readonly #answers: readonly Float32Array[]
  #calls = 0

  constructor(name: string, { D, C }: Case, answers: readonly Float32Array[]) {
    this.name = name
    this.signature = { inputs: [{ name: 'x', shape: shapes[D] }], outputs: [{ name: 'y', shape: [C] }] }
    this.#answers = answers
  }

  /** The answer is ready before it is due, so that making it costs nobody's turn. */
  infer(): Promise<Float32Array> {
    this.free = false
    const answer = this.#answers[this.#calls++ % POOL]
    // Worker 3 is late with every answer.
    return new Promise((resolve) => {
      setTimeout(
        () => {
          this.free = true
          resolve(answer)
          this.onFree?.()
        },
        this.name === 'worker 3' ? 40 : 0,
      )
    })
  }

  restart(): void {}
  async close(): Promise<void> {}
}

interface Longest {
  predict: number
  turn: number
  second: number
  bare: number
}

export async function sections(json: boolean): Promise<void> {
  const results: (Case & Longest & { remembered: number })[] = []
  for (const each of cases) results.push({ ...each, ...(await measured(each)) })
  if (json) return console.log(JSON.stringify(results, null, 2))
  const out = table(['inputs', 'outputs', 'memory', 'queries', 'predict()', 'longest turn', 'second', 'bare workers'])
  const ms = (value: number) => `${value.toFixed(1)} ms`
  for (const { D, C, memory, queries, predict, turn, second, bare, remembered } of results) {
    out.push([D, C, memory === false ? 'off' : remembered, queries, ms(predict), ms(turn), ms(second), ms(bare)])
  }
  console.log(out.toString())
}

async function measured(each: Case): Promise<Longest & { remembered: number }> {
  const random = seeded(1)
  const row = (length: number) => Float32Array.from({ length }, () => random.gauss())
  const answers = Array.from({ length: POOL }, () => row(each.C))
  const queries = Array.from({ length: 64 }, () => row(each.D))
  const workers = () => Array.from({ length: K + 2 }, (_, i) => new InstantWorker(`worker ${i}`, each, answers))
  const bare = workers()
  const alone = await longest(each.queries, async (i) => {
    await bare[i % bare.length].infer()
  })
  const scheme = { queries: K, stragglers: 1 }
  const predictor = await createPredictor({ scheme, workers: workers(), memory: each.memory, onWarning: () => {} })
  const ask = async (i: number) => {
    const query = queries[i % queries.length].slice()
    query[0] = i // none is a duplicate of another
    await predictor.predict(query)
  }
  const { predict, turn, second } = await longest(each.queries, ask)
  const { remembered } = predictor.stats()
  await predictor.close()
  return { predict, turn, second, bare: alone.turn, remembered }
}

/** Eight at a time; the longest call, and the longest and second longest turn of the loop. */
async function longest(queries: number, ask: (i: number) => Promise<void>) {
  let predict = 0
  const turns: number[] = []
  let last = performance.now()
  let watching = true
  const watch = () => {
    const now = performance.now()
    turns.push(now - last)
    last = performance.now()
    if (watching) setImmediate(watch)
  }
  setImmediate(watch)
  for (let from = 0; from < queries; from += K) {
    const group = Array.from({ length: K }, (_, i) => {
      const start = performance.now()
      const answer = ask(from + i)
      predict = Math.max(predict, performance.now() - start)
      return answer
    })
    await Promise.all(group)
    await new Promise((resolve) => setTimeout(resolve, 2))
  }
  await new Promise((resolve) => setTimeout(resolve, 500))
  watching = false
  turns.sort((a, b) => b - a)
  return { predict, turn: turns[0], second: turns[1] }
}
