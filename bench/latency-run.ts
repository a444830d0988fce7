/** One run of bench latency: one pass over a model's test images, in made time, by one system. */

import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import process from 'node:process'
import { criterionOf, labelAt } from '../src/base/criterion'
import { type Random, seeded } from '../src/base/random'
import { mean } from '../src/base/stats'
import type { Signature } from '../src/base/tensor'
import { loadInputs } from '../src/cli/npy'
import { loadCore } from '../src/core/load'
import { answersOf } from '../src/evaluate/model'
import { Experience } from '../src/memory/experience'
import type { Charges } from '../src/memory/inline'
import { createPredictor } from '../src/predictor/create'
import type { PredictorOptions } from '../src/predictor/options'
import { SimulatedThread, type ThreadCosts } from '../src/testing/simulated-thread'
import { VirtualClock } from '../src/testing/virtual-clock'
import { OnnxModel } from '../src/workers/onnx/model'
import { readModel } from '../src/workers/onnx/model-file'
import { type ModelName, models } from './accuracy'
import type { Tail } from './arrivals'
import { Blind, ByHand, type ByHandOptions } from './by-hand'
import {
  bimodal,
  MEDIAN_MS,
  pauses,
  randomTrouble,
  type ServiceTime,
  SimulatedWorker,
  type Simulation,
  slowPool,
  wanderingTrouble,
} from './simulated'

export const WORKERS = 27
/** Of a pass: not counted, and the last of them asked as all others are, so that it is known what is late. */
export const FIRST = 1000
const ASKED = 100
/** What becomes of the recovered answers is kept for so many queries at a time. */
export const BLOCK = 500
/** Deadlines, in medians. */
export const DEADLINES = [1.5, 2, 3] as const

/** Each with what an answer takes on average, which the arrivals are reckoned by; of `pool slow` while it is not. */
const troubles = {
  random: { law: randomTrouble, meanMs: 11.8 },
  wandering: { law: wanderingTrouble, meanMs: 13 },
  bimodal: { law: bimodal, meanMs: 15.4 },
  pauses: { law: pauses, meanMs: 10.6 },
  'pool slow': { law: slowPool, meanMs: 11.8 },
} satisfies Record<string, { law(random: Random, workers: number): ServiceTime; meanMs: number }>

/** What the second half is: `clothes`, images of another set; `mix`, nine in ten of other classes than in the first. */
export type Shift = 'none' | 'clothes' | 'mix'

export interface Job {
  model: ModelName
  trouble: keyof typeof troubles
  shift: Shift
  load: number
  system: string
  /** In medians. */
  deadline?: number | undefined
  seed: number
}

export interface Figures extends Tail {
  /** Share of the queries that were answered with the model's own label by so many medians. */
  inTime: Partial<Record<number, number>>
  /** Recovered answers, and those of them with the model's own label, of every BLOCK queries. */
  recovered: number[]
  agreed: number[]
  failed: number
}

interface Data {
  inputs: Float32Array[]
  answers: Float32Array[]
  signature: Signature
  /** Which image a row is. */
  indexOf(row: Float32Array): number | undefined
}

/** The model's answers to images of a set, kept in build/. */
async function answersTo(name: ModelName, set: string, inputs: Float32Array[], model: OnnxModel) {
  const file = `build/answers-${name}-${set}.f32`
  if (!existsSync(file)) {
    const all = await answersOf(model, inputs)
    writeFileSync(file, new Uint8Array(Float32Array.from(all.flatMap((answer) => [...answer])).buffer))
  }
  const values = new Float32Array(new Uint8Array(readFileSync(file)).buffer)
  const length = values.length / inputs.length
  return inputs.map((_, i) => values.slice(i * length, (i + 1) * length))
}

const loaded = new Map<string, Promise<Data>>()
const theModels = new Map<ModelName, Promise<OnnxModel>>()

export function modelOf(name: ModelName): Promise<OnnxModel> {
  const model = theModels.get(name) ?? readModel(`models/${name}.onnx`).then((bytes) => OnnxModel.load(bytes))
  theModels.set(name, model)
  return model
}

/** All images that a model is shown: those of its own set and, where asked for, another's behind them. */
export function dataOf(name: ModelName, other?: string): Promise<Data> {
  const key = `${name} ${other}`
  const data = loaded.get(key) ?? load(name, other)
  loaded.set(key, data)
  return data
}

async function load(name: ModelName, other: string | undefined): Promise<Data> {
  const model = await modelOf(name)
  const { signature } = model
  const data: Omit<Data, 'indexOf'> = { inputs: [], answers: [], signature }
  for (const set of [models[name], ...(other ? [other] : [])]) {
    const inputs = await loadInputs(`data/${set}-images.npy`, signature.inputs[0].shape)
    data.answers.push(...(await answersTo(name, set, inputs, model)))
    data.inputs.push(...inputs)
  }
  const random = seeded(1)
  const weights = Float64Array.from(data.inputs[0], () => random.next())
  const keyOf = (row: Float32Array) => row.reduce((sum, value, i) => sum + value * weights[i], 0)
  const index = new Map(data.inputs.map((row, i) => [keyOf(row), i]))
  return { ...data, indexOf: (row) => index.get(keyOf(row)) }
}

/** Which image is asked for when: one pass. */
function orderOf({ shift, seed }: Pick<Job, 'shift' | 'seed'>, { answers }: Data): number[] {
  const random = seeded(seed)
  const count = shift === 'clothes' ? answers.length / 2 : answers.length
  const order = random.choose(count, count)
  if (shift === 'clothes')
    return [...order.slice(0, count / 2), ...random.choose(count, count / 2).map((i) => count + i)]
  if (shift === 'none') return order
  const low = (i: number) => labelAt(answers[i], { classes: answers[i].length }) < 5
  const kinds = [order.filter(low), order.filter((i) => !low(i))]
  const half = Math.floor(count / 2)
  return order.flatMap((_, at) => {
    const usual = at < half ? 0 : 1
    const kind = random.next() < 0.9 ? usual : 1 - usual
    return kinds[kind].pop() ?? kinds[1 - kind].pop() ?? []
  })
}

export const experienceFor = async ({ signature }: Data, state?: Uint8Array) => {
  const criterion = criterionOf(signature.outputs)
  return new Experience(await loadCore(), signature, { criterion, warn: console.warn, state })
}

export function remember(memory: Experience, { inputs, answers }: Data, which: readonly number[]): void {
  for (const i of which) {
    memory.confidence.observe(answers[i])
    for (const _ of memory.train(inputs[i], answers[i])) {
    }
  }
}

/** What a predictor has learned of the first images; the last one is kept. */
let state: { key: string; bytes: Uint8Array } | undefined

async function stateOf(job: Job, data: Data, order: readonly number[]): Promise<Uint8Array> {
  const key = `${job.model} ${job.shift} ${job.seed}`
  if (state?.key === key) return state.bytes
  const memory = await experienceFor(data)
  remember(memory, data, order.slice(0, FIRST - ASKED))
  state = { key, bytes: memory.save() }
  return state.bytes
}

/** What a message takes of the thread that sends or reads it, and how long it is on its way, ms: as measured by `npm run bench -- memory-thread`. */
const MESSAGES = { message: 0.015, way: 0.05 }

/** What lookups and lessons cost here, with 1,000 pairs, in processor time: the least of three means. */
export async function measureCosts(name: ModelName): Promise<ThreadCosts> {
  const data = await dataOf(name)
  const memory = await experienceFor(data)
  remember(memory, data, [...Array(FIRST).keys()])
  const times: Record<keyof Charges, number[][]> = { lookUp: [], comparing: [], step: [] }
  const timed = <T>(what: keyof Charges, run: () => T): T => {
    const before = process.cpuUsage()
    const result = run()
    const { user, system } = process.cpuUsage(before)
    times[what].at(-1)?.push((user + system) / 1000)
    return result
  }
  for (let round = 0; round < 3; round++) {
    for (const each of Object.values(times)) each.push([])
    for (let i = 0; i < 100; i++) {
      const at = FIRST + 100 * round + i
      timed('lookUp', () => memory.recall(data.inputs[at]))
      const lesson = memory.train(data.inputs[at], data.answers[at])
      timed('comparing', () => lesson.next())
      while (!timed('step', () => lesson.next()).done) {}
    }
  }
  const least = (what: keyof Charges) => Math.min(...times[what].map(mean))
  return { lookUp: least('lookUp'), comparing: least('comparing'), step: least('step'), ...MESSAGES }
}

interface System {
  /** @returns the answer and whether it was recovered */
  ask(query: Float32Array, deadlineMs: number | undefined): Promise<{ answer: Float32Array; recovered: boolean }>
  close(): Promise<void>
}

type Make = (
  clock: VirtualClock,
  workers: SimulatedWorker[],
  state: () => Promise<Uint8Array>,
  costs: ThreadCosts,
) => Promise<System>

const byHand =
  (options: ByHandOptions): Make =>
  async (clock, workers) => {
    const pool = new ByHand(clock, workers, options)
    return { ask: async (query) => ({ answer: await pool.ask(query), recovered: false }), close: async () => {} }
  }

const ours =
  (options: PredictorOptions): Make =>
  async (clock, workers, stateOf, costs) => {
    const learns = options.scheme?.preset === undefined && options.policy !== 'retry'
    const learned = learns && { memory: { state: await stateOf() } }
    const predictor = await createPredictor({
      workers,
      testing: { clock, memoryThread: new SimulatedThread(clock, costs).spawn },
      limits: { queries: 1e5 },
      onWarning() {},
      ...learned,
      ...options,
    })
    const [{ name }] = predictor.signature.outputs
    return {
      async ask(query, deadlineMs) {
        const { output, status } = await predictor.predict(query, { deadlineMs, atDeadline: 'give' })
        return { answer: output[name].data, recovered: status === 'recovered' }
      },
      close: () => predictor.close(),
    }
  }

const [alone, coded] = [
  { queries: 1, stragglers: 0 },
  { queries: 8, stragglers: 1 },
]

export const systems: Record<string, Make> = {
  'no redundancy': byHand({}),
  hedge: byHand({ hedges: 0.1 }),
  'hedge, blind': byHand({ hedges: 0.1, pool: Blind }),
  'twice each': byHand({ copies: 2 }),
  'paper’s code': ours({ scheme: { ...coded, preset: 'aaai22' } }),
  retry: ours({ scheme: alone, policy: 'retry' }),
  'recover, S = 0': ours({ scheme: alone, policy: 'recover' }),
  'recover, S = 1': ours({ scheme: coded, policy: 'recover' }),
  'auto, S = 0': ours({ scheme: alone, policy: 'auto' }),
  'auto, S = 1': ours({ scheme: coded, policy: 'auto' }),
}

/** @param job  with what the coordinator is charged */
export async function simulate(job: Job & { costs: ThreadCosts }): Promise<Figures> {
  const { trouble, load, system, seed, deadline, costs } = job
  const { law, meanMs } = troubles[trouble]
  const data = await dataOf(job.model, job.shift === 'clothes' ? 'fashion' : undefined)
  const order = orderOf(job, data)
  const clock = new VirtualClock()
  const [arriving, serving] = [seeded(1000 * seed), seeded(1000 * seed + 1)]
  const simulation: Simulation = {
    clock,
    serviceMs: law(serving, WORKERS),
    answer: (row) => {
      const index = data.indexOf(row)
      return index === undefined ? modelled(job.model, row, clock) : data.answers[index].slice()
    },
    signature: data.signature,
  }
  const workers = Array.from({ length: WORKERS }, (_, i) => new SimulatedWorker(i, simulation))
  const { ask, close } = await systems[system](clock, workers, () => stateOf(job, data, order), costs)
  const asked: Asked[] = []
  let before = 0
  const worked = () => workers.reduce((sum, { workedMs }) => sum + workedMs, 0)
  const D = deadline === undefined ? undefined : deadline * MEDIAN_MS
  let due = 0
  const arrive = () => {
    const at = order[FIRST - ASKED + asked.length]
    const query: Asked = { ms: Number.POSITIVE_INFINITY, right: false, recovered: false }
    if (asked.push(query) === ASKED) before = worked()
    const since = due // it came then, whenever the coordinator could see to it
    const left = D === undefined ? undefined : Math.max(0, since + D - clock.now())
    ask(data.inputs[at], left).then(
      ({ answer, recovered }) => {
        const classes = answer.length
        query.ms = clock.now() - since
        query.recovered = recovered
        query.right = labelAt(answer, { classes }) === labelAt(data.answers[at], { classes })
      },
      () => {},
    )
    if (asked.length === order.length - FIRST + ASKED) return
    due += (-Math.log(1 - arriving.next()) * meanMs) / (load * WORKERS)
    clock.after(due - clock.now(), arrive)
  }
  clock.after(0, arrive)
  await clock.run()
  await close()
  return figuresOf(asked.slice(ASKED), (worked() - before) / (order.length - FIRST), deadline)
}

interface Asked {
  ms: number
  right: boolean
  recovered: boolean
}

function figuresOf(asked: Asked[], machineMs: number, deadline: number | undefined): Figures {
  const sorted = asked.map(({ ms }) => ms).sort((a, b) => a - b)
  const at = (share: number) => sorted[Math.floor(share * (sorted.length - 1))]
  const inTime = (D: number) =>
    asked.filter(({ ms, right }) => right && ms <= D * MEDIAN_MS + 1e-9).length / asked.length
  const blocks = Array.from({ length: Math.ceil(asked.length / BLOCK) }, (_, i) =>
    asked.slice(i * BLOCK, (i + 1) * BLOCK),
  )
  const count = (some: Asked[], such: (each: Asked) => boolean) => some.filter(such).length
  return {
    p50: at(0.5),
    p99: at(0.99),
    p999: at(0.999),
    machineMs,
    inTime: Object.fromEntries((deadline ? [deadline] : DEADLINES).map((D) => [D, inTime(D)])),
    recovered: blocks.map((block) => count(block, ({ recovered }) => recovered)),
    agreed: blocks.map((block) => count(block, ({ recovered, right }) => recovered && right)),
    failed: count(asked, ({ ms }) => ms === Number.POSITIVE_INFINITY),
  }
}

/** What is no image was mixed of several: the real model answers, while time stands still. */
export async function modelled(name: ModelName, row: Float32Array, clock: VirtualClock): Promise<Float32Array> {
  const release = clock.hold()
  try {
    const [answer] = await answersOf(await modelOf(name), [row])
    return answer
  } finally {
    release()
  }
}
