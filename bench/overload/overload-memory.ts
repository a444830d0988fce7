/**
 * npm run bench -- overload-memory [SEEDS] [MODEL ..] [--json]: answers from memory under overload, in simulated time: 27 workers of 10 ms, 2 % of calls ten times
 * as long; lookups and learning are charged, but for one row where a lookup costs .05 ms, as of a table. A memory that was taught 1,000 images, then
 * 12,000 queries at a load of .7: images and images moved by a pixel. Then 5,000 within 50 ms, offered 1.5 and 2.5 times what the workers can
 * do. Without; where only those are looked up that would be refused (`ask` and `onOverload: 'remember'`); and where all are, before they are
 * asked. Medians of seeds, five unless told otherwise, and the lowest and highest share that was answered: a span of the ledger that runs out of catches gives
 * nothing more, and one is longer than what is measured here. Needs `npm run data`.
 */

import { labelAt } from '../../src/base/criterion'
import type { ApproxiferError } from '../../src/base/errors'
import { seeded } from '../../src/base/random'
import { table } from '../../src/cli/table'
import { loadCore } from '../../src/core/load'
import { learnFrom } from '../../src/evaluate/learn'
import { createPredictor } from '../../src/predictor/create'
import type { PredictOptions, PredictorOptions } from '../../src/predictor/options'
import { SimulatedThread, type ThreadCosts } from '../../src/testing/simulated-thread'
import { VirtualClock } from '../../src/testing/virtual-clock'
import { median } from '../shared/measure'
import { measureCosts } from '../shared/memory-costs'
import { type ModelName, modelOf } from '../shared/models'
import { queriesOf } from '../shared/moved-images'
import { randomTrouble, SimulatedWorker } from '../shared/simulated'

const WORKERS = 27
const MEAN_MS = 11.8
const KNOWN = 1000
const WARM = { load: 0.7, queries: 12_000 }
const LOADS = [1.5, 2.5]
const MEASURED = 5000
/** Of these, at first, when the workers have no queue yet. */
const UNCOUNTED = 500
const DEADLINE_MS = 50
const SEEDS = 5

/** How a query is asked; undefined: nothing is remembered. */
const ways: Record<string, PredictOptions | undefined> = {
  nobody: undefined,
  'refused ones': { ask: true, onOverload: 'remember' },
  all: { onOverload: 'remember' },
}

interface Job {
  model: ModelName
  maxError: number
  /** What a lookup costs; default: what it does here. */
  look?: number
}

const jobs: Job[] = [
  { model: 'mnist-lenet', maxError: 0.01 },
  { model: 'mnist-lenet', maxError: 0.01, look: 0.05 },
  { model: 'fashion-lenet', maxError: 0.01 },
  { model: 'cifar-resnet8', maxError: 0.01 },
]

/** Shares of the queries, milliseconds of those that were answered, and inferences a query. */
interface Run {
  answered: number
  refused: number
  late: number
  remembered: number
  wrong: number
  p50: number
  p99: number
  inferences: number
}

interface Offered extends Job {
  charges: ThreadCosts
  load: number
  way: string
  seed: number
  run: Run
}

/** Machines with the model's answers to all images, and which image is asked for when. */
async function worldOf(model: ModelName) {
  const { inputs, answers, signature } = await queriesOf(model)
  const keyOf = ({ buffer, byteOffset, byteLength }: Float32Array) => Buffer.from(buffer, byteOffset, byteLength).toString('latin1') // biome-ignore format: one line
  const known = new Map(inputs.map((row, i) => [keyOf(row), i]))
  const rest = seeded(1).choose(inputs.length - KNOWN, inputs.length - KNOWN)
  const order = rest.map((i) => KNOWN + i)
  const answer = (row: Float32Array) => answers[known.get(keyOf(row)) as number].slice()
  return { inputs, answers, order, signature, answer }
}
type World = Awaited<ReturnType<typeof worldOf>>

const label = (values: Float32Array) => labelAt(values, { classes: values.length })

/** Offers a part of the queries. @returns what it came to, and what was learned */
async function offer(
  { inputs, answers, order, signature, answer }: World,
  {
    load,
    from,
    count,
    charges,
    seed,
  }: { load: number; from: number; count: number; charges: ThreadCosts; seed: number },
  options: PredictorOptions,
  choices: PredictOptions = {},
): Promise<{ run: Run; state: Uint8Array }> {
  const clock = new VirtualClock()
  const [arriving, serving, tossing] = [2, 3, 4].map((part) => seeded(10 * seed + part))
  const law = randomTrouble(serving)
  const workers = Array.from(
    { length: WORKERS },
    (_, i) => new SimulatedWorker(i, { clock, serviceMs: law, answer, signature }),
  )
  const common = { workers, limits: { queries: 1e5 }, deadlineMs: DEADLINE_MS, onWarning() {} }
  const predictor = await createPredictor({
    ...common,
    ...options,
    testing: { clock, coin: tossing.next, memoryThread: new SimulatedThread(clock, charges).spawn },
  })
  const times: number[] = []
  const counts: Record<string, number> = {}
  const calls = () => workers.reduce((sum, worker) => sum + worker.calls, 0)
  let [next, due, before] = [0, 0, 0]
  const arrive = () => {
    const at = order[from + next++]
    if (next === UNCOUNTED) before = calls()
    const [isCounted, since] = [next > UNCOUNTED, due]
    const tell = (what: string) => {
      if (isCounted) counts[what] = (counts[what] ?? 0) + 1
    }
    predictor.predict(inputs[at], choices).then(
      ({ output, status }) => {
        if (isCounted) times.push(clock.now() - since)
        tell(status)
        if (label(Object.values(output)[0].data as Float32Array) !== label(answers[at])) tell('wrong')
      },
      ({ code }: ApproxiferError) => tell(code),
    )
    if (next === count) return
    due += (-Math.log(1 - arriving.next()) * MEAN_MS) / (load * WORKERS)
    clock.after(Math.max(0, due - clock.now()), arrive)
  }
  clock.after(0, arrive)
  await clock.run()
  const saving = predictor.save()
  await clock.run() // the memory's thread is of the same time
  const state = await saving
  await predictor.close()
  const share = (what: string) => (counts[what] ?? 0) / (count - UNCOUNTED)
  times.sort((a, b) => a - b)
  const quantile = (q: number) => times[Math.floor(q * (times.length - 1))]
  const answered = times.length / (count - UNCOUNTED)
  const shares = { answered, refused: share('OVERLOADED'), late: share('DEADLINE'), remembered: share('remembered'), wrong: share('wrong') } // biome-ignore format: one line
  const inferences = (calls() - before) / (count - UNCOUNTED)
  return { run: { ...shares, p50: quantile(0.5), p99: quantile(0.99), inferences }, state }
}

/** What is known of images that were taught. */
async function taught({ model, maxError }: Job, { inputs }: World): Promise<PredictorOptions> {
  const own = { core: await loadCore(), model: await modelOf(model), fingerprint: model }
  const { state } = await learnFrom({ ...own, inputs: inputs.slice(0, KNOWN), onProgress() {} })
  return { reuse: { maxError }, memory: { state: state as Uint8Array } }
}

/** What a server knows that has answered for a while. */
async function warmed(options: PredictorOptions, world: World, charges: ThreadCosts, seed: number) {
  const { state } = await offer(world, { load: WARM.load, from: 0, count: WARM.queries, charges, seed }, options)
  return { ...options, memory: { state } }
}

export default async function overloadMemory(json: boolean, words: string[]): Promise<void> {
  const seeds = Number(words.find((word) => /^\d+$/.test(word)) ?? SEEDS)
  const models = words.filter((word) => !/^\d+$/.test(word))
  const runs: Offered[] = []
  for (const job of jobs.filter(({ model }) => !models.length || models.some((word) => model.includes(word)))) {
    const costs = await measureCosts(job.model)
    const charges = { ...costs, look: job.look ?? costs.lookUp }
    const world = await worldOf(job.model)
    const first = await taught(job, world)
    for (let seed = 1; seed <= seeds; seed++) {
      const options = await warmed(first, world, charges, seed)
      for (const load of LOADS)
        for (const [way, choices] of Object.entries(ways)) {
          const part = { load, from: WARM.queries, count: MEASURED, charges, seed }
          runs.push({ ...job, charges, load, way, seed, run: (await offer(world, part, choices ? options : {}, choices)).run }) // biome-ignore format: one line
          if (!json) console.error(JSON.stringify(runs.at(-1)))
        }
    }
  }
  console.log(json ? JSON.stringify(runs, null, 2) : `${tableOf(runs)}`)
}

function tableOf(runs: readonly Offered[]) {
  const out = table(['model, maxError', 'a look, ms', 'offered', 'looked up', 'answered', 'of seeds', 'refused', 'too late', 'remembered', 'wrong', 'p50, ms', 'p99', 'inferences a query']) // biome-ignore format: one line
  const percent = (part: number) => `${(100 * part).toFixed(1)} %`
  const cellOf = ({ model, maxError, charges, load, way }: Offered) => [`${model}, ${maxError}`, charges.lookUp.toFixed(2), `${load}x`, way] // biome-ignore format: one line
  const cells = new Map<string, Offered[]>()
  for (const run of runs) {
    const name = cellOf(run).join()
    cells.set(name, [...(cells.get(name) ?? []), run])
  }
  for (const all of cells.values()) {
    const of = (what: keyof Run) => median(all.map(({ run }) => run[what]))
    const answered = all.map(({ run }) => run.answered)
    const range = [Math.min(...answered), Math.max(...answered)].map(percent).join(' to ')
    const shares = (['refused', 'late', 'remembered', 'wrong'] as const).map((what) => percent(of(what)))
    out.push([...cellOf(all[0]), percent(of('answered')), range, ...shares, of('p50').toFixed(1), of('p99').toFixed(1), of('inferences').toFixed(2)]) // biome-ignore format: one line
  }
  return out
}
