/** What Prometheus reads at /metrics. docs/serving.md says what each means, and which are worth an alert. */

import { setImmediate } from 'node:timers/promises'
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'
import type { ModelVersionReport, PredictorEvent } from '../../events'
import { isInference, type RequestEvent } from '../../gateway/event'
import type { PredictorStats } from '../../predictor/stats'

/** Seconds: from a small model in memory to the longest deadline. */
const BUCKETS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]
/** Seconds of a group's mathematics. */
const SHORT = [0.00001, 0.00003, 0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03]
/** Workers of a model that have lines of their own; those of the others are added up as 'other'. A line takes 2 µs to write. */
const MOST_WORKERS = 200
const OTHER = 'other'

/** Of a predictor, and of the models that its workers have. */
export type ServedStats = PredictorStats & { modelVersions: readonly ModelVersionReport[] }

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
  /** Taken once a scrape: of a thousand workers they take a while. */
  #taken: [string, ServedStats][] = []

  /** All are asked for at every scrape. */
  constructor(stats: () => Stats, connections: () => number, clients: () => number) {
    this.#stats = stats
    const registers = [this.#registry]
    collectDefaultMetrics({ register: this.#registry })
    const newCounter = <T extends string>(name: string, help: string, labelNames: T[]) =>
      new Counter({ name: `approxifer_${name}`, help, labelNames, registers })
    const newHistogram = <T extends string>(name: string, help: string, labelNames: T[], buckets = BUCKETS) =>
      new Histogram({ name: `approxifer_${name}`, help, labelNames, buckets, registers })
    this.#requests = newCounter('requests_total', 'HTTP requests answered', ['route', 'model', 'code'])
    this.#seconds = newHistogram('request_seconds', 'From the request to its answer, of infer requests', ['model'])
    this.#rows = newCounter('rows_total', 'Rows sent to workers, by what became of them', ['model', 'outcome'])
    this.#rowSeconds = newHistogram('row_seconds', 'From sending a row to its outcome', ['model'])
    const phases = 'Of a group: encode its rows, wait for answers, decode'
    this.#groupSeconds = newHistogram('group_seconds', phases, ['model', 'phase'], SHORT.concat(BUCKETS.slice(6)))
    const recovered = 'Answers recovered, by what they were made from and why'
    this.#recoveries = newCounter('recoveries_total', recovered, ['model', 'source', 'why'])
    this.#drops = newCounter('events_dropped_total', 'Clients of /events that were too slow', [])
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
    /** One family a turn of the loop. */
    const inTurn = () => {
      last = last.then(() => setImmediate())
      return last
    }
    for (const family of families) this.#register(family, inTurn)
  }

  /** Set anew at every scrape. */
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

  /** Before anybody looked at what it asks. */
  refused(code: number): void {
    this.#requests.inc({ route: 'refused', model: '', code })
  }

  event(model: string, told: PredictorEvent): void {
    if (told.event === 'answered') this.#attempt(model, told.onTime ? 'on_time' : 'late', told.ms)
    else if (told.event === 'failed') this.#attempt(model, told.code === 'PROTOCOL' ? 'rejected' : 'failed', told.ms)
    else if (told.event === 'recovered') this.#recoveries.inc({ model, source: told.source, why: told.why })
    else if (told.event === 'decoded') {
      const { encodeMs: encode, waitMs: wait, decodeMs: decode } = told
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

/** A metric whose values the predictors hold already. Counters restart from 0 with a model that is loaded anew. */
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

/** Further workers are added up, where that makes sense. */
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

const outcomes = {
  onTime: 'on_time',
  late: 'late',
  failed: 'failed',
  rejected: 'rejected',
  suspected: 'suspected',
  refused: 'refused',
} as const

const families: Family[] = [
  counter('queries_total', 'Queries answered, by how: as `status` of a reply', ['status'], (stats) => {
    const { exact, checked, recovered, remembered, unverified, audited } = stats
    return by('status', { exact, checked, recovered, remembered, unverified, audited })
  }),
  counter('queries_reused_total', 'Queries answered by the answer to an equal one', [], ({ reused }) => [[{}, reused]]),
  counter(
    'recalled_total',
    'Answers that were recalled: an unproven word of a worker that lied',
    [],
    ({ recalled }) => [[{}, recalled]],
  ),
  counter('queries_failed_total', 'Queries that ended in an error, by its code', ['code'], ({ failed }) =>
    by('code', failed),
  ),
  gauge('queries_open', 'Queries waiting or under way', [], ({ open }) => [[{}, open]]),
  counter(
    'hedges_total',
    'Second requests for late queries, and those of them that were answered first',
    ['result'],
    ({ hedges }) => by('result', hedges),
  ),
  gauge('late_seconds', 'After which a query is late', [], ({ lateMs }) => [[{}, seconds(lateMs)]]),
  gauge(
    'remembered_wrong',
    'Without a tenant, in this window: wrong remembered answers allowed, and given at most (95 %)',
    ['kind'],
    (stats) => {
      const { budget } = stats
      return budget ? by('kind', { allowed: budget.allowed, at_most: budget.wrongAtMost }) : []
    },
  ),
  counter(
    'reuse_seconds_total',
    'Without a tenant: time of workers saved by remembered answers, and time of lookups',
    ['kind'],
    ({ saving }) => (saving ? by('kind', { saved: saving.savedMs / 1000, lookups: saving.lookupMs / 1000 }) : []),
  ),
  gauge('memory_pairs', 'Pairs of query and answer in the memory', [], ({ memoryPairs }) => [[{}, memoryPairs]]),
  counter(
    'recoveries_graded_total',
    'Recovered answers whose own came later, and whether they agreed',
    ['source', 'missing', 'agreed'],
    ({ agreements }) =>
      agreements.flatMap(({ source, missing, graded, agreed }): Sample[] => [
        [{ source, missing, agreed: 'true' }, agreed],
        [{ source, missing, agreed: 'false' }, graded - agreed],
      ]),
  ),
  counter('worker_answers_total', 'Calls of a worker, by what became of them', ['worker', 'outcome'], (stats) =>
    Object.entries(outcomes).flatMap(([name, outcome]) =>
      ofWorkers(stats, (worker) => worker[name as keyof typeof outcomes]).map(
        ([labels, value]): Sample => [{ ...labels, outcome }, value],
      ),
    ),
  ),
  workerCounter('lies_total', 'Answers of a worker that were shown to be lies', ({ lies }) => lies),
  workerCounter('deviating_total', 'Answers of a worker beyond rounding, and no lies', ({ deviating }) => deviating),
  workerCounter('proven_total', 'Answers of a worker that were proven', ({ proven }) => proven),
  workerCounter('ejections_total', 'How often a worker was ejected', ({ ejections }) => ejections),
  workerGauge('expected_seconds', 'That a worker takes, +Inf where it fails', ({ expectedMs }) => seconds(expectedMs)),
  workerGauge(
    'right_answers_left',
    'Right answers a worker still has to give; above 0: ejected',
    ({ rightAnswersLeft }) => rightAnswersLeft,
  ),
  gauge(
    'workers',
    'Workers: up or failing by their latest calls, new before the first, gone where they cannot be reached',
    ['state'],
    ({ workers }) =>
      ['up', 'failing', 'new', 'gone'].map((state) => [
        { state },
        workers.filter((worker) => stateOf(worker) === state).length,
      ]),
  ),
  gauge('model_version_workers', 'Workers that have a model, and its state', ['model_version', 'state'], (stats) =>
    stats.modelVersions.map(({ id, state, workers }) => [{ model_version: id, state }, workers]),
  ),
]

function stateOf({ expectedMs, gone }: Worker): string {
  if (gone) return 'gone'
  if (expectedMs === undefined) return 'new'
  return Number.isFinite(expectedMs) ? 'up' : 'failing'
}
