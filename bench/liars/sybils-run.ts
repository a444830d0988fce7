/** One run of bench sybils: a fleet that anybody joins, in simulated time, with the answers of a real model. */

import { type Change, createPredictor, type PredictorOptions } from 'approxifer'
import { type Random, seeded } from '../../src/base/random'
import { rootMeanSquare } from '../../src/base/stats'
import type { TensorList } from '../../src/base/tensor'
import { VirtualClock } from '../../src/testing/virtual-clock'
import { liars } from '../../test/shared/heard-events'
import { Feed } from '../../test/shared/worker-changes'
import { randomTrouble, SimulatedWorker, type Simulation } from '../shared/simulated'

/** What sybils do: they know all of each other, and answer alike. */
export interface Plan {
  sybils: number
  /** Each second all of them leave, and join under new names. */
  rejoin: boolean
  /** Rows that each answers honestly first. */
  honestFor: number
  /** Share of the further rows on which they lie, where none of them has seen the query: elsewhere it may be a quiz. */
  lying: number
  /** What they do where they have seen the query. */
  seen: 'silent' | 'honest' | 'lie'
  /** They lie on nothing but what was asked less than so many ms ago, as its content tells. */
  newerMs?: number
  /** Its lies are this share off, label and all as they were: too little to be proof. Default: the second label in the place of the first. */
  off?: number
  /** Where all of them come from; undefined: nobody knows, as over NATS. */
  origin?: string
}

export interface Job extends Plan {
  answers: readonly Float32Array[]
  honest: number
  queries: number
  options: PredictorOptions
  seed: number
  /** Share of its calls on which the trusted worker fails. Default: .001, as all honest ones. */
  failing?: number
  /** Queries under way at a time. Default: two for each honest worker. */
  callers?: number
}

export interface Figures {
  given: number
  wrong: number
  failed: number
  /** Given and right, a second of simulated time. */
  goodput: number
  /** Inferences for each answer, of all workers and of the honest ones; and of the last fifth of the queries, of all. */
  inferences: number
  honestInferences: number
  later: number
  convicted: number
  honestConvicted: number
  /** Queries that two strangers saw, and answers of each status. */
  shared: number
  statuses: Record<string, number>
  /** Answers that the trusted worker gave. */
  own: number
}

/** `verify.rounding`. */
const ROUNDING = 1e-4

/** Which stranger has had which query. */
class Witness {
  readonly #seen = new Map<number, string>()
  shared = 0

  saw(worker: string, query: TensorList): void {
    const [, number] = query[0].data as Float32Array
    const other = this.#seen.get(number)
    if (other !== undefined && other !== worker) this.shared++
    this.#seen.set(number, worker)
  }
}

/** Dies in one call of a thousand, and rounds in its own way. */
class Honest extends SimulatedWorker {
  readonly trusted: boolean

  constructor(
    private readonly place: number,
    simulation: Simulation,
    private readonly random: Random,
    private readonly witness: Witness,
    private readonly failing = 0.001,
  ) {
    super(place, simulation)
    this.trusted = place === 0
  }

  override infer(query: TensorList, options?: { signal?: AbortSignal }): Promise<TensorList> {
    if (!this.trusted) this.witness.saw(this.name, query)
    return super.infer(query, options)
  }

  override async answer(row: Float32Array): Promise<Float32Array> {
    const own = await super.answer(row)
    if (this.random.next() < this.failing) throw new Error('crashed')
    return this.place % 2 ? own.map((value) => value * (1 + 1e-6)) : own
  }
}

/** What colluding workers know of each other. */
class Coalition {
  /** Queries by number. */
  readonly seen = new Set<number>()
  /** When each was asked. */
  readonly askedAt: number[] = []
  constructor(
    readonly plan: Plan,
    readonly random: Random,
    readonly witness: Witness,
  ) {}
}

class Sybil extends SimulatedWorker {
  #rows = 0
  override readonly name: string
  readonly origin: string | undefined

  constructor(
    name: string,
    private readonly world: Simulation,
    private readonly coalition: Coalition,
  ) {
    super(0, world)
    this.name = name
    this.origin = coalition.plan.origin
  }

  override async infer(query: TensorList, options?: { signal?: AbortSignal }): Promise<TensorList> {
    const [, number] = query[0].data as Float32Array
    const { seen, plan, witness } = this.coalition
    witness.saw(this.name, query)
    const isKnown = seen.has(number)
    seen.add(number)
    const isOld = this.world.clock.now() - this.coalition.askedAt[number] >= (plan.newerMs ?? Number.POSITIVE_INFINITY)
    const answer = await super.infer(query, options)
    if (++this.#rows <= plan.honestFor) return answer
    if (isKnown && plan.seen === 'silent') throw new Error('busy')
    if ((isKnown && plan.seen === 'honest') || isOld || this.coalition.random.next() >= plan.lying) return answer
    const own = answer[0].data as Float32Array
    return [{ ...answer[0], data: plan.off ? own.map((value) => value * (1 + (plan.off ?? 0))) : swapped(own) }]
  }
}

/** Whether an answer is another than the model's, beyond rounding. */
function isWrong(told: Float32Array, own: Float32Array): boolean {
  const most = ROUNDING * rootMeanSquare(own)
  return told.some((value, i) => !(Math.abs(value - own[i]) <= most))
}

/** The second label in the place of the first. */
function swapped(own: Float32Array): Float32Array {
  const [first, second] = [...own.keys()].sort((a, b) => own[b] - own[a])
  const told = own.slice()
  ;[told[first], told[second]] = [own[second], own[first] + 0.1]
  return told
}

function simulationOf(clock: VirtualClock, answers: readonly Float32Array[], seed: number): Simulation {
  return {
    clock,
    serviceMs: randomTrouble(seeded(seed)),
    answer: ([image]) => answers[image].slice(),
    // A query is the number of an image, and its own.
    signature: { inputs: [{ name: 'x', shape: [2] }], outputs: [{ name: 'y', shape: [answers[0].length] }] },
  }
}

export async function simulate(job: Job): Promise<Figures> {
  const clock = new VirtualClock()
  const simulation = simulationOf(clock, job.answers, 10 * job.seed)
  const crashing = seeded(10 * job.seed + 1)
  const witness = new Witness()
  const coalition = new Coalition(job, seeded(10 * job.seed + 2), witness)
  const coin = seeded(10 * job.seed + 3)
  const honest = Array.from(
    { length: job.honest + 1 },
    (_, i) => new Honest(i, simulation, crashing, witness, i ? undefined : job.failing),
  )
  const changes = new Feed<Change>()
  const sybils: Sybil[] = []
  let joined: Sybil[] = []
  const join = (round: number) => {
    for (const { name } of joined) changes.tell({ remove: name })
    joined = Array.from({ length: job.sybils }, (_, i) => new Sybil(`sybil ${i}, ${round}`, simulation, coalition))
    for (const add of joined) changes.tell({ add })
    if (!job.rejoin) sybils.push(...joined)
    else for (const each of joined) each.calls = 0
  }
  changes.tell({ add: honest[0] })
  join(0) // the first, so that they are served before the others
  for (const add of honest.slice(1)) changes.tell({ add })
  let [convicted, honestConvicted] = [0, 0]
  const predictor = await createPredictor({
    workers: changes,
    testing: { clock, seed: job.seed, coin: () => coin.next() },
    right: 'label',
    limits: { queries: 1e5 },
    onWarning: () => {},
    onEvent: liars(({ worker }) => {
      if (worker.startsWith('sybil')) convicted++
      else honestConvicted++
    }),
    ...job.options,
  })
  const rejoining = (round: number) => {
    if (isOver) return
    calls += joined.reduce((sum, { calls }) => sum + calls, 0)
    join(round)
    clock.after(1000, () => rejoining(round + 1))
  }
  let calls = 0
  const callsNow = () =>
    calls + [...honest, ...(job.rejoin ? joined : sybils)].reduce((sum, { calls }) => sum + calls, 0)
  let [asked, given, wrong, failed, own, isOver] = [0, 0, 0, 0, 0, false]
  const statuses: Record<string, number> = {}
  let from = { calls: 0, given: 0 }
  const random = seeded(10 * job.seed + 4)
  const ask = async (): Promise<void> => {
    while (asked < job.queries) {
      const image = random.below(job.answers.length)
      const number = ++asked
      coalition.askedAt[number] = clock.now()
      if (number === Math.floor(0.8 * job.queries)) from = { calls: callsNow(), given }
      try {
        const { output, status, workers } = await predictor.predict(Float32Array.of(image, number))
        given++
        statuses[status] = (statuses[status] ?? 0) + 1
        if (workers[0] === honest[0].name) own++
        if (isWrong(output.y.data as Float32Array, job.answers[image])) wrong++
      } catch {
        failed++
      }
    }
  }
  if (job.rejoin && job.sybils) clock.after(1000, () => rejoining(1))
  const since = clock.now()
  const callers = Promise.all(Array.from({ length: job.callers ?? 2 * honest.length }, ask)).then(() => {
    isOver = true
  })
  await clock.run()
  await callers
  const seconds = (clock.now() - since) / 1000
  const figures = {
    ...{ given, wrong, failed, convicted, honestConvicted, own, statuses, shared: witness.shared },
    goodput: (given - wrong) / seconds,
    inferences: callsNow() / given,
    honestInferences: honest.reduce((sum, { calls }) => sum + calls, 0) / given,
    later: (callsNow() - from.calls) / (given - from.given),
  }
  await predictor.close()
  return figures
}
