/** One run of bench loop: a predictor with a memory in real time, and the longest that it held the event loop. */

import { setTimeout as after } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'
import type { Clock } from '../../src/base/clock'
import { seeded } from '../../src/base/random'
import type { TensorList } from '../../src/base/tensor'
import { platform } from '../../src/platform/node'
import { createPredictor } from '../../src/predictor/create'
import type { ModelWorker } from '../../src/workers/worker'
import { median } from '../shared/measure'
import { threadTime } from '../shared/thread-time'

export interface Job {
  shape: number[]
  outputs: number
  core: 'wasm' | 'js'
  /** How long it is asked, with a pause of so many milliseconds between two queries, or none. */
  seconds: number
  pauseMs: number
  memory: boolean
  /** Whether what it is sure of is answered unasked, so that each query is looked up. */
  reuse: boolean
}

export interface Held {
  /** What held it. */
  what: string
  tasks: number
  /** Milliseconds of processor time: the longest, and that which one in a thousand is above. */
  longest: number
  high: number
}

export interface Run {
  held: Held[]
  /** The same of turns of the loop, all that happened in one included. */
  turns: Held
  queries: number
  remembered: number
  /** Milliseconds, of the second half of the queries. */
  median: number
  /** Pairs before and after a worker's answers were forgotten, milliseconds of processor time until that was done, and what held the loop then. */
  forgot: { before: number; after: number; ms: number; longest: number }
}

const WORKERS = 32
/** Of a worker, where queries are looked up: if it answered at once lookups would not pay, and would stop. */
const INFERENCE_MS = 10
/** That ask at the same time there, so that as many answers are learned in the same time. */
const CALLERS = 16
const CLASSES = 10

/** As a predictor with the system's clock has it. */
const memoryThread = (onDeath: (why: string) => void) =>
  platform.spawn(() => new Worker(new URL('../../dist/worker.js', import.meta.url)), onDeath)

class Watch {
  readonly times = new Map<string, number[]>()

  add(what: string, ms: number): void {
    const times = this.times.get(what)
    if (times) times.push(ms)
    else this.times.set(what, [ms])
  }

  timed<T>(what: string, run: () => T): T {
    const start = threadTime()
    const result = run()
    this.add(what, threadTime() - start)
    return result
  }

  held(what: string): Held {
    const times = (this.times.get(what) ?? [0]).sort((a, b) => b - a)
    return { what, tasks: times.length, longest: times[0], high: times[Math.floor(times.length / 1000)] }
  }
}

/** The system's clock, with what its timers do measured, by who has set them. */
function watched(watch: Watch): Clock {
  process.setSourceMapsEnabled(false) // a first stack would read those of all files: 6 ms of the first query
  return {
    now: () => performance.now(),
    after(ms, f, quiet) {
      const [, method, file] = /at (\S+) .*?([\w-]+)\.ts/.exec(new Error().stack?.split('\n')[2] ?? '') ?? []
      const who = `${file}${method}`
      const timer = setTimeout(() => watch.timed(who, f), ms)
      if (quiet) timer.unref()
      return () => clearTimeout(timer)
    },
    soon: (f) => void setImmediate(() => watch.timed('soon', f)),
  }
}

/** Prototypes and noise; the answers tell which prototype it is. */
function model({ shape, outputs }: Job) {
  const length = shape.reduce((a, b) => a * b)
  const random = seeded(1)
  const noise = Float32Array.from({ length: length + 4096 }, () => random.gauss())
  const kinds = Array.from({ length: Math.min(CLASSES, outputs) }, () => Float32Array.from({ length }, () => random.gauss())) // biome-ignore format: one line
  const query = () => {
    const [kind, at] = [kinds[random.below(kinds.length)], random.below(4096)]
    return kind.map((value, i) => value + noise[at + i])
  }
  const answer = (query: Float32Array) => {
    const scores = kinds.map((kind) => kind.reduce((sum, value, i) => sum + value * query[i], 0) / length)
    return Float32Array.from({ length: outputs }, (_, i) => scores[i % scores.length] / (1 + Math.floor(i / CLASSES)))
  }
  return { query, answer }
}

/** Answers in a task of its own. */
function worker(
  index: number,
  { shape, outputs, reuse }: Job,
  answer: (query: Float32Array) => Float32Array,
): ModelWorker {
  const signature = { inputs: [{ name: 'x', shape }], outputs: [{ name: 'y', shape: [outputs] }] }
  return {
    ...{ name: `worker ${index}`, signature, free: true, onFree: undefined },
    infer: ([{ data }]: TensorList) =>
      new Promise((resolve) => {
        const settle = () =>
          resolve([{ type: 'float32', shape: [outputs], data: answer(data as Float32Array) }] as never)
        if (reuse) setTimeout(settle, INFERENCE_MS)
        else setImmediate(settle)
      }),
    close: async () => {},
  } as ModelWorker
}

export async function simulate(job: Job): Promise<Run> {
  const watch = new Watch()
  const { query, answer } = model(job)
  const queries = Array.from({ length: Math.min(512, Math.ceil(2e7 / job.shape.reduce((a, b) => a * b))) }, query)
  const answers = new Map(queries.map((each) => [each[0], answer(each)]))
  const known = (asked: Float32Array) => (answers.get(asked[0]) ?? answer(asked)).slice() // a predictor has a query of its own
  const workers = Array.from({ length: WORKERS }, (_, i) => worker(i, job, known))
  const predictor = await createPredictor({
    workers,
    right: 'label',
    ...(job.memory && { memory: { bytes: 2 ** 29 }, policy: 'auto' as const }),
    ...(job.reuse && { reuse: { maxError: 0.05 } }),
    onWarning: () => {},
    testing: { clock: watched(watch), core: { prefer: job.core }, memoryThread },
  })
  const latencies: number[] = []
  const random = seeded(2)
  let turn = threadTime()
  let isOpen = true
  const turning = () => {
    watch.add('turns', threadTime() - turn)
    turn = threadTime()
    if (isOpen) setImmediate(turning)
  }
  setImmediate(turning)
  const ask = async () => {
    const asked = queries[random.below(queries.length)].slice()
    asked[1] += 0.1 * random.gauss() // none is the same
    const start = performance.now()
    await watch.timed('predict', () => predictor.predict(asked))
    latencies.push(performance.now() - start)
  }
  const end = performance.now() + 1000 * job.seconds
  const caller = async () => {
    while (performance.now() < end) {
      await ask()
      if (job.pauseMs) await after(job.pauseMs)
      if (latencies.length % 1000 === 0) await Promise.all(Array.from({ length: 100 }, ask))
    }
  }
  await Promise.all(Array.from({ length: job.reuse ? CALLERS : 1 }, caller))
  const remembered = predictor.stats().memoryPairs
  const turns = watch.held('turns')
  const kinds = [...watch.times.keys()].filter((what) => what !== 'turns').map((what) => watch.held(what))
  watch.times.clear()
  watch.timed('forget', () => predictor.forget('worker 3'))
  for (let least = 0; least < 100; least = predictor.stats().memoryPairs === 0 ? 0 : least + 1) await after(20)
  isOpen = false
  const forgot = [...watch.times.keys()].filter((what) => what !== 'turns').map((what) => watch.held(what))
  const spent = [...watch.times].filter(([what]) => what !== 'turns').flatMap(([, times]) => times)
  return {
    held: kinds.sort((a, b) => b.longest - a.longest),
    turns,
    queries: latencies.length,
    remembered,
    median: median(latencies.slice(latencies.length >> 1)),
    forgot: {
      before: remembered,
      after: predictor.stats().memoryPairs,
      ms: spent.reduce((a, b) => a + b, 0),
      longest: Math.max(...forgot.map(({ longest }) => longest)),
    },
  }
}
