/** What callers would get of a pool of workers: a system answers queries in simulated time, by the model's real answers. */

import type { Clock } from '../base/clock'
import type { OutputHints } from '../base/output-kind'
import { type Random, seeded } from '../base/random'
import { mean } from '../base/stats'
import type { Signature, TensorList } from '../base/tensor'
import { SimulatedWorker, type Simulation } from '../testing/simulated-worker'
import { VirtualClock } from '../testing/virtual-clock'
import { gapMsOf, type Premise } from './premise'
import {
  BLOCK,
  ci95,
  type Difference,
  type Figure,
  type Interval,
  lossOf,
  percentiles,
  type Resampled,
  resampledQuantile,
  type Share,
  shareOf,
} from './statistics'

/** The queries of a forecast, and what the model answers. */
export interface QueryStream {
  readonly signature: Signature
  readonly hints?: readonly OutputHints[] | undefined
  readonly length: number
  /** For each query 1 if the model's own answer is right, else 0. */
  readonly alone: ArrayLike<number>
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

/** What calls of a worker take that does nothing else. In milliseconds. */
export interface CallTimes {
  /** For each of some queries the least of several calls: whatever else the machine does only adds to it. */
  readonly calls: readonly number[]
  /** All calls, as they were on this machine. */
  readonly here: readonly number[]
  /** What a query takes on the coordinator's thread besides: median. */
  readonly overheadMs: number
  /** How much later than set a timer of the coordinator fires: median. */
  readonly timerMs: number
  /** The model's answers to the queries that were asked, by their index. */
  readonly answers: ReadonlyMap<number, TensorList>
}

export interface ServiceFigures {
  /** Queries that were counted. */
  queries: number
  /** Milliseconds from a query to its answer. */
  p50: number
  p99: number
  /** Calls of workers for each query. */
  inferences: number
  /** 95 % intervals of these. */
  ci95: { p50: Interval; p99: Interval; inferences: Interval }
  /** Right answers among all. */
  right: Share
  /** Share of right answers that is lost beside the model's own answers to the same queries. */
  loss: Difference
  /** Right answers among those that were recovered, and the share of all queries that got one; undefined for none. */
  recovered: (Share & { ofAll: number }) | undefined
}

/** What a system did with all queries: its figures, and its p99 to be compared with that of other systems. */
export interface Run {
  figures: ServiceFigures
  p99: Resampled
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
  /** Time of this machine after which no further round begins, if as many are counted as a p99 needs. */
  ms: number
  onProgress?: (counted: number) => void
}

/** The first queries of a round are not counted: half, at most so many. */
const WARM_UP = 1000
/** Queries of a round. Each round begins with an empty memory. */
const ROUND = 2000

/** A p99 needs so many. */
const LEAST = 1000

/** Each system answers the same queries, which come at the same moments: rounds of them until enough are counted. */
export async function forecast(systems: readonly StartSystem[], options: ForecastOptions): Promise<Run[]> {
  const { queries, onProgress = () => {} } = options
  const asked: AskedQuery[][] = systems.map(() => [])
  const until = performance.now() + options.ms
  const least = Math.min(LEAST, queries)
  for (let seed = options.seed; asked[0].length < queries; seed++) {
    for (const [i, start] of systems.entries()) {
      asked[i].push(...(await round(start, options, seed)))
      onProgress(Math.round(mean(asked.map(({ length }) => length))))
    }
    if (asked[0].length >= least && performance.now() > until) break
  }
  return asked.map((each) => ranAs(each, options.course))
}

interface AskedQuery {
  index: number
  ms: number
  /** Calls of all workers from this query to the next. */
  calls: number
  right: number
  isRecovered: boolean
}

/** @returns the queries that are counted */
async function round(start: StartSystem, options: ForecastOptions, seed: number): Promise<AskedQuery[]> {
  const { course, premise, times } = options
  const clock = new VirtualClock()
  const [order, arriving, serving] = [seeded(3 * seed), seeded(3 * seed + 1), seeded(3 * seed + 2)]
  const simulation: Simulation = {
    clock,
    signature: course.signature,
    hints: course.hints,
    serviceMs: () => {
      const ms = times.calls[Math.floor(serving.next() * times.calls.length)]
      return serving.next() < premise.stragglerRate ? ms + premise.lateMs : ms
    },
    answer: (query) => held(clock, course.answer(query)),
  }
  const workers = Array.from({ length: premise.workers }, (_, i) => new SimulatedWorker(i, simulation))
  const calls = () => workers.reduce((sum, worker) => sum + worker.calls, 0)
  const system = await start(clock, coarse(clock, times.timerMs), workers)
  const queries = orderOf(options, order)
  const gapMs = gapMsOf(premise, mean(times.calls))
  const asked: AskedQuery[] = []
  let before = 0
  const countCalls = () => {
    const now = calls()
    if (asked.length) asked[asked.length - 1].calls = now - before
    before = now
  }
  const arrive = () => {
    const index = queries[asked.length]
    countCalls()
    const since = clock.now()
    clock.spend(times.overheadMs)
    const asking: AskedQuery = { index, ms: Number.POSITIVE_INFINITY, calls: 0, right: 0, isRecovered: false }
    asked.push(asking)
    const given = ({ answer, isRecovered }: SystemAnswer) => {
      asking.ms = clock.now() - since
      asking.isRecovered = isRecovered
      asking.right = course.right(index, answer, !isRecovered)
    }
    system.ask(course.query(index)).then(given, () => {}) // a query that failed stays wrong, and late
    if (asked.length < queries.length) clock.after(waitFor(arriving, gapMs) - times.overheadMs, arrive)
  }
  clock.after(0, arrive)
  await clock.run()
  countCalls()
  await system.close?.()
  return asked.slice(Math.min(WARM_UP, queries.length >> 1))
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
function coarse(clock: VirtualClock, lateMs: number): Clock {
  return { now: () => clock.now(), after: (ms, f) => clock.after(Math.max(1, Math.trunc(ms)) + lateMs, f) }
}

function ranAs(asked: readonly AskedQuery[], { alone }: QueryStream): Run {
  const ms = asked.map((each) => each.ms)
  const [p50, p99] = [0.5, 0.99].map((share) => resampledQuantile(ms, share))
  const sharesOf = (some: readonly AskedQuery[], value: (each: AskedQuery) => number) =>
    shareOf(some.map((each, i): Figure => ({ query: each.index, group: i, value: value(each) })))
  const inferences = asked.map(({ calls }, i): Figure => {
    const block = Math.floor(i / BLOCK)
    return { query: block, group: block, value: calls }
  })
  const recovered = asked.filter(({ isRecovered }) => isRecovered)
  const ofAll = recovered.length / asked.length
  const lost = sharesOf(recovered, ({ index, right }) => Math.max(0, alone[index] - right))
  const gained = sharesOf(recovered, ({ index, right }) => Math.max(0, right - alone[index]))
  const { mean: loss, ci95: interval } = lossOf(lost, gained)
  const figures: ServiceFigures = {
    queries: asked.length,
    p50: p50.estimate,
    p99: p99.estimate,
    inferences: mean(inferences.map(({ value }) => value)),
    ci95: { p50: percentiles(p50.resamples), p99: percentiles(p99.resamples), inferences: ci95(inferences) },
    right: sharesOf(asked, ({ right }) => right),
    loss: ofAll ? { mean: ofAll * loss, ci95: [ofAll * interval[0], ofAll * interval[1]] } : { mean: 0, ci95: [0, 0] },
    recovered: ofAll ? { ...sharesOf(recovered, ({ right }) => right), ofAll } : undefined,
  }
  return { figures, p99 }
}
