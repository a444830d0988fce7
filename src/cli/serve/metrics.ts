/** Prometheus metrics, at /metrics. docs/reference/metrics.md explains each. */

import { setImmediate } from 'node:timers/promises'
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'
import type { PredictorEvent } from '../../events'
import { isInference, type RequestEvent } from '../../gateway/event'
import type { PredictorStats } from '../../predictor/stats'
import { countOfStates, type ServedStats } from './overview'

/** Histogram buckets of latencies, in seconds: from a small model on this machine to the longest deadline. */
const BUCKETS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]
/** Histogram buckets of encoding and decoding a group, in seconds. */
const SHORT = [0.00001, 0.00003, 0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03]
/** How many workers of a model have lines of their own; the values of further workers are summed as 'other'. A line takes 2 µs to write. */
const MOST_WORKERS = 200
const OTHER = 'other'

type Stats = Iterable<[model: string, stats: ServedStats]>
type Worker = PredictorStats['workers'][number]

export class Metrics {
  readonly #registry = new Registry()
  readonly #requests
  readonly #seconds
  readonly #rows
  readonly #rowSeconds
  readonly #groupSeconds
  readonly #recoveries
  readonly #drops
  readonly #stats: () => Stats
  /** The statistics of this scrape, computed once: with a thousand workers they are slow. */
  #taken: [string, ServedStats][] = []

  /** @param stats, connections, clients  called at each scrape */
  constructor(stats: () => Stats, connections: () => number, clients: () => number) {
    this.#stats = stats
    const registers = [this.#registry]
    collectDefaultMetrics({ register: this.#registry })
    const newCounter = <T extends string>(name: string, help: string, labelNames: T[]) =>
      new Counter({ name: `approxifer_${name}`, help, labelNames, registers })
    const newHistogram = <T extends string>(name: string, help: string, labelNames: T[], buckets = BUCKETS) =>
      new Histogram({ name: `approxifer_${name}`, help, labelNames, buckets, registers })
    this.#requests = newCounter('requests_total', 'HTTP requests answered', ['route', 'model', 'code'])
    this.#seconds = newHistogram('request_seconds', 'Seconds from an inference request to its reply', ['model'])
    this.#rows = newCounter('rows_total', 'Attempts at workers, by outcome', ['model', 'outcome'])
    this.#rowSeconds = newHistogram('row_seconds', 'Seconds from the start of an attempt to its outcome', ['model'])
    const phases = 'Seconds of a group: to encode its queries, wait for answers, decode'
    this.#groupSeconds = newHistogram('group_seconds', phases, ['model', 'phase'], SHORT.concat(BUCKETS.slice(6)))
    const recovered = 'Recovered answers, by source and cause'
    this.#recoveries = newCounter('recoveries_total', recovered, ['model', 'source', 'why'])
    this.#drops = newCounter(
      'events_dropped_total',
      'Clients of /events that were cut off because they read too slowly',
      [],
    )
    const newGauge = (name: string, help: string, value: () => number) =>
      new Gauge({
        name: `approxifer_${name}`,
        help,
        registers,
        collect() {
          this.set(value())
        },
      })
    newGauge('connections', 'Open connections', connections)
    newGauge('events_clients', 'Clients of /events', clients)
    let last = Promise.resolve()
    /** Waits for the next turn of the event loop: each family of metrics is computed in a turn of its own. */
    const inTurn = () => {
      last = last.then(() => setImmediate())
      return last
    }
    for (const family of families) this.#register(family, inTurn)
  }

  /** Registers a family of metrics whose values are computed at each scrape. */
  #register({ kind, name, help, labels, samples }: Family, inTurn: () => Promise<void>): void {
    const stats = () => this.#taken
    const labelNames = ['model', ...labels]
    new kind({
      ...{ name: `approxifer_${name}`, help, labelNames, registers: [this.#registry] },
      async collect() {
        await inTurn()
        this.reset()
        for (const [model, each] of stats()) {
          for (const [own, value] of samples(each)) if (value !== undefined) this.inc({ model, ...own }, value)
        }
      },
    })
  }

  request({ route, status, ms }: RequestEvent, model: string): void {
    this.#requests.inc({ route, model, code: status })
    if (isInference(route)) this.#seconds.observe({ model }, ms / 1000)
  }

  /** Counts a request that was refused by its token. */
  refused(code: number): void {
    this.#requests.inc({ route: 'refused', model: '', code })
  }

  event(model: string, event: PredictorEvent): void {
    if (event.event === 'answered') this.#attempt(model, event.onTime ? 'on_time' : 'late', event.ms)
    else if (event.event === 'failed') this.#attempt(model, event.code === 'PROTOCOL' ? 'rejected' : 'failed', event.ms)
    else if (event.event === 'recovered') this.#recoveries.inc({ model, source: event.source, why: event.why })
    else if (event.event === 'decoded') {
      const { encodeMs: encode, waitMs: wait, decodeMs: decode } = event
      for (const [phase, ms] of Object.entries({ encode, wait, decode }))
        this.#groupSeconds.observe({ model, phase }, ms / 1000)
    }
  }

  #attempt(model: string, outcome: string, ms: number): void {
    this.#rows.inc({ model, outcome })
    this.#rowSeconds.observe({ model }, ms / 1000)
  }

  dropped(): void {
    this.#drops.inc()
  }

  async response(): Promise<Response> {
    this.#taken = [...this.#stats()]
    return new Response(await this.#registry.metrics(), { headers: { 'content-type': this.#registry.contentType } })
  }
}

type Sample = [labels: Record<string, string | number>, value: number | undefined]

/** A metric that is computed from predictors' statistics. Its counters restart from 0 when a model is loaded again. */
interface Family {
  kind: typeof Counter | typeof Gauge
  name: string
  help: string
  labels: readonly string[]
  samples(stats: ServedStats): readonly Sample[]
}

const family =
  (kind: Family['kind']) =>
  (name: string, help: string, labels: readonly string[], samples: Family['samples']): Family => ({
    ...{ kind, name, help, labels, samples },
  })
const [counter, gauge] = [family(Counter), family(Gauge)]

const by = (label: string, counts: object): Sample[] =>
  Object.entries(counts).map(([name, count]) => [{ [label]: name }, count])

/** A sample per worker; beyond `MOST_WORKERS`, the sum of the rest. @param adds  whether the values can be summed */
function ofWorkers({ workers }: PredictorStats, value: (worker: Worker) => number | undefined, adds = true): Sample[] {
  const own = workers.slice(0, MOST_WORKERS).map((each): Sample => [{ worker: each.worker }, value(each)])
  const others = workers.slice(MOST_WORKERS)
  if (!adds || !others.length) return own
  return [...own, [{ worker: OTHER }, others.reduce((sum, each) => sum + (value(each) ?? 0), 0)]]
}

const workerCounter = (name: string, help: string, value: (worker: Worker) => number) =>
  counter(`worker_${name}`, help, ['worker'], (stats) => ofWorkers(stats, value))

const workerGauge = (name: string, help: string, value: (worker: Worker) => number | undefined) =>
  gauge(`worker_${name}`, help, ['worker'], (stats) => ofWorkers(stats, value, false))

const seconds = (ms: number | undefined) => (ms === undefined ? undefined : ms / 1000)

/** For each outcome of a call in a worker's statistics, its label. */
const outcomes = {
  ...{ onTime: 'on_time', late: 'late', failed: 'failed', rejected: 'rejected' },
  ...{ suspected: 'suspected', refused: 'refused' },
} as const

const families: Family[] = [
  counter('queries_total', 'Answered queries, by status', ['status'], (stats) => {
    const { exact, checked, recovered, remembered, unverified, audited } = stats
    return by('status', { exact, checked, recovered, remembered, unverified, audited })
  }),
  counter('queries_reused_total', 'Queries answered by the answer to an equal query', [], ({ reused }) => [
    [{}, reused],
  ]),
  counter('recalled_total', 'Recalled answers: unproven answers of a worker that lied', [], ({ recalled }) => [
    [{}, recalled],
  ]),
  counter('queries_failed_total', 'Queries that ended in an error, by error code', ['code'], ({ failed }) =>
    by('code', failed),
  ),
  gauge('queries_open', 'Queries waiting or under way', [], ({ open }) => [[{}, open]]),
  counter(
    'hedges_total',
    'Hedges: second attempts for late queries, and how many of them answered first',
    ['result'],
    ({ hedges }) => by('result', hedges),
  ),
  gauge('late_seconds', 'Seconds after which a query is late', [], ({ lateMs }) => [[{}, seconds(lateMs)]]),
  gauge(
    'remembered_wrong',
    'Wrong answers of the memory in this window, without tenants: the allowed number, and the upper bound (95 %)',
    ['kind'],
    (stats) => {
      const { budget } = stats
      return budget ? by('kind', { allowed: budget.allowed, at_most: budget.wrongAtMost }) : []
    },
  ),
  counter(
    'reuse_seconds_total',
    'Seconds, without tenants: workers’ time saved by the memory, and time of its lookups',
    ['kind'],
    ({ saving }) => (saving ? by('kind', { saved: saving.savedMs / 1000, lookups: saving.lookupMs / 1000 }) : []),
  ),
  gauge('memory_pairs', 'Pairs of query and answer in the memory', [], ({ memoryPairs }) => [[{}, memoryPairs]]),
  counter(
    'recoveries_graded_total',
    'Recovered answers that were compared with the model’s own, late answer, by agreement',
    ['source', 'missing', 'agreed'],
    ({ agreements }) =>
      agreements.flatMap(({ source, missing, graded, agreed }): Sample[] => [
        [{ source, missing, agreed: 'true' }, agreed],
        [{ source, missing, agreed: 'false' }, graded - agreed],
      ]),
  ),
  counter('worker_answers_total', 'Calls of a worker, by outcome', ['worker', 'outcome'], (stats) =>
    Object.entries(outcomes).flatMap(([name, outcome]) =>
      ofWorkers(stats, (worker) => worker[name as keyof typeof outcomes]).map(
        ([labels, value]): Sample => [{ ...labels, outcome }, value],
      ),
    ),
  ),
  workerCounter('lies_total', 'Answers of a worker that were shown to be lies', ({ lies }) => lies),
  workerCounter(
    'deviating_total',
    'Answers of a worker that deviate by more than rounding, and are no lies',
    ({ deviating }) => deviating,
  ),
  workerCounter('proven_total', 'Answers of a worker that were proven', ({ proven }) => proven),
  workerCounter('ejections_total', 'How often a worker was ejected', ({ ejections }) => ejections),
  workerGauge(
    'expected_seconds',
    'Expected seconds of a call, +Inf if the worker fails, refuses or is gone',
    ({ expectedMs }) => seconds(expectedMs),
  ),
  workerGauge(
    'right_answers_left',
    'Right answers until an ejected worker is readmitted; 0: it is not ejected',
    ({ rightAnswersLeft }) => rightAnswersLeft,
  ),
  gauge(
    'workers',
    'Workers by state: up or failing by their latest calls, new before the first call, earning trust, gone if unreachable, ejected',
    ['state'],
    ({ workers }) => by('state', countOfStates(workers)),
  ),
  gauge('model_version_workers', 'Workers of each model version, and its state', ['model_version', 'state'], (stats) =>
    stats.modelVersions.map(({ id, state, workers }) => [{ model_version: id, state }, workers]),
  ),
]
