/** approxifer demo: real digits through emulated machines, of which one is slow, one crashes and one lies. */

import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { createPredictor } from '../create'
import { labelAt } from '../criterion'
import { replicationWorkers } from '../evaluate/rivals'
import { seeded } from '../random'
import { Scheme, type SchemeOptions, verifiedWorkers } from '../scheme'
import type { Predictor } from '../serving/predictor'
import type { Verdict } from '../serving/verification'
import { type Faults, FaultyWorker } from '../workers/faulty'
import { localWorkers } from '../workers/local'
import { loadInputs, loadLabels } from './npy'
import { replicated, uncoded, type Way } from './pools'
import { Progress } from './progress'
import { table } from './table'
import { wrap } from './terminal'

export interface DemoOptions extends SchemeOptions {
  digits: number
  seed: number
  json?: boolean
}

/** What an answer takes on a machine, besides the model itself: as on a machine of its own. */
const SERVICE_MS = [18, 22] as const
const SLOW_MS = 400
/** An answer that takes longer is of no use to its caller. */
const IN_TIME_MS = 250
/** Share of the machines' time that queries alone take. */
const LOAD = 0.25
/** Answers by whose times a predictor tells what is late. */
const PACE = 200
/** Digits from which the memory learns before the scenes; no scene shows one of them. */
const WARM_UP = 160
const MOST = 240

interface Scene {
  name: string
  /** The machine that something is wrong with. */
  culprit?: number
  faults?: Faults
}

const ACT_ONE: Scene[] = [
  { name: 'all is well' },
  { name: 'one is slow', culprit: 1, faults: { delayMs: SLOW_MS } },
  { name: 'one crashes', culprit: 2, faults: { crash: 1 } },
]
const ACT_TWO: Scene[] = [{ name: 'one lies', culprit: 3, faults: { lie: 1, attack: 'gauss:10' } }]

/** The class a query got and how long that took; undefined where the answer was lost. */
interface Got {
  digit: number | undefined
  ms: number
  /** Of the coded way: the model's own answer, not a recovered one. */
  own?: boolean
}

export interface Figures {
  /** Right, and within IN_TIME_MS. */
  accuracy: number
  lost: number
  late: number
  own?: number
  /** Inferences per query. */
  asked: number
  p50: number
  p99: number
}

interface Result {
  scene: string
  ways: Record<string, Figures>
  /** Of the coded way, where somebody lies: who was shown to, and after how many lies. */
  convicted?: { liar: string; lies: number | undefined; others: number }
}

interface Digits {
  warm: Float32Array[]
  inputs: Float32Array[]
  labels: number[]
}

const file = (name: string) => fileURLToPath(new URL(`../models/${name}`, import.meta.url))

export async function demo(options: DemoOptions): Promise<void> {
  const { queries, stragglers, byzantine, seed, json } = options
  if (!stragglers && !byzantine) throw new RangeError('demo: expected stragglers or liars to show, got none of either')
  const schemes = { one: new Scheme({ queries, stragglers }), two: new Scheme({ queries, byzantine }) }
  const machines = verifiedWorkers(schemes.two)
  const digits = await load(options.digits)
  const say = (text: string) => json || console.log(wrap(text))
  say(
    `Machines that take ${SERVICE_MS.join(' to ')} ms an answer, emulated: a LeNet for MNIST runs in threads here, and each waits the ` +
      `rest. (Threads of one computer share its cores; to gain anything, workers are machines of their own.)`,
  )
  const progress = new Progress(!json)
  try {
    if (stragglers) {
      say(
        `\nAct one, nobody lies: ${queries} queries on ${schemes.one.workers} machines, in every way. "Slow" takes ${SLOW_MS} ms, "late" is after ${IN_TIME_MS} ms, "right" is not late, "own" is the model's own answer (others are recovered), "asked" how many machines a query took; hedged asks another machine for what is late; replicated asks every query ${stragglers + 1} times`,
      )
    }
    const first = stragglers ? await act(ACT_ONE, schemes.one, schemes.one.workers, digits, seed, progress) : []
    if (!json && first.length) printFigures(first)
    if (byzantine)
      say(
        `\nAct two: ${machines} machines, of which ${byzantine} may lie: an answer is given if ${byzantine + 1} machines agree on it, or if a memory of earlier answers is sure of the label`,
      )
    const second = byzantine ? await act(ACT_TWO, schemes.two, machines, digits, seed, progress) : []
    if (!json && second.length) printFigures(second)
    if (json) console.log(JSON.stringify([...first, ...second], null, 2))
    else for (const sentence of conclusion(first, second, schemes, machines)) say(`\n${sentence}`)
  } finally {
    progress.stop()
  }
}

async function load(count: number): Promise<Digits> {
  const [inputs, labels] = await Promise.all([
    loadInputs(file('mnist-digits.npy')),
    loadLabels(file('mnist-labels.npy')),
  ])
  const from = WARM_UP
  const to = from + Math.min(count, MOST)
  return { warm: inputs.slice(0, WARM_UP), inputs: inputs.slice(from, to), labels: labels.slice(from, to) }
}

/** Every scene in every way, with the same queries at the same times. */
async function act(scenes: Scene[], scheme: Scheme, count: number, digits: Digits, seed: number, progress: Progress) {
  const results: Result[] = []
  const { byzantine, queries } = scheme
  const copies = replicationWorkers(scheme) / queries
  for (const scene of scenes) {
    const run = (way: string, ask: Ask) => {
      progress.start(`${scene.name}, ${way}`, digits.inputs.length)
      return stream(ask, digits.inputs, (LOAD * count) / SERVICE_MS[1], seed, progress)
    }
    const { convicted, ...ours } = await runCoded(scene, scheme, count, digits, seed, run)
    const hedged = byzantine ? undefined : await runHedged(scene, count, digits, seed, run)
    let machines = await start(count, seed, scene)
    const bare = await run('uncoded', plain(uncoded(machines)))
    if (scene.faults?.crash) {
      await Promise.all(machines.map((machine) => machine.close())) // the next way has a crash of its own
      machines = await start(count, seed, scene)
    }
    const twice = await run('replicated', plain(replicated(machines, copies, byzantine, sameDigit)))
    await Promise.all(machines.map((machine) => machine.close()))
    const ways = {
      [byzantine ? 'verified' : 'coded']: ours,
      ...(hedged && { hedged }),
      uncoded: { got: bare, asked: 1 },
      replicated: { got: twice, asked: copies },
    }
    const each = Object.entries(ways).map(([way, { got, asked }]) => [way, figures(got, asked, digits.labels)])
    results.push({ scene: scene.name, ways: Object.fromEntries(each), ...(convicted && { convicted }) })
  }
  progress.stop()
  return results
}

/** With machines and a predictor of its own: what it learned or suffered in one scene is no matter to the next. */
async function runCoded(
  scene: Scene,
  { queries, stragglers, byzantine }: Scheme,
  count: number,
  digits: Digits,
  seed: number,
  run: (way: string, ask: Ask) => Promise<Got[]>,
) {
  const machines = await start(count, seed, scene)
  const options = { scheme: { queries, stragglers, byzantine }, maxWaitMs: 2 * SERVICE_MS[1], seed }
  const verdicts: Verdict[] = []
  const told = { onWarning: () => {}, onVerdict: (verdict: Verdict) => void verdicts.push(verdict) }
  const predictor = await createPredictor({ ...options, ...told, workers: machines })
  const truths = machines.map((machine) => machine.faults)
  if (scene.faults?.lie) for (const machine of machines) machine.faults = { delayMs: SERVICE_MS } // it lies once the scene begins
  await warmUp(predictor, machines, digits.warm)
  machines.forEach((machine, i) => {
    machine.faults = truths[i]
  })
  const before = answersOf(predictor)
  const got = await run(byzantine ? 'verified' : 'coded', coded(predictor))
  const asked = (answersOf(predictor) - before) / got.length
  const liar = machines[scene.culprit as number]?.name
  const lies = verdicts.find(({ worker, kind }) => worker === liar && kind === 'convicted')?.evidence.lies
  const others = new Set(verdicts.map(({ worker }) => worker).filter((worker) => worker !== liar)).size
  await predictor.close()
  return { got, asked, ...(scene.faults?.lie && { convicted: { liar, lies, others } }) }
}

/** Inferences that a predictor's machines were asked for so far. */
function answersOf(predictor: Predictor): number {
  const each = predictor.stats().workers.map(({ onTime, late, failed, rejected }) => onTime + late + failed + rejected)
  return each.reduce((sum, count) => sum + count, 0)
}

/** On the same pool, nothing coded and nothing remembered: what is late is asked for again. */
async function runHedged(
  scene: Scene,
  count: number,
  digits: Digits,
  seed: number,
  run: (way: string, ask: Ask) => Promise<Got[]>,
) {
  const machines = await start(count, seed, scene)
  const predictor = await createPredictor({ workers: machines, seed, onWarning: () => {} })
  await pace(predictor, machines, digits.warm)
  const before = answersOf(predictor)
  const got = await run('hedged', coded(predictor))
  const asked = (answersOf(predictor) - before) / got.length
  await predictor.close()
  return { got: got.map(({ digit, ms }) => ({ digit, ms })), asked }
}

/** Threads with the model, each slowed down to a machine's pace. */
async function start(count: number, seed: number, { culprit, faults }: Scene): Promise<FaultyWorker[]> {
  const threads = await localWorkers({ model: file('mnist-lenet.onnx'), count, maxPending: 1, onWarning: () => {} })
  const machines = threads.map((thread, i) => new FaultyWorker(thread, {}, seed + i))
  // The first inferences of a thread are several times slower.
  await Promise.all(
    machines.map(async (machine) => {
      for (let i = 0; i < 20; i++) await machine.infer(new Float32Array(784).fill(i / 20))
    }),
  )
  machines.forEach((machine, i) => {
    machine.faults = { delayMs: SERVICE_MS, ...(i === culprit && faults) }
  })
  return machines
}

/**
 * With machines that take no time, so that nobody has to wait for the memory to begin; then, where nobody lies, as many digits at
 * the machines' pace as tell what is late.
 */
async function warmUp(predictor: Predictor, machines: readonly FaultyWorker[], digits: readonly Float32Array[]) {
  const faults = machines.map((machine) => machine.faults)
  for (const machine of machines) machine.faults = {}
  await predictor.predictAll(digits)
  await sleep(700) // learning goes on for about half a second
  machines.forEach((machine, i) => {
    machine.faults = faults[i]
  })
  if (predictor.stats().remembered) await pace(predictor, machines, digits)
}

/** So many answers at the machines' pace, with nothing wrong, as tell what is late. */
async function pace(predictor: Predictor, machines: readonly FaultyWorker[], digits: readonly Float32Array[]) {
  const faults = machines.map((machine) => machine.faults)
  for (const machine of machines) machine.faults = { delayMs: SERVICE_MS }
  for (let from = 0; from < PACE; from += digits.length) await predictor.predictAll(digits.slice(0, PACE - from))
  machines.forEach((machine, i) => {
    machine.faults = faults[i]
  })
}

type Ask = (query: Float32Array) => Promise<Pick<Got, 'digit' | 'own'>>

function coded(predictor: Predictor): Ask {
  return async (query) => {
    const { output, status } = await predictor.predict(query)
    return { digit: digitOf(Object.values(output)[0].data), own: status === 'exact' || status === 'checked' }
  }
}

function plain(way: Way): Ask {
  return async (query) => ({ digit: digitOf(await way(query)) })
}

const digitOf = (answer: Float32Array) => labelAt(answer, { classes: answer.length })
const sameDigit = (a: Float32Array, b: Float32Array) => digitOf(a) === digitOf(b)

/** Queries that come at random times, so many a millisecond; the same times in every way. */
async function stream(ask: Ask, queries: readonly Float32Array[], rate: number, seed: number, progress: Progress) {
  const random = seeded(seed)
  const got: Promise<Got>[] = []
  let due = performance.now()
  for (const query of queries) {
    due += -Math.log(1 - random.next()) / rate
    await sleep(Math.max(0, due - performance.now()))
    const start = performance.now()
    const answered = ask(query)
      .catch(() => ({ digit: undefined }))
      .then((answer) => ({ ...answer, ms: performance.now() - start }))
    got.push(answered)
    progress.update(got.length)
  }
  return Promise.all(got)
}

function figures(got: readonly Got[], asked: number, labels: readonly number[]): Figures {
  const answered = got.filter(({ digit }) => digit !== undefined)
  const times = answered.map(({ ms }) => ms).sort((a, b) => a - b)
  const at = (share: number) => times[Math.ceil(share * times.length) - 1]
  const right = got.filter(({ digit, ms }, i) => digit === labels[i] && ms <= IN_TIME_MS).length
  return {
    accuracy: right / got.length,
    lost: got.length - answered.length,
    late: answered.filter(({ ms }) => ms > IN_TIME_MS).length,
    ...(got.some(({ own }) => own !== undefined) && { own: got.filter(({ own }) => own).length / got.length }),
    asked,
    p50: at(0.5),
    p99: at(0.99),
  }
}

const percent = (share: number) => `${(100 * share).toFixed(1)} %`
const ms = (value: number) => `${value.toFixed(0)} ms`

function printFigures(results: readonly Result[]): void {
  const rows = table(['', 'way', 'right', 'own', 'asked', 'lost', 'late', 'median', '99 % within'])
  for (const { scene, ways } of results) {
    Object.entries(ways).forEach(([way, { accuracy, own, asked, lost, late, p50, p99 }], i) => {
      const share = own === undefined ? '' : percent(own)
      rows.push([i ? '' : scene, way, percent(accuracy), share, asked.toFixed(2), lost, late, ms(p50), ms(p99)])
    })
  }
  console.log(rows.toString())
}

/** What happened, in numbers of this run. */
function conclusion(
  one: readonly Result[],
  two: readonly Result[],
  schemes: { one: Scheme; two: Scheme },
  machines: number,
): string[] {
  const said: string[] = []
  const lie = two[0]
  if (lie?.convicted) {
    const { ways, convicted } = lie
    const { verified, uncoded: bare, replicated: thrice } = ways
    const when =
      convicted.lies === undefined
        ? 'was not caught'
        : `was convicted after ${convicted.lies} of its lies and asked for nothing more`
    said.push(
      `The liar, ${convicted.liar}, ${when}; honest machines convicted: ${convicted.others}. Right: ${percent(verified.accuracy)} verified, ${percent(bare.accuracy)} uncoded, ${percent(thrice.accuracy)} replicated, for ` +
        `${verified.asked.toFixed(2)}, 1 and ${thrice.asked} inferences a query. The paper's code takes ${schemes.two.workers} machines in the place of ${machines}.`,
    )
  }
  const slow = one[1]?.ways
  if (slow) {
    const { coded: ours, hedged, uncoded: bare, replicated: twice } = slow
    said.push(
      `With one of ${schemes.one.workers} machines slow, 99 of 100 answers came within ${ms(ours.p99)} coded, ${ms(bare.p99)} uncoded and ${ms(twice.p99)} replicated; ` +
        `right within ${IN_TIME_MS} ms were ${percent(ours.accuracy)}, ${percent(bare.accuracy)} and ${percent(twice.accuracy)}, ` +
        `where replication asks every query twice and the code asks one more in ${schemes.one.queries} at most.`,
    )
    const more = ours.p99 < hedged.p99 ? `${(hedged.p99 / ours.p99).toFixed(1)} times` : 'no more than'
    said.push(
      `Hedged requests on the same pool took ${ms(hedged.p99)} for that, ${more} the ${ms(ours.p99)} of the coded way.`,
    )
  }
  return said
}
