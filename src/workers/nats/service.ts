/**
 * What operators' tools ask services on NATS (`nats micro ls`, `info`, `stats`): the messages of the services protocol, version 1
 * (ADR-32 of NATS), answered here since its library is a pre-release.
 */

import { median } from '../../stats'

/** Inferences by which it is told how long one takes. */
const REMEMBERED = 9

export class ServiceStats {
  requests = 0
  errors = 0
  lastError = ''
  /** Milliseconds of all inferences. */
  busyMs = 0
  cancelled = 0
  expired = 0
  readonly #times: number[] = []

  /** What an inference takes: the median of the last few, ms; 0 before the first. */
  get ms(): number {
    return median(this.#times) ?? 0
  }

  inferred(ms: number): void {
    this.busyMs += ms
    this.#times.push(ms)
    if (this.#times.length > REMEMBERED) this.#times.shift()
  }

  failed(message: string): void {
    this.errors++
    this.lastError = message
  }
}

export interface ServiceDescription {
  fleet: string
  /** The worker's name. */
  id: string
  subject: string
  startedAt: Date
  fingerprint: string | undefined
  stats: ServiceStats
  /** Requests without an answer. */
  open: number
}

const verbs = ['PING', 'INFO', 'STATS'] as const
type Verb = (typeof verbs)[number]

/** Of the protocol between coordinators and workers, as services must have one. */
const SERVICE_VERSION = '1.0.0'
const NANOSECONDS = 1e6

/** The verb of a subject such as $SRV.PING, $SRV.PING.fleet or $SRV.PING.fleet.id; undefined for another one. */
export function verbOf(subject: string): Verb | undefined {
  return verbs.find((verb) => verb === subject.split('.')[1])
}

export function describe(verb: Verb, described: ServiceDescription): object {
  const { fleet, id, subject, startedAt, fingerprint, stats, open } = described
  const type = `io.nats.micro.v1.${verb.toLowerCase()}_response`
  const metadata = { 'approxifer.fingerprint': fingerprint ?? 'unknown' }
  const standard = { type, name: fleet, id, version: SERVICE_VERSION, metadata }
  const endpoint = { name: 'rows', subject, queue_group: '' }
  if (verb === 'PING') return standard
  if (verb === 'INFO') {
    const description = 'approxifer worker: runs one model, a row at a time'
    return { ...standard, description, endpoints: [{ ...endpoint, metadata: {} }] }
  }
  const { requests, errors, lastError, busyMs, cancelled, expired, ms } = stats
  const answered = requests - errors - cancelled - open
  const counts = {
    num_requests: requests,
    num_errors: errors,
    last_error: lastError,
    processing_time: Math.round(busyMs * NANOSECONDS),
    average_processing_time: answered > 0 ? Math.floor((busyMs / answered) * NANOSECONDS) : 0,
    data: { open, median_ms: ms, cancelled, expired },
  }
  return { ...standard, started: startedAt.toISOString(), endpoints: [{ ...endpoint, ...counts }] }
}
