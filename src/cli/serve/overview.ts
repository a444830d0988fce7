/** /metrics as JSON, for the operators' page: models and their workers, with states, speeds, slots and records. A worker's state is defined here. */

import type { ModelVersionReport } from '../../events'
import type { PredictorStats } from '../../predictor/stats'

/** A predictor's statistics, with the model versions of its workers. */
export type ServedStats = PredictorStats & { modelVersions: readonly ModelVersionReport[] }

/** The figures are computed anew after this time: 32 pages may ask, and the figures of a thousand workers take a while. */
const FRESH_MS = 500
/** The most workers of a model in the reply: workers in trouble first, then the workers with most answers. */
const MOST_WORKERS = 100

/** `earning`: a new worker of an open fleet that has to give right answers before it is trusted; `ejected`: it gets no queries, since it lied or deviated. */
export type WorkerState = 'up' | 'new' | 'earning' | 'failing' | 'gone' | 'ejected'

export interface WorkerOverview {
  readonly worker: string
  readonly state: WorkerState
  /** Expected milliseconds of an answer; null: the worker fails, or has not answered yet. */
  readonly expectedMs: number | null
  readonly slots: number
  readonly onTime: number
  readonly late: number
  readonly failed: number
  readonly proven: number
  readonly lies: number
  readonly ejections: number
  readonly rightAnswersLeft: number
}

export interface ModelOverview {
  readonly model: string
  /** Queries waiting or under way. */
  readonly open: number
  readonly versions: readonly ModelVersionReport[]
  /** Number of workers in each state. */
  readonly states: Readonly<Record<WorkerState, number>>
  /** At most 100. */
  readonly workers: readonly WorkerOverview[]
}

export interface Overview {
  /** The port that answers queries, if it is another one than the page's. */
  readonly port: number | undefined
  readonly models: readonly ModelOverview[]
}

export class OverviewFeed {
  #bytes: Uint8Array<ArrayBuffer> | undefined
  #until = 0

  constructor(
    private readonly stats: () => Iterable<[model: string, stats: ServedStats]>,
    private readonly port: () => number | undefined,
  ) {}

  response(): Response {
    const now = performance.now()
    if (!this.#bytes || now >= this.#until) {
      const overview: Overview = { port: this.port(), models: [...this.stats()].map((each) => overviewOf(...each)) }
      this.#bytes = new TextEncoder().encode(JSON.stringify(overview))
      this.#until = now + FRESH_MS
    }
    return new Response(this.#bytes, { headers: { 'content-type': 'application/json', 'cache-control': 'no-store' } })
  }
}

export function overviewOf(model: string, { open, modelVersions: versions, workers }: ServedStats): ModelOverview {
  const all = workers.map((worker) => [worker, stateOf(worker)] as const)
  if (all.length > MOST_WORKERS) all.sort(([a, ofA], [b, ofB]) => RANKS[ofA] - RANKS[ofB] || b.onTime - a.onTime)
  const told = all.slice(0, MOST_WORKERS).map(([each, state]): WorkerOverview => {
    const { worker, slots, onTime, late, failed, rejected, proven, lies, ejections, rightAnswersLeft } = each
    const expectedMs = Number.isFinite(each.expectedMs) ? (each.expectedMs as number) : null
    const counts = { onTime, late, failed: failed + rejected, proven, lies, ejections, rightAnswersLeft }
    return { worker, state, expectedMs, slots, ...counts }
  })
  return { model, open, versions, states: countOfStates(workers), workers: told }
}

/** The order of states in the reply. */
const RANKS: Record<WorkerState, number> = { ejected: 0, failing: 0, gone: 0, up: 1, earning: 2, new: 2 }

type ServedWorker = ServedStats['workers'][number]

/** How many workers are in each state, of all states. */
export function countOfStates(workers: readonly ServedWorker[]): Record<WorkerState, number> {
  const counts: Record<WorkerState, number> = { up: 0, new: 0, earning: 0, failing: 0, gone: 0, ejected: 0 }
  for (const worker of workers) counts[stateOf(worker)]++
  return counts
}

function stateOf({ gone, expectedMs, ejections, rightAnswersLeft }: ServedWorker): WorkerState {
  if (rightAnswersLeft && ejections) return 'ejected' // also out of reach: that it lied matters more
  if (gone) return 'gone'
  if (rightAnswersLeft) return 'earning'
  if (expectedMs === undefined) return 'new'
  return Number.isFinite(expectedMs) ? 'up' : 'failing'
}
