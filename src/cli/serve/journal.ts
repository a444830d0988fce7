/** Collects the events of each request's queries until the request is answered. Its log line and span are made from them. */

import type { PredictorEvent } from '../../events'

/** One attempt at a worker. `was`: "answered", "late" (answered after the query had ended), the code of an error, or "no answer yet". */
interface AttemptRecord {
  readonly worker: string
  readonly why: string
  readonly was: string
  readonly ms?: number
}

export interface QueryRecord {
  readonly query: number
  /** Attempts that a worker has begun with. The index is the attempt's number, with holes, until the request is answered. */
  attempts: AttemptRecord[]
  /** The event of the query's end; undefined if the request was answered before that. */
  ended?: Extract<PredictorEvent, { event: 'ended' }>
  recovered?: Extract<PredictorEvent, { event: 'recovered' }>
}

export class RequestJournal {
  /** The queries of each request, by the request's W3C Trace Context, which their events carry. */
  readonly #requests = new Map<string, QueryRecord[]>()

  /** A listener for the events of one predictor. Each predictor needs its own, since it numbers its queries itself. */
  listener(): (event: PredictorEvent) => void {
    const open = new Map<number, QueryRecord>()
    return (event) => {
      if (event.event === 'asked') return this.#asked(event, open)
      const record = 'query' in event ? open.get(event.query) : undefined
      if (!record) return
      const { attempts } = record
      if (event.event === 'began')
        attempts[event.attempt] = { worker: event.worker, why: event.why, was: 'no answer yet' }
      else if (event.event === 'answered') settled(attempts, event, event.onTime ? 'answered' : 'late')
      else if (event.event === 'failed') settled(attempts, event, event.code)
      else if (event.event === 'recovered') record.recovered = event
      else if (event.event === 'ended') {
        record.ended = event
        open.delete(event.query)
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

  /** Removes and returns the records of a request that is answered. */
  take(traceparent = ''): readonly QueryRecord[] {
    const records = this.#requests.get(traceparent) ?? []
    this.#requests.delete(traceparent)
    for (const record of records) record.attempts = Object.values(record.attempts) // no holes: attempts still queued are left out
    return records
  }
}

/** Records the result of an attempt, unless no worker had begun with it. */
function settled(attempts: AttemptRecord[], { attempt, ms }: { attempt: number; ms: number }, was: string): void {
  if (attempts[attempt]) attempts[attempt] = { ...attempts[attempt], was, ms }
}
