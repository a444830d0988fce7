/**
 * npm run bench -- sections [--json]: the longest time that the predictor holds the event loop, over 1,000 queries (300 where
 * a row or an answer has a million values) of which one in every group of eight is late. Workers answer from memory, so
 * that what takes time is the predictor's own. Timed is every way in: the call of `predict`, an answer that arrives, and
 * every timer, each with all that follows from it before the loop goes on. Garbage collection counts, as it would in
 * production; the second longest is printed beside the longest, since the machine itself may pause, and the same without
 * a predictor ("bare").
 */

import { createPredictor, type ModelWorker, type TensorList } from 'approxifer'
import { seeded } from '../src/base/random'
import { table } from '../src/cli/table'

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
const shapes: Record<number, number[]> = { 784: [1, 28, 28], 150528: [3, 224, 224] }
const K = 8
/** Answers to draw from: every one is a worker's own copy, as a message between threads would be. */
const POOL = 16

/** What workers have to say: one of them is heard in a turn of the loop, so that no turn is more than one section. */
const replies: (() => void)[] = []
const late = globalThis.setTimeout

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

  infer(): Promise<TensorList> {
    this.free = false
    const data = this.#answers[this.#calls++ % POOL]
    return new Promise((resolve) => {
      const reply = () => {
        this.free = true
        resolve([{ data, shape: [data.length] }])
        this.onFree?.()
      }
      if (this.name === 'worker 3') late(() => replies.push(reply), 40)
      else replies.push(reply)
    })
  }

  restart(): void {}
  async close(): Promise<void> {}
}

/** Milliseconds, the longest first. */
interface Sections {
  predict: number[]
  answer: number[]
  timer: number[]
}

export async function sections(json: boolean): Promise<void> {
  const results = []
  for (const each of cases) results.push({ ...each, ...(await measured(each)) })
  if (json) return console.log(JSON.stringify(results, null, 2))
  const out = table(['inputs', 'outputs', 'remembered', 'predict()', 'an answer', 'a timer', 'bare'])
  const ms = ([first = 0, second = 0]: number[]) => `${first.toFixed(1)} / ${second.toFixed(1)} ms`
  for (const { D, C, memory, remembered, ours, bare } of results) {
    const [predict, answer, timer] = [ours.predict, ours.answer, ours.timer].map(ms)
    const all = [...bare.predict, ...bare.answer, ...bare.timer].sort((a, b) => b - a)
    out.push([D, C, memory === false ? 'off' : remembered, predict, answer, timer, ms(all)])
  }
  console.log(`Longest and second longest sections\n${out}`)
}

async function measured(each: Case): Promise<{ ours: Sections; bare: Sections; remembered: number }> {
  const random = seeded(1)
  const row = (length: number) => Float32Array.from({ length }, () => random.gauss())
  const answers = Array.from({ length: POOL }, () => row(each.C))
  const queries = Array.from({ length: 64 }, () => row(each.D))
  const workers = () => Array.from({ length: K + 2 }, (_, i) => new InstantWorker(`worker ${i}`, each, answers))
  /** None is a near duplicate of another. */
  const fresh = (i: number) => {
    const query = queries[i % queries.length].slice()
    for (let at = i % 10; at < query.length; at += 10) query[at] = random.gauss()
    return query
  }
  const alone = workers()
  const bare = await sectionsOf(each.queries, fresh, (_, i) => alone[i % alone.length].infer())
  const scheme = { queries: K, stragglers: 1 }
  const predictor = await createPredictor({ scheme, workers: workers(), memory: each.memory, onWarning: () => {} })
  const ours = await sectionsOf(each.queries, fresh, (query) => predictor.predict(query))
  const { memoryPairs: remembered } = predictor.stats()
  await predictor.close()
  return { ours, bare, remembered }
}

/** Eight queries at a time, and half a second more for what is left to learn. */
async function sectionsOf(
  queries: number,
  fresh: (i: number) => Float32Array,
  ask: (query: Float32Array, i: number) => Promise<unknown>,
): Promise<Sections> {
  const sections: Sections = { predict: [], answer: [], timer: [] }
  const [sleep, restore] = [globalThis.setTimeout, globalThis.setTimeout]
  globalThis.setTimeout = ((f: () => void, ms: number) =>
    sleep(() => timed(sections.timer, f), ms)) as typeof setTimeout
  let hearing = true
  const hear = () => {
    const reply = replies.shift()
    if (reply) timed(sections.answer, reply)
    if (hearing) setImmediate(hear)
  }
  setImmediate(hear)
  for (let from = 0; from < queries; from += K) {
    const rows = Array.from({ length: K }, (_, i) => fresh(from + i))
    const group = rows.map((query, i) => {
      const start = performance.now()
      const answer = ask(query, from + i)
      sections.predict.push(performance.now() - start)
      return answer
    })
    await Promise.all(group)
    await new Promise((resolve) => sleep(resolve, 2))
  }
  await new Promise((resolve) => sleep(resolve, 500))
  hearing = false
  globalThis.setTimeout = restore
  for (const all of Object.values(sections)) all.sort((a: number, b: number) => b - a)
  return sections
}

/** From the call to the end of all that was queued by it: ticks run when no microtask is left. */
function timed(sections: number[], f: () => void): void {
  const start = performance.now()
  queueMicrotask(() => process.nextTick(() => sections.push(performance.now() - start)))
  f()
}
