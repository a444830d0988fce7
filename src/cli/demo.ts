/** approxifer demo: real digits through real workers, of which one straggles, one dies and one lies. */

import { setTimeout } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { SingleBar } from 'cli-progress'
import { argmax } from '../evaluate/evaluate'
import { replicationWorkers } from '../evaluate/rivals'
import { Scheme, type SchemeOptions } from '../scheme'
import { createPredictor, type Predictor } from '../serving/predictor'
import { type Faults, FaultyWorker } from '../workers/faulty'
import { localWorkers } from '../workers/local'
import { loadInputs, loadLabels } from './npy'
import { table } from './table'

export interface DemoOptions extends SchemeOptions {
  digits: number
  seed: number
  json?: boolean
}

/** What goes wrong in each scene, with which worker, and what the scheme must tolerate for it to be shown. */
const SCENES: { name: string; culprit?: number; faults: Faults; needs: 'queries' | 'stragglers' | 'byzantine' }[] = [
  { name: 'all is well', faults: {}, needs: 'queries' },
  { name: 'a straggler (+200 ms)', culprit: 1, faults: { delayMs: 200 }, needs: 'stragglers' },
  { name: 'a worker that dies', culprit: 2, faults: { crash: 1 }, needs: 'stragglers' },
  { name: 'a liar', culprit: 3, faults: { lie: 1, attack: 'gauss:10' }, needs: 'byzantine' },
]

/** The class a query got and how long that took; undefined where the answer was lost. */
interface Got {
  digit: number | undefined
  ms: number
}

type Way = (query: Float32Array, at: number) => Promise<number>

const file = (name: string) => fileURLToPath(new URL(`../models/${name}`, import.meta.url))

export async function demo(options: DemoOptions): Promise<void> {
  const { queries, stragglers, byzantine, workers: N, points } = options
  const size = { queries, stragglers, byzantine, workers: N, points }
  const scheme = new Scheme(size)
  const say = options.json ? () => {} : console.log
  const [inputs, labels] = await Promise.all([
    loadInputs(file('mnist-digits.npy')),
    loadLabels(file('mnist-labels.npy')),
  ])
  const digits = Array.from({ length: options.digits }, (_, i) => i % inputs.length)
  say(`Starting ${scheme.workers} workers with a LeNet for MNIST ...`)
  const local = await localWorkers({
    model: file('mnist-lenet.onnx'),
    count: Math.max(scheme.workers, 4),
    maxPending: 8,
  })
  const workers = local.map((worker, i) => new FaultyWorker(worker, {}, options.seed + i))
  const predictor = await createPredictor({ scheme: size, workers, seed: options.seed })
  const ways: Record<string, Way> = {
    coded: coded(predictor),
    uncoded: uncoded(workers),
    replicated: replicated(workers, scheme),
  }
  const bar = new SingleBar({ format: '{bar} {value}/{total} {scene}', clearOnComplete: true })
  const acts = SCENES.filter(({ needs }) => scheme[needs] > 0)
  const total = (1 + 3 * acts.length) * digits.length
  if (process.stderr.isTTY && !options.json) bar.start(total, 0, { scene: 'warming up' })
  const run = (way: Way) =>
    stream(
      way,
      digits.map((i) => inputs[i]),
      scheme.queries,
      () => bar.increment(),
    )
  const scenes: Scene[] = []
  try {
    await run(ways.coded) // the first inferences of a worker are several times slower
    for (const { name, culprit, faults } of acts) {
      bar.update({ scene: name })
      const before = predictor.stats().workers
      const got: Record<string, Got[]> = {}
      for (const [way, ask] of Object.entries(ways)) {
        if (culprit !== undefined) workers[culprit].faults = faults
        got[way] = await run(ask)
      }
      if (culprit !== undefined) workers[culprit].faults = {}
      while (!workers.every((worker) => worker.free)) await setTimeout(20) // the dead one comes back
      const after = predictor.stats().workers
      scenes.push({ name, culprit: culprit === undefined ? undefined : workers[culprit].name, got, before, after })
    }
  } finally {
    bar.stop()
    await predictor.close()
  }
  const truth = digits.map((i) => labels[i])
  if (options.json)
    console.log(
      JSON.stringify(
        scenes.map((scene) => summary(scene, truth)),
        null,
        2,
      ),
    )
  else print(scenes, truth, scheme)
}

interface Scene {
  name: string
  culprit?: string
  got: Record<string, Got[]>
  before: ReturnType<Predictor['stats']>['workers']
  after: ReturnType<Predictor['stats']>['workers']
}

/** Asks for K queries at a time, the next K when all of them are settled. */
async function stream(way: Way, queries: Float32Array[], size: number, done: () => void): Promise<Got[]> {
  const got: Got[] = []
  for (let from = 0; from < queries.length; from += size) {
    const start = performance.now()
    const part = queries.slice(from, from + size).map(async (query, i) => {
      const digit = await way(query, from + i).catch(() => undefined)
      done()
      return { digit, ms: performance.now() - start }
    })
    got.push(...(await Promise.all(part)))
  }
  return got
}

function coded(predictor: Predictor): Way {
  return async (query) => {
    const { output } = await predictor.predict(query)
    return argmax(Object.values(output)[0].data)
  }
}

/** Each query to one worker, in turn. */
function uncoded(workers: readonly FaultyWorker[]): Way {
  return async (query, at) => argmax(await workers[at % workers.length].infer(query))
}

/** Each query to as many workers as tolerate S and E; a class that E + 1 of them agree on wins. */
function replicated(workers: readonly FaultyWorker[], scheme: Scheme): Way {
  const copies = Math.min(workers.length, replicationWorkers(scheme) / scheme.queries)
  return (query, at) =>
    new Promise((resolve, reject) => {
      const votes = new Map<number, number>()
      let left = copies
      const settle = () => {
        if (!--left) reject(new Error('no majority'))
      }
      for (let copy = 0; copy < copies; copy++) {
        const worker = workers[(at * copies + copy) % workers.length]
        const answered = worker.infer(query).then((answer) => {
          const digit = argmax(answer)
          votes.set(digit, (votes.get(digit) ?? 0) + 1)
          if ((votes.get(digit) ?? 0) > scheme.byzantine) resolve(digit)
        })
        answered.catch(() => {}).finally(settle)
      }
    })
}

function summary({ name, culprit, got, before, after }: Scene, truth: number[]) {
  const ways = Object.fromEntries(
    Object.entries(got).map(([way, answers]) => {
      const times = answers.map((answer) => answer.ms).sort((a, b) => a - b)
      const at = (share: number) => times[Math.ceil(share * times.length) - 1]
      const right = answers.filter((answer, i) => answer.digit === truth[i]).length
      const lost = answers.filter((answer) => answer.digit === undefined).length
      return [way, { accuracy: right / truth.length, lost, p50: at(0.5), p99: at(0.99) }]
    }),
  )
  const workers = after.map((stats, i) => ({
    worker: stats.worker,
    onTime: stats.onTime - before[i].onTime,
    late: stats.late - before[i].late,
    failed: stats.failed - before[i].failed,
    suspected: stats.suspected - before[i].suspected,
  }))
  return { scene: name, culprit, ways, workers }
}

function print(scenes: Scene[], truth: number[], scheme: Scheme): void {
  const { queries, stragglers, byzantine, workers, quorum } = scheme
  const all = scenes.map((scene) => summary(scene, truth))
  const percent = (share: number) => `${(100 * share).toFixed(1)} %`

  console.log('\nWhat happened to which worker ("late" is after the quorum; locators accuse E workers in every group)')
  const fates = table(['scene', 'culprit', 'on time', 'late', 'failed', 'accused', 'others accused'])
  for (const { scene, culprit, workers: stats } of all.slice(1)) {
    const own = stats.find((worker) => worker.worker === culprit) as (typeof stats)[number]
    const others = stats.reduce((sum, worker) => sum + (worker === own ? 0 : worker.suspected), 0)
    fates.push([scene, culprit, own.onTime, own.late, own.failed, own.suspected, others])
  }
  console.log(fates.toString())

  console.log('\nWhat the first queries of each scene got ("." is no answer)')
  const answers = table(['scene', 'the digits', 'coded', 'uncoded', 'replicated'])
  const show = (digits: (number | undefined)[]) => digits.map((digit) => digit ?? '.').join(' ')
  for (const { name, got } of scenes) {
    const first = Object.values(got).map((way) => show(way.slice(0, queries).map((answer) => answer.digit)))
    answers.push([name, show(truth.slice(0, queries)), ...first])
  }
  console.log(answers.toString())

  console.log(`\nAccuracy and latency, ${truth.length} digits per scene and way, in one run`)
  const figures = table(['scene', '', 'accuracy', 'lost', 'median', '99th percentile'])
  for (const { scene, ways } of all) {
    Object.entries(ways).forEach(([way, { accuracy, lost, p50, p99 }], i) => {
      figures.push([i ? '' : scene, way, percent(accuracy), lost, `${p50.toFixed(1)} ms`, `${p99.toFixed(1)} ms`])
    })
  }
  console.log(figures.toString())
  const copies = replicationWorkers(scheme)
  console.log(
    `\nCoded: ${queries} queries on ${workers} workers (${(workers / queries).toFixed(2)}x), decoded from ${quorum}; ` +
      `tolerates ${stragglers} missing and ${byzantine} lying.\nReplication that tolerates as much: ${copies} workers ` +
      `(${(copies / queries).toFixed(2)}x). Here both share the same ${workers} threads on this machine.`,
  )
}
