/** One run of bench cold: 40,000 queries in simulated time, with a memory or without. */

import { seeded } from '../../src/base/random'
import { createPredictor } from '../../src/predictor/create'
import { SimulatedThread, type ThreadCosts } from '../../src/testing/simulated-thread'
import { VirtualClock } from '../../src/testing/virtual-clock'
import type { ModelName } from '../shared/models'
import { queriesOf } from '../shared/moved-images'
import { randomTrouble, SimulatedWorker } from '../shared/simulated'
import { WORKERS } from './latency-run'

/** Queries that are told of together. */
export const SPAN = 5000
const MEAN_MS = 11.8
export interface Job {
  model: ModelName
  load: number
  policy: 'retry' | 'auto'
  seed: number
  costs: ThreadCosts
}

/** Of each span. */
export interface Span {
  p50: number
  p99: number
  /** Shares of the queries: given a recovery, and a wrong one. */
  recovered: number
  wrong: number
}

const labelOf = (answer: Float32Array) => answer.indexOf(Math.max(...answer))

export async function simulate({ model, load, policy, seed, costs }: Job): Promise<Span[]> {
  const { inputs, answers, signature } = await queriesOf(model)
  const projecting = seeded(1)
  const weights = Float64Array.from(inputs[0], () => projecting.next())
  const keyOf = (row: Float32Array) => row.reduce((sum, value, i) => sum + value * weights[i], 0)
  const known = new Map(inputs.map((row, i) => [keyOf(row), i]))
  const clock = new VirtualClock()
  const [arriving, serving] = [seeded(1000 * seed), seeded(1000 * seed + 1)]
  const answer = (row: Float32Array) => answers[known.get(keyOf(row)) as number].slice()
  const simulation = { clock, serviceMs: randomTrouble(serving), answer, signature }
  const workers = Array.from({ length: WORKERS }, (_, i) => new SimulatedWorker(i, simulation))
  const scheme = { queries: 1 }
  const predictor = await createPredictor({ workers, scheme, policy, testing: { clock, memoryThread: new SimulatedThread(clock, costs).spawn }, limits: { queries: 1e5 }, onWarning() {} }) // biome-ignore format: one line
  const order = arriving.choose(inputs.length, inputs.length)
  const asked = order.map(() => ({ ms: Number.POSITIVE_INFINITY, recovered: false, wrong: false }))
  let [next, due] = [0, 0]
  const arrive = () => {
    const [query, since] = [next, due]
    const at = order[next++]
    predictor.predict(inputs[at]).then(({ output, status }) => {
      const recovered = status === 'recovered'
      const label = labelOf(output[signature.outputs[0].name].data as Float32Array)
      asked[query] = { ms: clock.now() - since, recovered, wrong: recovered && label !== labelOf(answers[at]) }
    })
    if (next === order.length) return
    due += (-Math.log(1 - arriving.next()) * MEAN_MS) / (load * WORKERS)
    clock.after(due - clock.now(), arrive)
  }
  clock.after(0, arrive)
  await clock.run()
  await predictor.close()
  return Array.from({ length: asked.length / SPAN }, (_, span) => spanOf(asked.slice(span * SPAN, (span + 1) * SPAN)))
}

function spanOf(asked: { ms: number; recovered: boolean; wrong: boolean }[]): Span {
  const sorted = asked.map(({ ms }) => ms).sort((a, b) => a - b)
  const at = (share: number) => sorted[Math.floor(share * (sorted.length - 1))]
  const share = (what: 'recovered' | 'wrong') => asked.filter((each) => each[what]).length / asked.length
  return { p50: at(0.5), p99: at(0.99), recovered: share('recovered'), wrong: share('wrong') }
}
