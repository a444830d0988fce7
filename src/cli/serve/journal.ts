/** What became of the queries of requests under way, as their events tell: a request's log line, span and event are made of it. */

import type { PredictorEvent } from '../../events'

/** `was`: "answered", "late" (nobody waited for it any more), the code of an error, or "no answer yet". */
interface AttemptRecord {
  readonly worker: string
  readonly why: string
  readonly was: string
  readonly ms?: number
}

export interface QueryRecord {
  readonly query: number
  /** Those that a worker has begun with, by their numbers until the request has its answer. */
  attempts: AttemptRecord[]
  /** How it ended; undefined where that was not told before its request had its answer. */
  ended?: Extract<PredictorEvent, { event: 'ended' }>
  recovered?: Extract<PredictorEvent, { event: 'recovered' }>
}

/** Of requests that are told of nothing. */
const NOTHING: readonly QueryRecord[] = []

export class RequestJournal {
  /** By the W3C Trace Context in which they were asked, which is a request's own. */
  readonly #requests = new Map<string, QueryRecord[]>()

  /** @returns told of a predictor's events; each has its own, since queries are numbered by predictor */
  listener(): (event: PredictorEvent) => void {
    const open = new Map<number, QueryRecord>()
    return (told) => {
      if (told.event === 'asked') return this.#asked(told, open)
      const record = 'query' in told ? open.get(told.query) : undefined
      if (!record) return
      const { attempts } = record
      if (told.event === 'began') attempts[told.attempt] = { worker: told.worker, why: told.why, was: 'no answer yet' }
      else if (told.event === 'answered') settled(attempts, told, told.onTime ? 'answered' : 'late')
      else if (told.event === 'failed') settled(attempts, told, told.code)
      else if (told.event === 'recovered') record.recovered = told
      else if (told.event === 'ended') {
        record.ended = told
        open.delete(told.query)
      }
    }
  }

  #asked({ query, traceparent }: Extract<PredictorEvent, { event: 'asked' }>, open: Map<number, QueryRecord>): void {
    if (traceparent === undefined) return
    const record: QueryRecord = { query, attempts: [] }
    open.set(query, record)
    const known = this.#requests.get(traceparent)
    if (known) known.push(record)
    else this.#requests.set(traceparent, [record])
  }

  /** A request has its answer. */
  take(traceparent: string | undefined): readonly QueryRecord[] {
    if (traceparent === undefined) return NOTHING
    const records = this.#requests.get(traceparent) ?? NOTHING
    this.#requests.delete(traceparent)
    for (const record of records) record.attempts = Object.values(record.attempts) // one may have waited behind later ones
    return records
  }
}

/** @param told  of an attempt, with which a worker may not have begun */
function settled(attempts: AttemptRecord[], { attempt, ms }: { attempt: number; ms: number }, was: string): void {
  if (attempts[attempt]) attempts[attempt] = { ...attempts[attempt], was, ms }
}
