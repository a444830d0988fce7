/**
 * The film: the same queries at the same times for the same machines, once for each band, on one clock. A plain queue answers them, a hedge, a
 * predictor. Real are the digits, the model's answers, the predictor, its pool and its memory; time is simulated.
 */

import type { Status } from '../base/prediction'
import { seeded } from '../base/random'
import type { Signature } from '../base/tensor'
import { createPredictor } from '../predictor/create'
import { SimulatedThread } from '../testing/simulated-thread'
import { VirtualClock } from '../testing/virtual-clock'
import { ByHand } from './by-hand'
import { type Digits, labelOf } from './digits'
import { type FilmCall, FilmMachine, type RecordedAnswer } from './machine'
import { PlainQueue } from './queue'
import { type Act, type Fault, LIARS, MACHINES } from './script'

/** What a caller was given. Times are milliseconds of the film. */
export interface Given {
  /** The digit's number; undefined: it was drawn by hand. */
  readonly digit: number | undefined
  readonly askedAt: number
  readonly at: number
  /** Undefined: an error. */
  readonly label: number | undefined
  /** Whether the label is the model's. */
  readonly isRight: boolean
  readonly status: Status | 'failed'
  readonly confidence: number | undefined
}

interface FilmAnswer {
  readonly answer: Float32Array
  readonly status: Status
  readonly confidence?: number | undefined
}

/** What answers queries. */
export interface FilmSystem {
  ask(query: Float32Array): Promise<FilmAnswer>
  /** Names of machines that get few queries, since they fail or take much longer than others. */
  passedOver?(): readonly string[]
  close?(): Promise<void>
}

/** @param ejected  called with the index of a machine that was shown to lie, and once more when it gets queries again */
export type FilmSystemFor = (
  clock: VirtualClock,
  machines: readonly FilmMachine[],
  ejected: (machine: number, isOut: boolean) => void,
) => FilmSystem | Promise<FilmSystem>

/** Between two queries, milliseconds. */
export const EVERY_MS = 90
/** The slowest answer is that of the last ten seconds. */
export const WINDOW_MS = 10_000
/** Queries that all bands have answered before the film begins: from these the memory has learned. */
const BEFORE = 240
const SEED = 7

export const plainQueue: FilmSystemFor = (clock, machines) => {
  const queue = new PlainQueue(clock, machines)
  return { ask: async (query) => ({ answer: await queue.ask(query), status: 'exact' }) }
}

/** Hedged requests: a query that takes longer than this share of the recent ones is sent a second time; at most a tenth of the queries are. */
export const hedgedQueue =
  (percentile = 0.95): FilmSystemFor =>
  (clock, machines) => {
    const pool = new ByHand(clock, machines, { hedges: HEDGES, percentile })
    return { ask: async (query) => ({ answer: await pool.ask(query), status: 'exact' }) }
  }

const HEDGES = 0.1

export const approxifer: FilmSystemFor = async (clock, machines, ejected) => {
  const predictor = await createPredictor({
    workers: machines,
    scheme: { queries: machines.length - LIARS, byzantine: LIARS },
    testing: { clock, seed: SEED, memoryThread: new SimulatedThread(clock).spawn },
    onWarning() {},
    onEvent(event) {
      if (event.event !== 'ejected' && event.event !== 'readmitted') return
      ejected(
        machines.findIndex(({ name }) => name === event.worker),
        event.event === 'ejected',
      )
    },
  })
  return {
    ask: async (query) => {
      const { output, status, confidence } = await predictor.predict(query)
      return { answer: Object.values(output)[0].data as Float32Array, status, confidence }
    },
    passedOver() {
      const { workers } = predictor.stats()
      const times = workers.map(({ expectedMs = 0 }) => expectedMs).sort((a, b) => a - b)
      const most = PASSED_OVER * times[times.length >> 1]
      return workers.filter(({ expectedMs = 0 }) => expectedMs > most).map(({ worker }) => worker)
    },
    close: () => predictor.close(),
  }
}

/** The pool passes over a machine that is expected to take this many times as long as a typical one. */
const PASSED_OVER = 2

/** One system, and the machines that it has. */
export class Band {
  readonly machines: readonly FilmMachine[]
  /** Of the film so far, in the order in which they began. */
  readonly calls: FilmCall[] = []
  /** Of the film so far, in the order in which they were given. */
  readonly given: Given[] = []
  /** Machines that were shown to lie and get no queries any more, and since when. */
  readonly ejected = new Map<number, number>()
  /** When each query came that has no answer yet. */
  readonly waiting = new Set<{ readonly since: number }>()
  #system: FilmSystem | undefined
  #asked = 0
  /** Of the film so far, what is in the lists no more. */
  readonly #trimmed = { inferences: 0, wrong: 0 }

  constructor(
    readonly clock: VirtualClock,
    /** Milliseconds of the film. */
    readonly now: () => number,
    signature: Signature,
    recorded: RecordedAnswer,
  ) {
    const { calls } = this
    const machine = (index: number) =>
      new FilmMachine(index, { clock, now, signature, recorded, random: seeded(SEED + index), calls })
    this.machines = Array.from({ length: MACHINES }, (_, index) => machine(index))
  }

  async begin(systemFor: FilmSystemFor): Promise<void> {
    const { clock, now, machines, ejected } = this
    this.#system = await systemFor(clock, machines, (machine, isOut) => {
      if (isOut) ejected.set(machine, now())
      else ejected.delete(machine)
    })
  }

  /** @param right  the model's answer */
  async ask(query: Float32Array, digit: number | undefined, right: Float32Array): Promise<Given> {
    const waiting = { since: this.now() }
    this.#asked++
    this.waiting.add(waiting)
    const answered = await this.#system?.ask(query).catch(() => undefined)
    this.waiting.delete(waiting)
    const label = answered && labelOf(answered.answer)
    const given: Given = {
      digit,
      askedAt: waiting.since,
      at: this.now(),
      label,
      isRight: label === labelOf(right),
      status: answered?.status ?? 'failed',
      confidence: answered?.confidence,
    }
    this.given.push(given)
    return given
  }

  /** Milliseconds of the slowest answer of the last ten seconds, those that are still waited for included. */
  get slowestMs(): number {
    const now = this.now()
    let slowest = 0
    for (const { askedAt, at } of this.given) if (at >= now - WINDOW_MS) slowest = Math.max(slowest, at - askedAt)
    for (const { since } of this.waiting) slowest = Math.max(slowest, now - since)
    return slowest
  }

  /** Wrong answers that callers were given, and errors in the place of an answer. */
  get wrong(): number {
    return this.#trimmed.wrong + this.given.filter(({ isRight }) => !isRight).length
  }

  /** Inferences a query, on average; a machine that refuses makes none. */
  get inferences(): number {
    return (this.#trimmed.inferences + this.calls.filter(isInference).length) / Math.max(1, this.#asked)
  }

  /** Machines that get few queries, since they fail or take much longer than others. */
  get passedOver(): readonly number[] {
    const names = this.#system?.passedOver?.() ?? []
    return this.machines.flatMap(({ name }, machine) => (names.includes(name) ? [machine] : []))
  }

  /** The film begins now: what came before is not part of it. */
  forget(): void {
    this.calls.length = this.given.length = this.#asked = 0
  }

  /** Takes calls and answers of more than ten seconds ago out of their lists, so that a film may go on for hours. They stay counted. */
  trim(): void {
    const before = this.now() - WINDOW_MS
    const isNew = ({ ended = before }: FilmCall) => ended >= before
    this.#trimmed.inferences += this.calls.filter((call) => isInference(call) && !isNew(call)).length
    this.#trimmed.wrong += this.given.filter(({ at, isRight }) => !isRight && at < before).length
    this.calls.splice(0, this.calls.length, ...this.calls.filter(isNew))
    this.given.splice(0, this.given.length, ...this.given.filter(({ at }) => at >= before))
  }

  async close(): Promise<void> {
    await this.#system?.close?.()
  }
}

/** All bands on one clock. Milliseconds count from the film's first moment. */
export class Film {
  readonly bands: readonly Band[]
  readonly #clock = new VirtualClock()
  readonly #digits: Digits
  /** By a hash of the query: the queries of that hash, what they show, and what the model has answered. */
  readonly #known = new Map<number, { digits: readonly number[]; query: Float32Array; answer: Float32Array }[]>()
  #asked = 0
  #start = 0

  private constructor(digits: Digits, count: number) {
    this.#digits = digits
    for (const [i, query] of digits.images.entries()) this.#record(query, digits.answers[i], [i])
    const recorded: RecordedAnswer = (query) => {
      const found = this.#known.get(keyOf(query))?.find((each) => each.query.every((value, i) => value === query[i]))
      if (!found) throw new Error('the model has no recorded answer to this query')
      return found
    }
    this.bands = Array.from({ length: count }, () => new Band(this.#clock, () => this.now, digits.signature, recorded))
  }

  /** A film at its first moment. */
  static async of(digits: Digits, systems: readonly FilmSystemFor[]): Promise<Film> {
    const film = new Film(digits, systems.length)
    for (const [i, band] of film.bands.entries()) await band.begin(systems[i])
    film.#clock.after(0, () => film.#arrive())
    await film.#clock.run(BEFORE * EVERY_MS - 1)
    film.#start = film.#clock.now()
    for (const band of film.bands) band.forget()
    return film
  }

  get now(): number {
    return this.#clock.now() - this.#start
  }

  /** Lets time pass. */
  async advance(until: number): Promise<void> {
    await this.#clock.run(this.#start + until)
  }

  /** As the script has it, from the film's first moment on. */
  play(script: readonly Act[]): void {
    for (const { at, machine, fault } of script) {
      this.#clock.after(this.#start + at - this.#clock.now(), () => this.fault(machine, fault))
    }
  }

  /** Something is wrong with a machine from now on, in all bands; undefined: it is well again. */
  fault(machine: number, fault: Fault | undefined): void {
    for (const { machines } of this.bands) machines[machine].fault = fault
  }

  /** A query that was drawn by hand, in the last band. @param answer  the model's */
  ask(query: Float32Array, answer: Float32Array): Promise<Given> {
    this.#record(query, answer, [])
    return (this.bands.at(-1) as Band).ask(query, undefined, answer)
  }

  #arrive(): void {
    const { images, answers } = this.#digits
    const digit = this.#asked++ % images.length
    for (const band of this.bands) void band.ask(images[digit], digit, answers[digit])
    this.#clock.after(EVERY_MS, () => this.#arrive())
  }

  #record(query: Float32Array, answer: Float32Array, digits: readonly number[]): void {
    const key = keyOf(query)
    this.#known.set(key, [...(this.#known.get(key) ?? []), { digits, query, answer }])
  }

  async close(): Promise<void> {
    for (const band of this.bands) await band.close()
  }
}

function keyOf(query: Float32Array): number {
  let key = 0
  for (let i = 0; i < query.length; i++) key = (31 * key + Math.round(255 * query[i])) | 0
  return key
}

const isInference = ({ outcome }: FilmCall) => outcome !== 'failed'
