/**
 * What happens, as it happens. Layers, the pool's owner and models tell it; `onEvent` hears of it, and logs, metrics and `/events` are made of what
 * it hears. Events carry ids, names, times and reasons, and no inputs or outputs. Where nobody listens no event is made.
 */

import type { Clock } from './base/clock'
import type { ApproxiferError, Code } from './base/errors'
import type { Prediction, RecoveryCause, RecoverySource, Status } from './base/prediction'
import type { Attempt, Identity } from './pool/attempt'
import type { ModelWorker } from './workers/worker'

const SOON = Promise.resolve()

/**
 * Why a worker is asked. `first`: nobody was asked before. `hedge`: another worker is late. `retry`: another worker failed. `vote`: workers have to
 * agree. `check`: a worker's answer was drawn for a check. `audit`: the memory could have answered. `parity`, `coded`: it is a mixture of queries.
 */
export type Reason = 'first' | 'hedge' | 'retry' | 'vote' | 'check' | 'audit' | 'parity' | 'coded'

/** `query`: its number, by which all of its events go; `attempt`: the number of the attempt among the query's. */
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
  /** A worker has begun with an attempt; told again where it lost it, or was too busy for it, and another one has begun. */
  | {
      readonly event: 'began'
      readonly query: number
      readonly attempt: number
      readonly worker: string
      readonly why: Reason
    }
  /** A worker's answer. `ms`: since that worker began; `onTime`: somebody waited for it. */
  | {
      readonly event: 'answered'
      readonly query: number
      readonly attempt: number
      readonly worker: string
      readonly ms: number
      readonly onTime: boolean
    }
  /** An attempt without an answer. `PROTOCOL`: what the worker gave is none; `ABORTED`: nobody waits for it any more. */
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
  /** It shares the call of an equal query. */
  | { readonly event: 'coalesced'; readonly query: number; readonly into: number }
  /** The locator of the paper's code dropped an answer: as many as may lie are, whether anybody lies. */
  | { readonly event: 'suspected'; readonly query: number; readonly worker: string }
  /** The queries of a group that had no answer were decoded from those of the others. Milliseconds. */
  | {
      readonly event: 'decoded'
      readonly queries: readonly number[]
      readonly survivors: number
      readonly encodeMs: number
      readonly waitMs: number
      readonly decodeMs: number
    }
  /** Its caller has an answer, or an error. `ms`: since it was asked. */
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

/** Of workers, each with its name and its identity. */
export type WorkerEvent = { readonly worker: string; readonly identity: Identity } & WorkerChange

export type WorkerChange =
  | { readonly event: 'joined' }
  /** It left: it was removed, or has answered what it was at. */
  | { readonly event: 'left'; readonly how: 'remove' | 'drain' }
  /** It cannot be reached, and is tried again; and it is back. */
  | { readonly event: 'lost' | 'back' }
  /** It takes so many calls at once from now on. */
  | { readonly event: 'slots'; readonly slots: number }
  /** An answer of it was shown to be a lie. */
  | { readonly event: 'lied' }
  /** It gets no queries any more since it lied, or since it answers unlike the others; `evidence`: its record by then. */
  | { readonly event: 'ejected'; readonly why: 'lied' | 'deviant'; readonly evidence: WorkerEvidence }
  /** It has answered right for long enough, and gets queries again. */
  | { readonly event: 'readmitted'; readonly evidence: WorkerEvidence }
  /** It lied, and gets queries all the same: hardly any worker would be left. That lie is not in its record. */
  | { readonly event: 'kept'; readonly evidence: WorkerEvidence }
  /** It lied, or deviates: callers may want to undo what followed from these answers of it, which nothing has proven. Told for each tenant. */
  | {
      readonly event: 'recalled'
      readonly tenant?: string | undefined
      /** `Prediction.id` of each, the oldest first. */
      readonly ids: readonly number[]
      /** When each was given, in milliseconds since 1970. */
      readonly times: readonly number[]
    }

/** One worker's record; plain data. */
export interface WorkerEvidence {
  /** Answers that were proven, and answers that were lies. */
  proven: number
  lies: number
  /** Answers with the label that a confident memory expects, and with another one. */
  checksPassed: number
  checksFailed: number
  /** Answers that differ from several agreeing ones by more than rounding, and are no lies. */
  deviating: number
  /** CUSUM of the deviating answers, from 0. */
  deviation: number
  /** Calls without an answer. */
  silent: number
  /** CUSUM of the distances from the memory's predictions, from 0. */
  suspicion: number
  ejections: number
  /** Right answers in a row that it still has to give until it is trusted again; 0: it is trusted. */
  rightAnswersLeft: number
}

/** Which answers of a worker are recalled. */
export type RecallEvent = PredictorEvent & { readonly event: 'recalled' }

/** A model that workers have is something else than before: see `ModelVersionReport`. */
export type ModelEvent = { readonly event: 'model' } & ModelVersionReport

/**
 * Of workers that have one model. `gathering`: it has too few of them to answer, or to take over; `shadow`, `canary`: it is asked
 * as well, or answers some; `refused`: it does not take over by itself; `gone`: it has no worker left.
 */
export interface ModelVersionReport {
  /** The model's fingerprint or, where workers do not tell it, what tells its answers from another's. */
  readonly id: string
  readonly state: 'gathering' | 'shadow' | 'canary' | 'serving' | 'refused' | 'gone'
  readonly workers: number
  /** Of its answers, those that were compared with the serving model's, and those that were right by them. */
  readonly compared: number
  readonly agreed: number
  /** Queries of callers that it answered, and those that it failed on, before it took over. */
  readonly answered: number
  readonly failed: number
}

/** `at`: milliseconds of the predictor's clock, that of `performance.now()`. */
export type PredictorEvent = { readonly at: number } & (QueryEvent | WorkerEvent | ModelEvent)

/** Where events go. */
export class Events {
  readonly #clock: Clock
  readonly #listener: ((event: PredictorEvent) => void) | undefined
  #queries = 0
  /** Told in a moment: a listener that closes the predictor, or asks it, must not do so while a layer is at work. */
  #waiting: PredictorEvent[] = []
  readonly #flush = () => {
    const told = this.#waiting
    this.#waiting = []
    for (const event of told) this.#listener?.(event)
  }

  /** @param listener  never throws; undefined: nobody listens */
  constructor(clock: Clock, listener: ((event: PredictorEvent) => void) | undefined) {
    this.#clock = clock
    this.#listener = listener
  }

  /** In microseconds: more digits tell nothing, and take longer to write. */
  get now(): number {
    return rounded(this.#clock.now())
  }

  /** The number of the next query. */
  next(): number {
    return ++this.#queries
  }

  /** A query is asked. @returns what its events are told to; undefined where nobody listens */
  asked(query: number, tenant: string, traceparent: string | undefined): Trace | undefined {
    if (!this.#listener) return undefined
    const at = this.now
    this.tell({ at, event: 'asked', query, kind: 'query', tenant: tenant || undefined, traceparent })
    return new Trace(this, query, at)
  }

  tell(event: PredictorEvent): void {
    if (this.#listener && this.#waiting.push(event) === 1) void SOON.then(this.#flush)
  }

  /** Of a worker. */
  tellOf(worker: string, identity: Identity, what: WorkerChange): void {
    if (this.#listener) this.tell({ at: this.now, worker, identity, ...what })
  }

  tellModel(report: ModelVersionReport): void {
    if (this.#listener) this.tell({ at: this.now, event: 'model', ...report })
  }
}

/** Of one query: what its layers tell. Each event by its names: a spread takes as long as all the rest. */
export class Trace {
  readonly query: number
  readonly #events: Events
  /** When it was asked. */
  readonly #since: number

  constructor(events: Events, query: number, since: number) {
    this.#events = events
    this.query = query
    this.#since = since
  }

  /** A mixture of queries is asked. @returns what its own events are told to */
  coded(kind: 'parity' | 'coded', mixes: readonly number[]): Trace {
    const query = this.#events.next()
    const at = this.#events.now
    this.#events.tell({ at, event: 'asked', query, kind, mixes })
    return new Trace(this.#events, query, at)
  }

  began({ worker }: Attempt, attempt: number, why: Reason): void {
    const { query } = this
    this.#events.tell({
      at: this.#events.now,
      event: 'began',
      query,
      attempt,
      worker: (worker as ModelWorker).name,
      why,
    })
  }

  /** An attempt has its outcome. */
  settled({ worker, outcome, ranMs, onTime }: Attempt, attempt: number): void {
    const { query } = this
    const at = this.#events.now
    const ms = rounded(ranMs)
    if (outcome?.kind === 'answered')
      return this.#events.tell({
        at,
        event: 'answered',
        query,
        attempt,
        worker: (worker as ModelWorker).name,
        ms,
        onTime,
      })
    const code = outcome?.kind === 'failed' ? outcome.error.code : 'ABORTED'
    this.#events.tell({ at, event: 'failed', query, attempt, worker: worker?.name, ms, code })
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

  /** @param queries  numbers of those that had no answer */
  decoded(queries: readonly number[], survivors: number, encodeMs: number, waitMs: number, decodeMs: number): void {
    this.#events.tell({ at: this.#events.now, event: 'decoded', queries, survivors, encodeMs, waitMs, decodeMs })
  }

  /** Its caller has an answer. */
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

  /** Its caller has an error. */
  failed({ code: status }: ApproxiferError): void {
    const { query } = this
    const at = this.#events.now
    this.#events.tell({ at, event: 'ended', query, ms: rounded(at - this.#since), status })
  }
}

/** To three digits behind the point. */
export function rounded(value: number): number {
  return Math.round(value * 1000) / 1000
}
