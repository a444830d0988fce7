/**
 * npm run bench -- stream [--json]: 2,000 queries, open loop, through real threads of which one of nine is always slow by
 * 200 ms: always the same, or another one every 50 queries. The bare model (nine threads as well, one queue, whoever is
 * idle) and every policy take turns within one run, 100 queries each. Needs `npm run data`.
 */

import { setTimeout as sleep } from 'node:timers/promises'
import { createPredictor, FaultyWorker, localWorkers, type Policy, type Prediction } from 'approxifer'
import { loadInputs, loadLabels } from '../src/cli/npy'
import { uncoded } from '../src/cli/pools'
import { table } from '../src/cli/table'
import { type Random, seeded } from '../src/random'

const QUERIES = 2000
const TURN = 100
const SLOW_MS = 200
const WANDER = 50
const PER_SECOND = 200
const WORKERS = 9

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

const argmax = (values: Float32Array) => values.indexOf(Math.max(...values))

async function faultyWorkers() {
  let inferences = 0
  const local = await localWorkers({ model: 'models/mnist-lenet.onnx', count: WORKERS, onWarning: () => {} })
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

async function bare(): Promise<System> {
  const { workers, inferences } = await faultyWorkers()
  const way = uncoded(workers)
  const ask = async (query: Float32Array): Promise<Answered> => {
    const start = performance.now()
    const answer = await way(query)
    return { ms: performance.now() - start, label: argmax(answer), status: 'exact' }
  }
  return { name: 'bare model', workers, ask, inferences, close: () => Promise.all(workers.map((w) => w.close())) }
}

async function coded(policy: Policy): Promise<System> {
  const { workers, inferences } = await faultyWorkers()
  const predictor = await createPredictor({ scheme: { queries: WORKERS - 1, stragglers: 1 }, workers, policy })
  const ask = async (query: Float32Array): Promise<Answered> => {
    const start = performance.now()
    const { output, status } = await predictor.predict(query)
    return { ms: performance.now() - start, label: argmax(output.logits.data), status }
  }
  return { name: policy, workers, ask, inferences, close: () => predictor.close() }
}

/** Queries `from` to `to`, at random times, whatever becomes of them. */
async function turn(system: System, inputs: Float32Array[], from: number, to: number, wander: boolean, random: Random) {
  const answers: Promise<Answered>[] = []
  let next = performance.now()
  for (let i = from; i < to; i++) {
    next -= (1000 / PER_SECOND) * Math.log(1 - random.next())
    const wait = next - performance.now()
    if (wait > 0) await sleep(wait)
    const slow = wander ? Math.floor(i / WANDER) % WORKERS : WORKERS - 1
    system.workers.forEach((worker, w) => {
      worker.faults = w === slow ? { delayMs: SLOW_MS } : {}
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

export async function stream(json: boolean): Promise<void> {
  const inputs = (await loadInputs('data/mnist-images.npy')).slice(0, QUERIES)
  const labels = (await loadLabels('data/mnist-labels.npy')).slice(0, QUERIES)
  const results: Record<string, ReturnType<typeof summary>[]> = {}
  for (const wander of [false, true]) {
    const systems = [await bare(), await coded('recover'), await coded('retry'), await coded('auto')]
    const answered = systems.map(() => [] as Answered[])
    for (let from = 0; from < QUERIES; from += TURN) {
      for (const [i, system] of systems.entries()) {
        answered[i].push(...(await turn(system, inputs, from, from + TURN, wander, seeded(from))))
      }
    }
    const name = wander ? `another worker slow every ${WANDER} queries` : 'always the same worker slow'
    results[name] = systems.map((system, i) => summary(system, answered[i], labels))
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
