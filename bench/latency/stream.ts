/**
 * npm run bench -- stream [QUERIES] [--json]: 2,000 queries unless told otherwise, open loop, through real threads of which
 * one of nine is always slow by 200 ms: always the same, or another one every 50 queries; and that once more with machines
 * emulated that take 10 ms, of which one takes 50 more. The bare model (nine threads as well, one queue, whoever is idle),
 * hedged requests by hand, and the predictor's policies take turns within one run, 100 queries each. Needs `npm run data`.
 */

import { setTimeout as sleep } from 'node:timers/promises'
import { createPredictor, localWorkers, type Prediction, type PredictorOptions } from 'approxifer'
import { FaultyWorker } from 'approxifer/testing'
import { systemClock } from '../../src/base/clock'
import { labelAt } from '../../src/base/criterion'
import { type Random, seeded } from '../../src/base/random'
import { loadInputs, loadLabels } from '../../src/cli/npy'
import { table } from '../../src/cli/table'
import { ByHand } from '../shared/by-hand'
import { uncoded } from './plain-pool'

const TURN = 100
const WANDER = 50
const PER_SECOND = 200
const WORKERS = 9

/** What an answer takes on top of the model's own time, and what it takes more on the slow worker. */
interface Setting {
  name: string
  serviceMs: number
  slowMs: number
  wander: boolean
}

const settings: Setting[] = [
  { name: 'always the same worker slow', serviceMs: 0, slowMs: 200, wander: false },
  { name: `another worker slow every ${WANDER} queries`, serviceMs: 0, slowMs: 200, wander: true },
  { name: 'answers of 10 ms, another worker slow every 50', serviceMs: 10, slowMs: 50, wander: true },
]

interface Answered {
  ms: number
  label: number
  status: Prediction['status']
}

interface System {
  name: string
  workers: FaultyWorker[]
  ask(query: Float32Array): Promise<Answered>
  /** Inferences that the workers were asked for. */
  inferences(): number
  close(): Promise<unknown>
}

const digitOf = (logits: Float32Array) => labelAt(logits, { classes: logits.length })

async function faultyWorkers() {
  let inferences = 0
  const local = await localWorkers({ model: 'models/mnist-lenet.onnx', workers: WORKERS, onWarning: () => {} })
  const workers = local.map((worker, i) => {
    const faulty = new FaultyWorker(worker, {}, i)
    const infer = faulty.infer.bind(faulty)
    faulty.infer = (...call) => {
      inferences++
      return infer(...call)
    }
    return faulty
  })
  return { workers, inferences: () => inferences }
}

/** Without a predictor: whoever answers, the answer is the model's own. */
async function plain(name: string, way: (workers: FaultyWorker[]) => (query: Float32Array) => Promise<Float32Array>) {
  const { workers, inferences } = await faultyWorkers()
  const given = way(workers)
  const ask = async (query: Float32Array): Promise<Answered> => {
    const start = performance.now()
    const answer = await given(query)
    return { ms: performance.now() - start, label: digitOf(answer), status: 'exact' }
  }
  return { name, workers, ask, inferences, close: () => Promise.all(workers.map((w) => w.close())) }
}

const hedged = (workers: FaultyWorker[]) => {
  const pool = new ByHand(systemClock, workers, { hedges: 0.1 })
  return (query: Float32Array) => pool.ask(query)
}

async function ours(name: string, options: Partial<PredictorOptions>): Promise<System> {
  const { workers, inferences } = await faultyWorkers()
  const predictor = await createPredictor({ workers, ...options })
  const ask = async (query: Float32Array): Promise<Answered> => {
    const start = performance.now()
    const { output, status } = await predictor.predict(query)
    return { ms: performance.now() - start, label: digitOf(output.logits.data), status }
  }
  return { name, workers, ask, inferences, close: () => predictor.close() }
}

const scheme = { queries: WORKERS - 1, stragglers: 1 }
const all = () =>
  Promise.all([
    plain('bare model', uncoded),
    plain('hedge by hand', hedged),
    ours('no scheme', {}),
    ours('recover', { scheme, policy: 'recover' }),
    ours('retry', { scheme, policy: 'retry' }),
    ours('auto', { scheme, policy: 'auto' }),
  ])

/** Queries `from` to `to`, at random times, whatever becomes of them. */
async function turn(
  system: System,
  inputs: Float32Array[],
  from: number,
  to: number,
  setting: Setting,
  random: Random,
) {
  const { serviceMs, slowMs, wander } = setting
  const answers: Promise<Answered>[] = []
  let next = performance.now()
  for (let i = from; i < to; i++) {
    next -= (1000 / PER_SECOND) * Math.log(1 - random.next())
    const wait = next - performance.now()
    if (wait > 0) await sleep(wait)
    const slow = wander ? Math.floor(i / WANDER) % WORKERS : WORKERS - 1
    system.workers.forEach((worker, w) => {
      worker.faults = { delayMs: serviceMs + (w === slow ? slowMs : 0) }
    })
    answers.push(system.ask(inputs[i]))
  }
  return Promise.all(answers)
}

const quantile = (values: number[], share: number) =>
  [...values].sort((a, b) => a - b)[Math.min(values.length - 1, Math.floor(share * values.length))] ?? Number.NaN

function summary(system: System, answered: Answered[], labels: ArrayLike<number>) {
  const right = (each: Answered) => Number(each.label === labels[answered.indexOf(each)])
  const share = (some: Answered[]) => some.reduce((sum, each) => sum + right(each), 0) / some.length
  const exact = answered.filter(({ status }) => status === 'exact')
  const recovered = answered.filter(({ status }) => status === 'recovered')
  const all = answered.map(({ ms }) => ms)
  return {
    name: system.name,
    exactP50: quantile(exact.map(({ ms }) => ms), 0.5), // biome-ignore format: one line a figure
    p50: quantile(all, 0.5),
    p99: quantile(all, 0.99),
    accuracy: share(answered),
    recovered: recovered.length,
    recoveredAccuracy: recovered.length ? share(recovered) : undefined,
    inferencesPerQuery: system.inferences() / answered.length,
  }
}

export default async function stream(json: boolean, [asked = '2000']: string[]): Promise<void> {
  const inputs = (await loadInputs('data/mnist-images.npy')).slice(0, Number(asked))
  const labels = await loadLabels('data/mnist-labels.npy')
  const queries = inputs.length
  const results: Record<string, ReturnType<typeof summary>[]> = {}
  for (const setting of settings) {
    const systems = await all()
    const answered = systems.map(() => [] as Answered[])
    for (let from = 0; from < queries; from += TURN) {
      for (const [i, system] of systems.entries()) {
        answered[i].push(...(await turn(system, inputs, from, from + TURN, setting, seeded(from))))
      }
    }
    results[setting.name] = systems.map((system, i) => summary(system, answered[i], labels))
    await Promise.all(systems.map((system) => system.close()))
  }
  if (json) console.log(JSON.stringify(results, null, 2))
  else for (const [name, rows] of Object.entries(results)) print(name, rows)
}

function print(name: string, rows: ReturnType<typeof summary>[]): void {
  const out = table([name, 'p50 exact', 'p50', 'p99', 'accuracy', 'recovered', 'right of them', 'inferences a query'])
  const ms = (value: number) => `${value.toFixed(2)} ms`
  for (const row of rows) {
    const right = row.recoveredAccuracy === undefined ? '' : `${(100 * row.recoveredAccuracy).toFixed(1)} %`
    out.push([row.name, ms(row.exactP50), ms(row.p50), ms(row.p99), `${(100 * row.accuracy).toFixed(1)} %`]
      .concat([String(row.recovered), right, row.inferencesPerQuery.toFixed(2)])) // biome-ignore format: two lines
  }
  console.log(`\n${out}`)
}
