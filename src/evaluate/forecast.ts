/** What callers would get of a pool of workers: a system answers queries in simulated time, by the model's real answers. */

import type { Clock } from '../base/clock'
import type { OutputHints } from '../base/output-kind'
import { type Random, seeded } from '../base/random'
import type { Signature } from '../base/tensor'
import { SimulatedWorker, type Simulation } from '../testing/simulated-worker'
import { VirtualClock } from '../testing/virtual-clock'
import { gapMsOf, type Premise } from './premise'
import { type CallTimes, replayed } from './replayed-times'
import { type Figure, type Share, shareOf } from './statistics'

/** The queries of a forecast, and what the model answers. */
export interface QueryStream {
  readonly signature: Signature
  readonly hints?: readonly OutputHints[] | undefined
  readonly length: number
  /** Query `index` as a vector. */
  query(index: number): Float32Array
  /** The model's answer to a query, or to a mixture of several; owned by the caller. A promise for what was not asked before. */
  answer(query: Float32Array): Float32Array | Promise<Float32Array>
  /** 1 if an answer to query `index` is right, else 0. @param own  whether it is the model's own */
  right(index: number, answer: Float32Array, own: boolean): number
}

export interface SystemAnswer {
  answer: Float32Array
  isRecovered: boolean
}

/** What answers queries, in simulated time. */
export interface AnsweringSystem {
  ask(query: Float32Array): Promise<SystemAnswer>
  close?(): Promise<void>
}

/** @param timers  the clock as a program sees it: its timers are coarse */
export type StartSystem = (clock: VirtualClock, timers: Clock, workers: SimulatedWorker[]) => Promise<AnsweringSystem>

export interface ServiceFigures {
  /** Queries that were counted. */
  queries: number
  /** Milliseconds from a query to its answer. */
  p50: number
  p99: number
  /** Calls of workers for each query. */
  inferences: number
  /** Right answers among all. */
  right: Share
  /** Right answers among those that were recovered, and the share of all queries that got one; undefined for none. */
  recovered: (Share & { ofAll: number }) | undefined
}

export interface ForecastOptions {
  course: QueryStream
  premise: Premise
  times: CallTimes
  seed: number
  /** Whether a round may ask a query again if there are too few: not of a memory, which would know it. */
  mayRepeat: boolean
  /** Counted queries that suffice. */
  queries: number
  /** Time of this machine after which no further query comes, if as many are counted as a p99 needs. */
  ms: number
  onProgress?: (counted: number) => void
}

/** The first queries of a round are not counted: half, at most so many. */
const WARM_UP = 1000
/** Queries of a round. Each round begins with an empty memory. */
const ROUND = 3000

/** A p99 needs so many. */
const LEAST = 500

/** Runs rounds until enough queries are counted. */
export async function forecast(start: StartSystem, options: ForecastOptions): Promise<ServiceFigures> {
  const counted: Counted = { asked: [], calls: 0 }
  const until = performance.now() + options.ms
  const isOver = () => counted.asked.length >= LEAST && performance.now() > until
  for (let seed = options.seed; counted.asked.length < options.queries; seed++) {
    await round(start, options, seed, counted, isOver)
    if (performance.now() > until) break
  }
  return summary(counted)
}

interface AskedQuery {
  index: number
  ms: number
  right: number
  isRecovered: boolean
}

interface Counted {
  asked: AskedQuery[]
  calls: number
}

async function round(
  start: StartSystem,
  options: ForecastOptions,
  seed: number,
  counted: Counted,
  isOver: () => boolean,
): Promise<void> {
  const { course, premise, times, onProgress = () => {} } = options
  const clock = new VirtualClock()
  const [order, arriving, serving] = [seeded(3 * seed), seeded(3 * seed + 1), seeded(3 * seed + 2)]
  const { serviceMs, timerMs } = replayed(times, premise, serving)
  const simulation: Simulation = {
    clock,
    signature: course.signature,
    hints: course.hints,
    serviceMs,
    answer: (query) => held(clock, course.answer(query)),
  }
  const workers = Array.from({ length: premise.workers }, (_, i) => new SimulatedWorker(i, simulation))
  const calls = () => workers.reduce((sum, worker) => sum + worker.calls, 0)
  const system = await start(clock, coarse(clock, timerMs), workers)
  const queries = orderOf(options, order)
  const warmUp = Math.min(WARM_UP, queries.length >> 1)
  const gapMs = gapMsOf(premise, times.meanMs)
  let [before, asked] = [0, 0]
  const arrive = () => {
    const index = queries[asked]
    const isCounted = asked++ >= warmUp
    if (asked === warmUp + 1) before = calls()
    const since = clock.now()
    clock.spend(times.overheadMs)
    const asking: AskedQuery = { index, ms: Number.POSITIVE_INFINITY, right: 0, isRecovered: false }
    if (isCounted) counted.asked.push(asking)
    const given = ({ answer, isRecovered }: SystemAnswer) => {
      asking.ms = clock.now() - since
      asking.isRecovered = isRecovered
      asking.right = course.right(index, answer, !isRecovered)
      onProgress(counted.asked.length)
    }
    system.ask(course.query(index)).then(given, () => {}) // a query that failed stays wrong, and late
    if (asked < queries.length && !isOver()) clock.after(waitFor(arriving, gapMs) - times.overheadMs, arrive)
  }
  clock.after(0, arrive)
  await clock.run()
  await system.close?.()
  counted.calls += calls() - before
}

function orderOf({ course: { length }, mayRepeat }: ForecastOptions, random: Random): number[] {
  const count = mayRepeat ? ROUND : Math.min(length, ROUND)
  const order: number[] = []
  while (order.length < count) order.push(...random.choose(length, Math.min(length, count - order.length)))
  return order
}

const waitFor = (random: Random, meanMs: number) => -Math.log(1 - random.next()) * meanMs

/** The same answer; time stands still until it is there. */
function held(clock: VirtualClock, answer: Float32Array | Promise<Float32Array>) {
  return answer instanceof Promise ? answer.finally(clock.hold()) : answer
}

/** Timers as of an event loop: whole milliseconds, and as late as those that were measured. */
function coarse(clock: VirtualClock, lateMs: (now: number) => number): Clock {
  const now = () => clock.now()
  return { now, after: (ms, f) => clock.after(Math.max(1, Math.trunc(ms)) + lateMs(now()), f) }
}

function summary({ asked, calls }: Counted): ServiceFigures {
  const sorted = asked.map(({ ms }) => ms).sort((a, b) => a - b)
  const at = (share: number) => sorted[Math.floor(share * (sorted.length - 1))]
  const figures = (some: readonly AskedQuery[]) =>
    some.map(({ index, right }, i): Figure => ({ query: index, group: i, value: right }))
  const recovered = asked.filter(({ isRecovered }) => isRecovered)
  return {
    queries: asked.length,
    p50: at(0.5),
    p99: at(0.99),
    inferences: calls / asked.length,
    right: shareOf(figures(asked)),
    recovered: recovered.length
      ? { ...shareOf(figures(recovered)), ofAll: recovered.length / asked.length }
      : undefined,
  }
}
