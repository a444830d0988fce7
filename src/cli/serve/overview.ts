/** What /metrics tells as JSON, which the page of operators shows: models, what became of their queries, and their workers. */

import type { ModelVersionReport } from '../../events'
import type { ServedStats } from './metrics'

/** How long what was counted is told on: of a thousand workers it takes a while, and 32 pages may ask. */
const FRESH_MS = 500
/** Workers of a model that are told of: those in trouble, and then the busiest. */
const MOST_WORKERS = 100

/** `earning`: it is new where anybody may join, and has to give right answers first; `ejected`: it gets no queries since it lied or deviated. */
export type WorkerState = 'up' | 'new' | 'earning' | 'failing' | 'gone' | 'ejected'

export interface WorkerOverview {
  readonly worker: string
  readonly state: WorkerState
  /** That an answer takes; null where it fails, or has given none. */
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
  /** How many there are in each state. */
  readonly states: Readonly<Record<WorkerState, number>>
  /** Some of them, where there are many. */
  readonly workers: readonly WorkerOverview[]
}

export interface Overview {
  /** Where models are asked, if that is another port. */
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
  const states: Record<WorkerState, number> = { up: 0, new: 0, earning: 0, failing: 0, gone: 0, ejected: 0 }
  const all = workers.map((worker) => [worker, stateOf(worker)] as const)
  for (const [, state] of all) states[state]++
  if (all.length > MOST_WORKERS) all.sort(([a, ofA], [b, ofB]) => RANKS[ofA] - RANKS[ofB] || b.onTime - a.onTime)
  const told = all.slice(0, MOST_WORKERS).map(([each, state]): WorkerOverview => {
    const { worker, slots, onTime, late, failed, rejected, proven, lies, ejections, rightAnswersLeft } = each
    const expectedMs = Number.isFinite(each.expectedMs) ? (each.expectedMs as number) : null
    const counts = { onTime, late, failed: failed + rejected, proven, lies, ejections, rightAnswersLeft }
    return { worker, state, expectedMs, slots, ...counts }
  })
  return { model, open, versions, states, workers: told }
}

/** Those in trouble come first. */
const RANKS: Record<WorkerState, number> = { ejected: 0, failing: 0, gone: 0, up: 1, earning: 2, new: 2 }

type ServedWorker = ServedStats['workers'][number]

function stateOf({ gone, expectedMs, ejections, rightAnswersLeft }: ServedWorker): WorkerState {
  if (rightAnswersLeft && ejections) return 'ejected' // it matters more than whether it can be reached
  if (gone) return 'gone'
  if (rightAnswersLeft) return 'earning'
  if (expectedMs === undefined) return 'new'
  return Number.isFinite(expectedMs) ? 'up' : 'failing'
}
