/**
 * Queries and machines in simulated time. Real are the digits, the model's answers to them, the predictor, its pool and its memory.
 * Only waiting takes no time, so that the figures are the same on any machine, however busy.
 */

import { type Random, seeded } from '../../base/random'
import { ByHand, type ByHandOptions } from '../../film/by-hand'
import { type Digits, labelOf } from '../../film/digits'
import { createPredictor } from '../../predictor/create'
import type { PredictorOptions } from '../../predictor/options'
import { parseAttack } from '../../testing/faults'
import { SimulatedThread, type ThreadCosts } from '../../testing/simulated-thread'
import { MEDIAN_MS, randomTrouble, SimulatedWorker, type Simulation } from '../../testing/simulated-worker'
import { VirtualClock } from '../../testing/virtual-clock'

/** Where a system answers queries; every system has the same queries at the same times. */
export interface World {
  machines: number
  /** Share of their time that the queries take if each is asked once. */
  load: number
  /** Queries of a run that are not counted: until then nobody knows what is late. */
  first: number
  /** Whether one machine swaps the two largest values of every answer. */
  liar: boolean
  runs: number
  seed: number
}

/** What answers queries in one run; `ejected` is told the names of workers that were shown to lie. */
export type System = (
  clock: VirtualClock,
  workers: readonly SimulatedWorker[],
  ejected: (worker: string) => void,
) => Promise<{ ask(query: Float32Array): Promise<Float32Array>; close?(): Promise<void> }>

export interface Measured {
  p50: number
  p99: number
  p999: number
  /** Share of the queries that were not answered with the model's own label. */
  wrong: number
  /** Inferences a query; and the share of the machines' time that they take: above 1 the queue grows as long as queries come. */
  asked: number
  busy: number
  /** How often the liar had lied when it was ejected, of each run in which it was. */
  lies: number[]
  framed: number
}

/** Digits that the memory knows before a run; the others are asked for, each once in a run. */
export const KNOWN = 160
/** What an answer takes on average, by `randomTrouble`. */
const MEAN_MS = 11.8
/** As measured by `npm run bench -- latency`, with a memory of 1,000 pairs. */
const COSTS: ThreadCosts = { lookUp: 0.18, comparing: 0.25, step: 0.1, message: 0.02, way: 0.1 }

export const byHand =
  (options: ByHandOptions): System =>
  async (clock, workers) => {
    const pool = new ByHand(clock, workers, { same: (a, b) => labelOf(a) === labelOf(b), ...options })
    return { ask: (query) => pool.ask(query) }
  }

export const predictor =
  (options: PredictorOptions): System =>
  async (clock, workers, ejected) => {
    const made = await createPredictor({
      workers,
      testing: { clock, memoryThread: new SimulatedThread(clock, COSTS).spawn },
      onWarning() {},
      onEvent: (told) => told.event === 'ejected' && told.why === 'lied' && ejected(told.worker),
      ...options,
    })
    return {
      ask: async (query) => Object.values((await made.predict(query)).output)[0].data as Float32Array,
      close: () => made.close(),
    }
  }

/** What a predictor has learned from the first digits, for its option `memory.state`. */
export async function learned(digits: Digits): Promise<Uint8Array> {
  const clock = new VirtualClock()
  const simulation = simulationOf(digits, clock, () => MEDIAN_MS)
  const workers = [new SimulatedWorker(0, simulation)]
  const made = await createPredictor({ workers, testing: { clock }, policy: 'auto' })
  for (const image of digits.images.slice(0, KNOWN)) {
    const predicted = made.predict(image)
    await clock.run() // to the end of what is learned from it
    await predicted
  }
  const state = await made.save()
  await made.close()
  return state
}

/** @param machines  that it has, where they are not as many as the world says  @param done  told after every run */
export async function simulate(
  system: System,
  world: World,
  digits: Digits,
  machines = world.machines,
  done = () => {},
): Promise<Measured> {
  const journal = new Journal()
  for (let run = 0; run < world.runs; run++) {
    await once(system, world, digits, machines, 1000 * world.seed + 10 * run, journal)
    done()
  }
  const { measured } = journal
  return { ...measured, busy: (measured.asked * world.load * world.machines) / machines }
}

async function once(
  system: System,
  world: World,
  digits: Digits,
  machines: number,
  seed: number,
  journal: Journal,
): Promise<void> {
  const [arriving, serving, lying] = [seed, seed + 1, seed + 2].map(seeded)
  const clock = new VirtualClock()
  const simulation = simulationOf(digits, clock, randomTrouble(serving))
  const workers = Array.from({ length: machines }, (_, i) => new SimulatedWorker(i, simulation))
  const liar = world.liar ? new Liar(machines - 1, simulation, lying) : undefined
  if (liar) workers.splice(-1, 1, liar)
  const { ask, close } = await system(clock, workers, (worker) => journal.ejected(worker === liar?.name, liar?.lies))
  const rest = digits.images.length - KNOWN
  const queries = arriving.choose(rest, rest).map((i) => KNOWN + i)
  let [asked, due] = [0, 0]
  const arrive = () => {
    const at = queries[asked++]
    const since = due // it came then, whenever the coordinator could see to it
    const counts = asked > world.first
    ask(digits.images[at]).then(
      (answer) => counts && journal.answered(clock.now() - since, labelOf(answer) === labelOf(digits.answers[at])),
      () => counts && journal.answered(Number.POSITIVE_INFINITY, false),
    )
    if (asked === rest) return
    due += (-Math.log(1 - arriving.next()) * MEAN_MS) / (world.load * world.machines)
    clock.after(due - clock.now(), arrive)
  }
  clock.after(0, arrive)
  await clock.run()
  journal.asked += asked
  for (const { calls } of workers) journal.calls += calls
  await close?.()
}

/** Machines that give the model's own answers; nothing here is coded, so that they are asked for nothing but these images. */
function simulationOf(
  { images, answers, signature }: Digits,
  clock: VirtualClock,
  serviceMs: Simulation['serviceMs'],
): Simulation {
  const keyOf = ({ buffer, byteOffset, byteLength }: Float32Array) =>
    Buffer.from(buffer, byteOffset, byteLength).toString('latin1')
  const known = new Map(images.map((image, i) => [keyOf(image), answers[i]]))
  return { clock, serviceMs, signature, answer: (row) => (known.get(keyOf(row)) as Float32Array).slice() }
}

class Liar extends SimulatedWorker {
  lies = 0
  readonly #attack = parseAttack('swap')
  readonly #random: Random

  constructor(index: number, simulation: Simulation, random: Random) {
    super(index, simulation)
    this.#random = random
  }

  override async answer(vector: Float32Array): Promise<Float32Array> {
    const own = await super.answer(vector)
    this.lies++
    return this.#attack([own], this.#random)[0]
  }
}

class Journal {
  /** Queries, those included that are not counted otherwise, and inferences. */
  asked = 0
  calls = 0
  readonly #ms: number[] = []
  #wrong = 0
  readonly #lies: number[] = []
  #framed = 0

  answered(ms: number, right: boolean): void {
    this.#ms.push(ms)
    if (!right) this.#wrong++
  }

  ejected(isLiar: boolean, lies = 0): void {
    if (isLiar) this.#lies.push(lies)
    else this.#framed++
  }

  get measured(): Omit<Measured, 'busy'> {
    const sorted = this.#ms.toSorted((a, b) => a - b)
    const { length } = sorted
    const within = (share: number) => sorted[Math.floor(share * (length - 1))]
    return {
      p50: within(0.5),
      p99: within(0.99),
      p999: within(0.999),
      wrong: this.#wrong / length,
      asked: this.calls / this.asked,
      lies: this.#lies,
      framed: this.#framed,
    }
  }
}
