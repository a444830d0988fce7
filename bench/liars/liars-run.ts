/** One run of bench liars: queries through a pool of which some lie, in simulated time, with the answers of a real model. */

import { createPredictor, type PredictorOptions } from 'approxifer'
import { labelAt } from '../../src/base/criterion'
import { type Random, seeded } from '../../src/base/random'
import { parseAttack } from '../../src/testing/faults'
import { VirtualClock } from '../../src/testing/virtual-clock'
import { dataOf, experienceFor, type ModelName, modelled, remember } from '../shared/models'
import { randomTrouble, SimulatedWorker, type Simulation } from '../shared/simulated'

/** When a liar lies: in every answer, in one of ten, after 1,000 honest ones, or only where the memory is not sure. */
export type Habit = 'always' | 'tenth' | 'later' | 'unsure'

export interface Job {
  model: ModelName
  workers: number
  liars: number
  attack: string
  habit: Habit
  /** Pairs that the memory begins with. */
  memory: number
  queries: number
  /** It ends when all liars are ejected. */
  brief: boolean
  options: PredictorOptions
  seed: number
}

export interface Figures {
  /** Lies of each liar until it was ejected; null: it never was. */
  lies: (number | null)[]
  /** Calls of each liar, and those until then. */
  asked: number[]
  calls: (number | null)[]
  /** Answers given with another label than the model's own, by status. */
  wrong: Record<string, number>
  given: Record<string, number>
  /** Inferences per query beyond the first, and queries. */
  extra: number
  queries: number
  /** Of the queries behind the last ejection. */
  extraLater: number
  honestEjected: number
  p50: number
  p99: number
}

type Tell = (own: Float32Array, row: Float32Array) => Float32Array | undefined

/** Dies in one call of a thousand, and rounds in its own way: half of the workers are another runtime. */
class Honest extends SimulatedWorker {
  constructor(
    private readonly place: number,
    simulation: Simulation,
    private readonly random: Random,
  ) {
    super(place, simulation)
  }

  override async answer(row: Float32Array): Promise<Float32Array> {
    const own = await super.answer(row)
    if (this.random.next() < 0.001) throw new Error('crashed')
    return this.place % 2 ? own.map((value) => value * (1 + 1e-6)) : own
  }
}

/** Lies instead of answering, or answers nothing where it has no lie to tell. */
class Liar extends SimulatedWorker {
  lies = 0
  asked = 0
  /** When it was restarted for lying: lies and calls until then. */
  ejected: { lies: number; calls: number } | undefined

  constructor(
    index: number,
    simulation: Simulation,
    private readonly tell: Tell,
  ) {
    super(index, simulation)
  }

  override async answer(row: Float32Array): Promise<Float32Array> {
    this.asked++
    const own = await super.answer(row)
    const told = this.tell(own, row)
    if (!told) return new Promise(() => {})
    if (told !== own) this.lies++
    return told
  }

  override restart(why = ''): void {
    if (why.includes('proven')) this.ejected ??= { lies: this.lies, calls: this.asked }
  }
}

const states = new Map<string, Promise<Uint8Array>>()

/** What a predictor has learned of the first images in the order of a seed. */
async function stateOf(model: ModelName, pairs: number, seed: number): Promise<Uint8Array> {
  const key = `${model} ${pairs} ${seed}`
  const made = states.get(key) ?? learn(model, pairs, seed)
  states.set(key, made)
  return made
}

const orderOf = (seed: number, count: number) => seeded(seed).choose(count, count)

async function learn(model: ModelName, pairs: number, seed: number): Promise<Uint8Array> {
  const data = await dataOf(model)
  const memory = await experienceFor(data)
  remember(memory, data, orderOf(seed, data.inputs.length).slice(0, pairs))
  return memory.save()
}

/** States are made of so many orders; seeds beyond differ in all else. */
const ORDERS = 3

export async function simulate(job: Job): Promise<Figures> {
  const { model, seed, habit, liars, memory } = job
  const data = await dataOf(model)
  const clock = new VirtualClock()
  const order = orderOf(seed % ORDERS, data.inputs.length)
  const rest = order.slice(memory)
  const [arriving, serving, lying, crashing] = [0, 1, 2, 3].map((i) => seeded(100 * seed + i))
  const simulation: Simulation = {
    clock,
    serviceMs: randomTrouble(serving),
    answer: (row) => {
      const index = data.indexOf(row)
      return index === undefined ? modelled(model, row, clock) : data.answers[index].slice()
    },
    signature: data.signature,
  }
  const remembers = memory && job.options.memory !== false && !job.options.scheme?.preset
  const state = remembers ? await stateOf(model, memory, seed % ORDERS) : undefined
  const tell = await teller(job, state, lying)
  const workers = Array.from({ length: job.workers }, (_, i) =>
    i < liars ? new Liar(i, simulation, tell(habit)) : new Honest(i, simulation, crashing),
  )
  const predictor = await createPredictor({
    scheme: { queries: Math.max(1, Math.min(8, job.workers - 1)), byzantine: Math.max(1, liars) },
    workers,
    testing: { clock, seed },
    limits: { queries: 1e5 },
    onWarning: () => {},
    ...(state && { memory: { state } }),
    ...job.options,
  })
  const [wrong, given]: Record<string, number>[] = [{}, {}]
  const times: number[] = []
  const [{ name }] = data.signature.outputs
  const all = workers.slice(0, liars) as Liar[]
  const callsNow = () => workers.reduce((sum, { calls }) => sum + calls, 0)
  let [asked, later] = [0, { asked: 0, calls: 0 }]
  const label = (answer: Float32Array) => labelAt(answer, { classes: answer.length })
  const arrive = () => {
    const index = rest[(asked + 131 * seed) % rest.length]
    asked++
    const since = clock.now()
    predictor.predict(data.inputs[index]).then(
      ({ status, output }) => {
        times.push(clock.now() - since)
        given[status] = (given[status] ?? 0) + 1
        if (label(output[name].data as Float32Array) === label(data.answers[index])) return
        wrong[status] = (wrong[status] ?? 0) + 1
      },
      ({ code }) => {
        given[code] = (given[code] ?? 0) + 1
      },
    )
    const done = all.length > 0 && all.every(({ ejected }) => ejected)
    if (done && !later.asked) later = { asked, calls: callsNow() }
    if (asked === job.queries || (job.brief && done)) return
    clock.after((-Math.log(1 - arriving.next()) * 11.8 * 1.5) / (0.5 * job.workers), arrive)
  }
  clock.after(0, arrive)
  await clock.run()
  const stats = predictor.stats()
  await predictor.close()
  times.sort((a, b) => a - b)
  const at = (share: number) => times[Math.floor(share * (times.length - 1))]
  return {
    lies: all.map(({ ejected }) => ejected?.lies ?? null),
    asked: all.map(({ asked }) => asked),
    calls: all.map(({ ejected }) => ejected?.calls ?? null),
    wrong,
    given,
    extra: callsNow() / asked - 1,
    queries: asked,
    extraLater: (callsNow() - later.calls) / Math.max(1, asked - later.asked) - 1,
    honestEjected: stats.workers.slice(liars).filter(({ ejections }) => ejections).length,
    p50: at(0.5),
    p99: at(0.99),
  }
}

/** What liars tell; together the same of one query. */
async function teller({ model, attack, liars }: Job, state: Uint8Array | undefined, lying: ReturnType<typeof seeded>) {
  const data = await dataOf(model)
  const told = new Map<number, Float32Array>()
  const memory = await experienceFor(data, state)
  const label = (answer: Float32Array) => labelAt(answer, { classes: answer.length })
  const look = (row: Float32Array) => {
    const recollection = memory.recall(row)
    if (!recollection) return undefined
    return { ...recollection, sure: (memory.confidence.of({ ...recollection, missing: 1 }) ?? 0) >= 0.9 }
  }
  const lie: Tell = (own, row) => {
    if (attack === 'none') return own
    if (attack === 'oracle') {
      const said = look(row)
      return said?.sure && label(said.answer) !== label(own) ? said.answer : undefined
    }
    return lieOf(attack, own, data.answers, lying)
  }
  const shared: Tell = (own, row) => {
    const index = data.indexOf(row) ?? -1
    const known = (index >= 0 ? told.get(index) : undefined) ?? lie(own, row)
    if (known) told.set(index, known)
    return known?.slice()
  }
  return (habit: Habit): Tell => {
    let answers = 0
    return (own, row) => {
      answers++
      const lies =
        habit === 'always' ||
        (habit === 'tenth' && lying.next() < 0.1) ||
        (habit === 'later' && answers > 1000) ||
        (habit === 'unsure' && !look(row)?.sure)
      if (!lies) return own
      return liars > 1 ? shared(own, row) : lie(own, row)
    }
  }
}

/** What an attack makes of an answer. @param answers  that the model may give */
export function lieOf(
  attack: string,
  own: Float32Array,
  answers: readonly Float32Array[],
  lying: Random,
): Float32Array {
  if (attack === 'scaled') return own.map((value) => 0.9 * value)
  if (attack === 'straddle') return own.map((value) => value + 0.002 * 5 * (lying.next() < 0.5 ? 1 : -1))
  if (attack === 'replay') return answers[lying.below(answers.length)].slice()
  if (attack === 'runner-up') {
    const [first, second] = [...own.keys()].sort((a, b) => own[b] - own[a])
    const raised = own.slice()
    raised[second] = own[first] + 0.1
    return raised
  }
  return parseAttack(attack)([own], lying)[0]
}
