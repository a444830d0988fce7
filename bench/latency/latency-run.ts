/** One run of bench latency: one pass over a model's test images, in simulated time, by one system. */

import { labelAt } from '../../src/base/criterion'
import { type Random, seeded } from '../../src/base/random'
import { createPredictor } from '../../src/predictor/create'
import type { PredictorOptions } from '../../src/predictor/options'
import { SimulatedThread, type ThreadCosts } from '../../src/testing/simulated-thread'
import { VirtualClock } from '../../src/testing/virtual-clock'
import type { Tail } from '../shared/arrivals'
import { Blind, ByHand, type ByHandOptions } from '../shared/by-hand'
import { type Data, dataOf, experienceFor, type ModelName, modelled, remember } from '../shared/models'
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
} from '../shared/simulated'

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
