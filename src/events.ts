/**
 * The events of a predictor: of queries, workers and models. Logs, metrics and `/events` are made from them, and the option `onEvent`
 * receives them. They contain ids, names, times and reasons, but no inputs or outputs. Without a listener no event is created.
 */

import type { Clock } from './base/clock'
import type { ApproxiferError, Code } from './base/errors'
import type { Prediction, RecoveryCause, RecoverySource, Status } from './base/prediction'
import type { Attempt, Identity } from './pool/attempt'
import type { ModelWorker } from './workers/worker'

const SOON = Promise.resolve()

/**
 * Why a worker is asked. `first`: it is the query's first attempt. `hedge`: another worker is late. `retry`: another worker failed. `vote`: workers
 * must agree. `check`: another worker's answer was sampled for a check. `audit`: the memory's answer is checked. `parity`, `coded`: the query is a
 * mixture of queries.
 */
export type Reason = 'first' | 'hedge' | 'retry' | 'vote' | 'check' | 'audit' | 'parity' | 'coded'

/** Events of a query. `query`: its number, which all of its events carry; `attempt`: the number of an attempt of this query. */
export type QueryEvent =
  | {
      readonly event: 'asked'
      readonly query: number
      /** A parity and a coded query are mixtures of queries. */
      readonly kind: 'query' | 'parity' | 'coded'
      readonly mixes?: readonly number[]
      readonly tenant?: string | undefined
      readonly traceparent?: string | undefined
    }
  /** A worker has begun with an attempt. It comes again where that worker lost the attempt, or was too busy for it, and another one has begun. */
  | {
      readonly event: 'began'
      readonly query: number
      readonly attempt: number
      readonly worker: string
      readonly why: Reason
    }
  /** A worker's answer. `ms`: since that worker began; `onTime`: whether the query still waited for it. */
  | {
      readonly event: 'answered'
      readonly query: number
      readonly attempt: number
      readonly worker: string
      readonly ms: number
      readonly onTime: boolean
    }
  /** An attempt without an answer. `PROTOCOL`: the worker's answer was malformed; `ABORTED`: the query no longer waited for it. */
  | {
      readonly event: 'failed'
      readonly query: number
      readonly attempt: number
      readonly worker: string | undefined
      readonly ms: number
      readonly code: Code
    }
  | { readonly event: 'hedged'; readonly query: number; readonly why: 'late' | 'failed' }
  | {
      readonly event: 'recovered'
      readonly query: number
      readonly source: RecoverySource
      readonly why: RecoveryCause
      readonly confidence: number | undefined
    }
  /** The query shares the call of an equal query, `into`. */
  | { readonly event: 'coalesced'; readonly query: number; readonly into: number }
  /** The locator of the paper's code dropped an answer. It always drops E answers, even if no worker lies. */
  | { readonly event: 'suspected'; readonly query: number; readonly worker: string }
  /** A group was decoded: `queries` had no answer, and `survivors` is how many answers were used. */
  | {
      readonly event: 'decoded'
      readonly queries: readonly number[]
      readonly survivors: number
      readonly encodeMs: number
      readonly waitMs: number
      readonly decodeMs: number
    }
  /** The query has its answer, or its error. `ms`: since it was asked. */
  | {
      readonly event: 'ended'
      readonly query: number
      readonly ms: number
      readonly status: Status | Code
      readonly confidence?: number | undefined
      readonly workers?: readonly string[]
      readonly hedged?: boolean
      readonly reused?: boolean | undefined
      readonly queuedMs?: number
      readonly ranMs?: number
    }

/** Events of a worker, with its name and its identity. */
export type WorkerEvent = { readonly worker: string; readonly identity: Identity } & WorkerChange

export type WorkerChange =
  | { readonly event: 'joined' }
  /** The worker left: at once, or after its open calls. */
  | { readonly event: 'left'; readonly how: 'remove' | 'drain' }
  /** The worker cannot be reached, and is retried; or it can be reached again. */
  | { readonly event: 'lost' | 'back' }
  /** The worker now takes this many calls at a time. */
  | { readonly event: 'slots'; readonly slots: number }
  /** An answer of the worker was proven to be a lie. */
  | { readonly event: 'lied' }
  /** The worker gets no more queries, since it lied or deviates from other workers. `evidence`: its record at that time. */
  | { readonly event: 'ejected'; readonly why: 'lied' | 'deviant'; readonly evidence: WorkerEvidence }
  /** The worker has given enough right answers, and gets queries again. */
  | { readonly event: 'readmitted'; readonly evidence: WorkerEvidence }
  /** The worker lied but was not ejected, since too few workers would be left. Its record omits that lie. */
  | { readonly event: 'kept'; readonly evidence: WorkerEvidence }
  /** The worker lied or deviates, and these answers of it are unproven: callers may want to undo their effects. One event per tenant. */
  | {
      readonly event: 'recalled'
      readonly tenant?: string | undefined
      /** `Prediction.id` of each, the oldest first. */
      readonly ids: readonly number[]
      /** When each was given, in milliseconds since 1970. */
      readonly times: readonly number[]
    }

/** A worker's record, as plain data. */
export interface WorkerEvidence {
  /** How many answers were proven right. */
  proven: number
  lies: number
  /** Answers with the label that a confident memory expected. */
  checksPassed: number
  /** Answers with another label than a confident memory expected. */
  checksFailed: number
  /** Answers that differ from several agreeing ones by more than rounding, but too little for a lie. */
  deviating: number
  /** CUSUM of the deviating answers, from 0. */
  deviation: number
  /** Calls without an answer. */
  silent: number
  /** CUSUM of the distances from the memory's predictions, from 0. */
  suspicion: number
  ejections: number
  /** How many right answers in a row an ejected worker still needs to be readmitted; 0: it is not ejected. */
  rightAnswersLeft: number
}

/** The event that answers of a worker are recalled. */
export type RecallEvent = PredictorEvent & { readonly event: 'recalled' }

/** The state of a model version has changed. */
export type ModelEvent = { readonly event: 'model' } & ModelVersionReport

/**
 * A model version: a model that some workers have. `gathering`: too few workers have it to answer, or to take over; `shadow`: its answers are
 * only compared; `canary`: it answers some queries; `refused`: it does not take over by itself; `gone`: no worker has it any more.
 */
export interface ModelVersionReport {
  /** The model's fingerprint or, where workers do not report one, another key that distinguishes its workers. */
  readonly id: string
  readonly state: 'gathering' | 'shadow' | 'canary' | 'serving' | 'refused' | 'gone'
  readonly workers: number
  /** How many of its answers were compared with the serving model's. */
  readonly compared: number
  /** How many of the compared answers agreed. */
  readonly agreed: number
  /** Callers' queries that it answered before it took over. */
  readonly answered: number
  /** Callers' queries that it failed on before it took over. */
  readonly failed: number
}

/** An event. `at`: its time in milliseconds, by the predictor's clock (`performance.now()`). */
export type PredictorEvent = { readonly at: number } & (QueryEvent | WorkerEvent | ModelEvent)

/** Passes a predictor's events to its listener. */
export class Events {
  readonly #clock: Clock
  readonly #listener: ((event: PredictorEvent) => void) | undefined
  #queries = 0
  /** Events that are passed on in a microtask: a listener may close or ask the predictor, which must not happen while a layer runs. */
  #waiting: PredictorEvent[] = []
  readonly #flush = () => {
    const events = this.#waiting
    this.#waiting = []
    for (const event of events) this.#listener?.(event)
  }

  /** @param listener  must not throw; undefined: no event is created */
  constructor(clock: Clock, listener: ((event: PredictorEvent) => void) | undefined) {
    this.#clock = clock
    this.#listener = listener
  }

  /** The time, rounded to microseconds: more digits only make events longer. */
  get now(): number {
    return rounded(this.#clock.now())
  }

  /** The number of the next query. */
  next(): number {
    return ++this.#queries
  }

  /** A query is asked. @returns the recorder of its events; undefined where there is no listener */
  asked(query: number, tenant: string, traceparent: string | undefined): Trace | undefined {
    if (!this.#listener) return undefined
    const at = this.now
    this.tell({ at, event: 'asked', query, kind: 'query', tenant: tenant || undefined, traceparent })
    return new Trace(this, query, at)
  }

  tell(event: PredictorEvent): void {
    if (this.#listener && this.#waiting.push(event) === 1) void SOON.then(this.#flush)
  }

  /** Passes on an event of a worker. */
  tellOf(worker: string, identity: Identity, what: WorkerChange): void {
    if (this.#listener) this.tell({ at: this.now, worker, identity, ...what })
  }

  tellModel(report: ModelVersionReport): void {
    if (this.#listener) this.tell({ at: this.now, event: 'model', ...report })
  }
}

/** Records the events of one query. Each method names all fields of its event: a spread would double the time. */
export class Trace {
  readonly query: number
  readonly #events: Events
  /** The time at which the query was asked. */
  readonly #since: number

  constructor(events: Events, query: number, since: number) {
    this.#events = events
    this.query = query
    this.#since = since
  }

  /** A mixture of queries is asked. @returns the recorder of its events */
  coded(kind: 'parity' | 'coded', mixes: readonly number[]): Trace {
    const query = this.#events.next()
    const at = this.#events.now
    this.#events.tell({ at, event: 'asked', query, kind, mixes })
    return new Trace(this.#events, query, at)
  }

  began({ worker: own }: Attempt, attempt: number, why: Reason): void {
    const worker = (own as ModelWorker).name
    this.#events.tell({ at: this.#events.now, event: 'began', query: this.query, attempt, worker, why })
  }

  /** An attempt has its outcome. */
  settled({ worker: own, outcome, ranMs, onTime }: Attempt, attempt: number): void {
    const { query } = this
    const at = this.#events.now
    const ms = rounded(ranMs)
    if (outcome?.kind === 'answered') {
      const worker = (own as ModelWorker).name
      return this.#events.tell({ at, event: 'answered', query, attempt, worker, ms, onTime })
    }
    const code = outcome?.kind === 'failed' ? outcome.error.code : 'ABORTED'
    this.#events.tell({ at, event: 'failed', query, attempt, worker: own?.name, ms, code })
  }

  hedged(why: 'late' | 'failed'): void {
    this.#events.tell({ at: this.#events.now, event: 'hedged', query: this.query, why })
  }

  recovered(source: RecoverySource, why: RecoveryCause, confidence: number | undefined): void {
    this.#events.tell({ at: this.#events.now, event: 'recovered', query: this.query, source, why, confidence })
  }

  coalesced(into: Trace | undefined): void {
    if (into) this.#events.tell({ at: this.#events.now, event: 'coalesced', query: this.query, into: into.query })
  }

  suspected(worker: string): void {
    this.#events.tell({ at: this.#events.now, event: 'suspected', query: this.query, worker })
  }

  /** @param queries  the numbers of the queries that had no answer */
  decoded(queries: readonly number[], survivors: number, encodeMs: number, waitMs: number, decodeMs: number): void {
    this.#events.tell({ at: this.#events.now, event: 'decoded', queries, survivors, encodeMs, waitMs, decodeMs })
  }

  /** The query has its answer. */
  answered({ status, confidence, workers, hedged, reused, queuedMs, ranMs }: Prediction): void {
    const { query } = this
    const at = this.#events.now
    this.#events.tell({
      at,
      event: 'ended',
      query,
      ms: rounded(at - this.#since),
      status,
      confidence,
      workers,
      hedged,
      reused,
      queuedMs: rounded(queuedMs),
      ranMs: rounded(ranMs),
    })
  }

  /** The query has failed. */
  failed({ code: status }: ApproxiferError): void {
    const { query } = this
    const at = this.#events.now
    this.#events.tell({ at, event: 'ended', query, ms: rounded(at - this.#since), status })
  }
}

/** Rounds to three digits after the decimal point. */
export function rounded(value: number): number {
  return Math.round(value * 1000) / 1000
}
