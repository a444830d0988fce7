/** What Prometheus reads at /metrics. docs/serving.md says what each means, and which are worth an alert. */

import { setImmediate } from 'node:timers/promises'
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'
import type { RequestEvent } from '../../gateway/event'
import type { PredictorStats } from '../../predictor/predictor'
import type { GroupReport } from '../../query/report'

/** Seconds: from a small model in memory to the longest deadline. */
const BUCKETS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]
/** Seconds of a group's mathematics. */
const SHORT = [0.00001, 0.00003, 0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03]
/** Workers of a model that have lines of their own; those of the others are added up as 'other'. A line takes 2 µs to write. */
const MOST_WORKERS = 200
const OTHER = 'other'

type Stats = Iterable<[model: string, stats: PredictorStats]>
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
  /** Taken once a scrape: of a thousand workers they take a while. */
  #taken: [string, PredictorStats][] = []

  /**
   * @param stats        of each model, asked for at every scrape
   * @param connections  open ones
   * @param clients      of /events
   */
  constructor(stats: () => Stats, connections: () => number, clients: () => number) {
    this.#stats = stats
    const registers = [this.#registry]
    collectDefaultMetrics({ register: this.#registry })
    const counter = <T extends string>(name: string, help: string, labelNames: T[]) =>
      new Counter({ name: `approxifer_${name}`, help, labelNames, registers })
    const histogram = <T extends string>(name: string, help: string, labelNames: T[], buckets = BUCKETS) =>
      new Histogram({ name: `approxifer_${name}`, help, labelNames, buckets, registers })
    this.#requests = counter('requests_total', 'HTTP requests answered', ['route', 'model', 'code'])
    this.#seconds = histogram('request_seconds', 'From the request to its answer, of infer requests', ['model'])
    this.#rows = counter('rows_total', 'Rows sent to workers, by what became of them', ['model', 'outcome'])
    this.#rowSeconds = histogram('row_seconds', 'From sending a row to its outcome', ['model'])
    const phases = 'Of a group: encode its rows, wait for answers, decode'
    this.#groupSeconds = histogram('group_seconds', phases, ['model', 'phase'], SHORT.concat(BUCKETS.slice(6)))
    this.#recoveries = counter('recoveries_total', 'Answers recovered, and whether the caller got them', [
      ...(['model', 'source', 'given'] as const),
    ])
    this.#drops = counter('events_dropped_total', 'Clients of /events that were too slow', [])
    const gauge = (name: string, help: string, value: () => number) =>
      new Gauge({ name: `approxifer_${name}`, help, registers, collect() { this.set(value()) } }) // biome-ignore format: one line
    gauge('connections', 'Open connections', connections)
    gauge('events_clients', 'Clients of /events', clients)
    let last = Promise.resolve()
    /** One family a turn of the loop. */
    const inTurn = () => {
      last = last.then(() => setImmediate())
      return last
    }
    for (const family of families) new Snapshot(family, this.#registry, () => this.#taken, inTurn)
  }

  /** A request was answered. @param model  '' for none */
  request({ route, status, ms }: RequestEvent, model: string): void {
    this.#requests.inc({ route, model, code: status })
    if (route === 'infer') this.#seconds.observe({ model }, ms / 1000)
  }

  /** A group is complete. */
  group(model: string, { rows, recoveries, encodeMs, waitMs, decodeMs }: GroupReport): void {
    for (const { outcome, ms } of rows) {
      this.#rows.inc({ model, outcome: outcomes[outcome] })
      this.#rowSeconds.observe({ model }, ms / 1000)
    }
    for (const { source, given } of recoveries) this.#recoveries.inc({ model, source, given: String(given) })
    const phases = { encode: encodeMs, wait: waitMs, decode: decodeMs }
    for (const [phase, ms] of Object.entries(phases)) this.#groupSeconds.observe({ model, phase }, ms / 1000)
  }

  /** A client of /events was too slow. */
  dropped(): void {
    this.#drops.inc()
  }

  async response(): Promise<Response> {
    this.#taken = [...this.#stats()]
    return new Response(await this.#registry.metrics(), { headers: { 'content-type': this.#registry.contentType } })
  }
}

type Sample = [labels: Record<string, string | number>, value: number | undefined]

/** A metric whose values the predictors hold already. Counters restart from 0 with a model that is loaded anew. */
interface Family {
  name: string
  kind: 'counter' | 'gauge'
  help: string
  labels: readonly string[]
  samples(stats: PredictorStats): readonly Sample[]
}

const perWorker = (
  name: string,
  kind: Family['kind'],
  help: string,
  value: (worker: Worker) => number | undefined,
): Family => ({
  name: `worker_${name}`,
  kind,
  help,
  labels: ['worker'],
  samples: ({ workers }) => {
    const own = workers.slice(0, MOST_WORKERS).map((each): Sample => [{ worker: each.worker }, value(each)])
    const others = workers.slice(MOST_WORKERS)
    if (kind === 'gauge' || !others.length) return own
    return [...own, [{ worker: OTHER }, others.reduce((sum, each) => sum + (value(each) ?? 0), 0)]]
  },
})

const outcomes = {
  onTime: 'on_time',
  late: 'late',
  failed: 'failed',
  rejected: 'rejected',
  suspected: 'suspected',
} as const

const families: Family[] = [
  {
    name: 'queries_total',
    kind: 'counter',
    help: 'Queries answered, by how: exact, checked, recovered, unverified',
    labels: ['status'],
    samples: ({ exact, checked, recovered, unverified }) =>
      Object.entries({ exact, checked, recovered, unverified }).map(([status, count]) => [{ status }, count]),
  },
  {
    name: 'queries_failed_total',
    kind: 'counter',
    help: 'Queries that ended in an error, by its code',
    labels: ['code'],
    samples: ({ failed }) => Object.entries(failed).map(([code, count]) => [{ code }, count]),
  },
  {
    name: 'queries_open',
    kind: 'gauge',
    help: 'Queries waiting or under way',
    labels: [],
    samples: ({ open }) => [[{}, open]],
  },
  {
    name: 'groups_total',
    kind: 'counter',
    help: 'Groups opened',
    labels: [],
    samples: ({ groups }) => [[{}, groups]],
  },
  {
    name: 'hedges_total',
    kind: 'counter',
    help: 'Second requests for late queries, and those of them that were answered first',
    labels: ['result'],
    samples: ({ hedges }) => Object.entries(hedges).map(([result, count]) => [{ result }, count]),
  },
  {
    name: 'late_seconds',
    kind: 'gauge',
    help: 'After which a query is late',
    labels: [],
    samples: ({ lateMs }) => [[{}, lateMs === undefined ? undefined : lateMs / 1000]],
  },
  {
    name: 'remembered_queries',
    kind: 'gauge',
    help: 'Queries in the memory',
    labels: [],
    samples: ({ remembered }) => [[{}, remembered]],
  },
  {
    name: 'recoveries_graded_total',
    kind: 'counter',
    help: 'Recovered answers whose own came later, and whether they agreed',
    labels: ['source', 'missing', 'agreed'],
    samples: ({ agreements }) =>
      agreements.flatMap(({ source, missing, graded, agreed }): Sample[] => [
        [{ source, missing, agreed: 'true' }, agreed],
        [{ source, missing, agreed: 'false' }, graded - agreed],
      ]),
  },
  {
    name: 'worker_answers_total',
    kind: 'counter',
    help: 'Calls of a worker, by what became of them',
    labels: ['worker', 'outcome'],
    samples: (stats) =>
      Object.entries(outcomes).flatMap(([name, outcome]) =>
        perWorker('', 'counter', '', (worker) => worker[name as keyof typeof outcomes])
          .samples(stats)
          .map(([labels, value]): Sample => [{ ...labels, outcome }, value]),
      ),
  },
  perWorker('lies_total', 'counter', 'Answers of a worker that were shown to be lies', ({ lies }) => lies),
  perWorker('proven_total', 'counter', 'Answers of a worker that were proven', ({ proven }) => proven),
  perWorker('convictions_total', 'counter', 'How often a worker was quarantined', ({ convictions }) => convictions),
  perWorker('expected_seconds', 'gauge', 'That a worker takes, +Inf where it fails', ({ expectedMs }) =>
    expectedMs === undefined ? undefined : expectedMs / 1000,
  ),
  perWorker(
    'probation',
    'gauge',
    'Right answers a worker still has to give; above 0: quarantined',
    ({ probation }) => probation,
  ),
  {
    name: 'workers',
    kind: 'gauge',
    help: 'Workers: up or failing by their latest calls, new before the first, gone where they cannot be reached',
    labels: ['state'],
    samples: ({ workers }) =>
      ['up', 'failing', 'new', 'gone'].map((state) => [
        { state },
        workers.filter((worker) => stateOf(worker) === state).length,
      ]),
  },
]

function stateOf({ expectedMs, gone }: Worker): string {
  if (gone) return 'gone'
  if (expectedMs === undefined) return 'new'
  return Number.isFinite(expectedMs) ? 'up' : 'failing'
}

/** Set anew at every scrape. */
class Snapshot {
  constructor(
    { name, kind, help, labels, samples }: Family,
    registry: Registry,
    stats: () => Stats,
    inTurn: () => Promise<void>,
  ) {
    const settings = { name: `approxifer_${name}`, help, labelNames: ['model', ...labels], registers: [registry] }
    const fill = (put: (labels: Record<string, string | number>, value: number) => void) => {
      for (const [model, each] of stats()) {
        for (const [own, value] of samples(each)) if (value !== undefined) put({ model, ...own }, value)
      }
    }
    if (kind === 'gauge') {
      new Gauge({ ...settings, async collect() { await inTurn(); this.reset(); fill((own, value) => this.set(own, value)) } }) // biome-ignore format: one line
    } else {
      new Counter({ ...settings, async collect() { await inTurn(); this.reset(); fill((own, value) => this.inc(own, value)) } }) // biome-ignore format: one line
    }
  }
}
