/** Inference requests: admits them, and turns a batch of queries into a reply. */

import {
  checkBoolean,
  checkInteger,
  checkMs,
  checkNames,
  checkShare,
  checkWord,
  expected,
  foreignNames,
  isMisuse,
  MOST_MS,
  wrongType,
} from '../base/check'
import { atDeadlines, onOverloads } from '../base/choices'
import type { Clock } from '../base/clock'
import { blank, elementBytes, type TensorData } from '../base/element'
import type { Prediction } from '../base/prediction'
import { randomToken } from '../base/random-token'
import { type AnyTensor, isOpen, type QueryTensors, type Signature, size, type TensorSpec } from '../base/tensor'
import { isTraceparent } from '../base/traceparent'
import { type InferRequest, readMessage, readRequest } from '../oip/read'
import { HEADER_LENGTH, type Message, type TensorRows, writeReply } from '../oip/write'
import type { Priority } from '../predictor/options'
import type { Predictor } from '../predictor/predictor'
import { type BatchOptions, bytesOf, predictBatch, RowError, type RowOutcome, recallIds, whole } from './batch'
import { ByteBudget, readBody } from './body'
import type { RequestEvent } from './event'
import { InFlight, type Served } from './models'
import { clientKeyOf, type Principal, permitted, priorities } from './principal'
import { overloaded, Refusal, refusalOf, unavailable } from './refusal'
import { responseOf } from './reply'

export interface InferenceLimits {
  /** The largest body of a request, in bytes, decompressed. Default 64 MiB. */
  readonly maxBytes: number
  /** The most bytes of all requests under way: their bodies, and their replies until these are read. Default four times `maxBytes`. */
  readonly maxTotalBytes: number
  /** The most rows of a batch. Default 10,000. */
  readonly maxRows: number
  /** The most inference requests at a time. Default 1,000. */
  readonly maxRequests: number
  /** The least bytes of a reply that is compressed where the client accepts that: a smaller one fits into one packet anyway. Default 1,024. */
  readonly packFrom: number
}

/** @throws RangeError */
export function limitsOf(options: Partial<InferenceLimits>): InferenceLimits {
  const maxBytes = checkInteger('maxBytes', options.maxBytes ?? 64 * 2 ** 20, 1)
  return {
    maxBytes,
    maxTotalBytes: checkInteger('maxTotalBytes', options.maxTotalBytes ?? 4 * maxBytes, maxBytes),
    maxRows: checkInteger('maxRows', options.maxRows ?? 10_000, 1),
    maxRequests: checkInteger('maxRequests', options.maxRequests ?? 1000, 1),
    packFrom: checkInteger('packFrom', options.packFrom ?? 1024, 0),
  }
}

/** Accepted content types: the protocol's, and the defaults of curl and fetch for a text. NVIDIA's client sends no content type. */
const TYPES = /^(application\/(json|octet-stream|x-www-form-urlencoded)|text\/plain)\s*(;|$)/i
/** Bytes of memory that a row takes beside its values. */
const ROW_OVERHEAD = 2048
/** The share of `maxRequests` that one client (a token, or else an address) may use. */
const CLIENT_SHARE = 0.75
/** How many ignored parameters a reply lists, and how many characters of each. */
const [MOST_LISTED, MOST_LETTERS] = [20, 100]
/** The parameters of a request, beside those of the protocol. */
export const PARAMETERS = [
  'deadline_ms',
  'timeout',
  'priority',
  'policy',
  'tenant',
  'min_confidence',
  'at_deadline',
  'on_overload',
  'allow_partial',
  'ask',
]

/** An admitted request, and what answering it needs. */
export interface Exchange {
  event: RequestEvent
  maxRows: number
  clock: Clock
  /** Keeps this version of the model open until the request is answered. */
  enter(served: Served): Predictor
  /** Reads the body. @param most  a lower limit of its bytes than the server's */
  body(most?: number): Promise<Uint8Array>
  /** Reserves memory for the bytes of the queries and answers. @throws Refusal where they have no room */
  hold(queries: number, answers: number): void
}

export type RequestChoices = Omit<BatchOptions, 'signal'>

export class Inference {
  draining = false
  readonly #budget: ByteBudget
  readonly #inFlight = new InFlight()

  constructor(
    private readonly limits: InferenceLimits,
    private readonly clock: Clock,
    private readonly traceparent: (request: Request) => string | undefined = () => undefined,
  ) {
    this.#budget = new ByteBudget(limits.maxTotalBytes)
  }

  drain(): Promise<void> {
    this.draining = true
    return this.#inFlight.ended()
  }

  /** Admits a request and answers it. @throws Refusal 413, 429, 503 where there is no room for it, or the server is closing; any error that `refusalOf` understands */
  async admit(event: RequestEvent, answer: (exchange: Exchange) => Promise<Message>): Promise<Response> {
    const { count } = this.#inFlight
    const { limits, clock } = this
    const { request } = event
    if (this.draining) throw unavailable('the server is shutting down')
    if (count >= limits.maxRequests) throw overloaded(`${count} requests are under way already`)
    const caller = clientKeyOf(event)
    const own = caller ? this.#inFlight.of(caller) : 0
    if (own >= CLIENT_SHARE * limits.maxRequests)
      throw overloaded(`${own} requests of this client are under way already`)
    event.traceparent = this.traceparent(request) ?? traceparentOf(request)
    const leave = [this.#inFlight.enter(caller)]
    const hold = this.#budget.open(request)
    const enter = (served: Served) => {
      leave.push(served.inFlight.enter())
      return served.predictor
    }
    let read = 0 // bytes of the body, of which the queries may be views
    const told = (bytes: number) => {
      hold(bytes)
      read = bytes
    }
    const body = (most = limits.maxBytes) => bodyOf(request, Math.min(most, limits.maxBytes), told)
    const both = (queries: number, answers: number) => hold(Math.max(read, queries) + answers)
    const done = () => hold(0)
    try {
      const message = await answer({ event, maxRows: limits.maxRows, clock, enter, body, hold: both })
      return await responseOf(message, { request, packFrom: limits.packFrom, clock, done })
    } catch (error) {
      done()
      throw error
    } finally {
      for (const each of leave) each()
    }
  }
}

/** @throws Refusal 400, 413, 415 */
function bodyOf(request: Request, most: number, hold: (bytes: number) => void): Promise<Uint8Array> {
  const type = request.headers.get('content-type')
  if (!type || TYPES.test(type)) return readBody(request, most, hold)
  throw new Refusal(415, expected('Content-Type', 'application/json, application/octet-stream or none', type))
}

/** By the Open Inference Protocol. */
export async function infer(exchange: Exchange, served: Served): Promise<Message> {
  const { event, maxRows } = exchange
  const { signature } = exchange.enter(served)
  const message = await readMessage(await exchange.body(), event.request.headers.get(HEADER_LENGTH))
  const asked = readRequest(message, signature, maxRows)
  if (asked.id !== undefined) event.id = asked.id
  const foreign = foreignNames('parameters', asked.parameters, PARAMETERS)
  const own = { ...asked.parameters }
  for (const name of foreign) delete own[name]
  const ignored = [...foreign, ...asked.ignored].slice(0, MOST_LISTED).map((name) => name.slice(0, MOST_LETTERS))
  const outcomes = await outcomesOf(exchange, served, asked.queries, choicesOf(own))
  const { model = '', version = '', id } = event
  const parameters = { ignored: ignored.length ? ignored : undefined, ...provenance(outcomes, event.principal) }
  return writeReply({ model, version, id, parameters, outputs: outputRows(asked, outcomes, signature) })
}

/** What becomes of a request's queries. @throws Refusal where they fail, or where they, or their answers, have no room */
export async function outcomesOf(
  { event, hold }: Exchange,
  { predictor }: Served,
  queries: readonly QueryTensors[],
  choices: RequestChoices,
): Promise<RowOutcome[]> {
  event.queries = queries.length
  const asked = queries.reduce((sum, query) => sum + ROW_OVERHEAD + bytesOf(query), 0)
  const expects = queries.length * answerBytes(predictor.signature)
  hold(asked, expects)
  let answered = 0
  const keep = (prediction: Prediction) => {
    const kept = (choices.keep ?? whole)(prediction)
    answered += bytesOf(kept.output)
    hold(asked, Math.max(expects, answered))
    return kept
  }
  const { signal } = event.request
  const { traceparent } = event
  const options = { signal, ...permitted(choices, event.principal), caller: clientKeyOf(event), keep, traceparent }
  event.principal?.onQueries?.(queries.length)
  const outcomes = await predictBatch(predictor, queries, options).catch(rethrown)
  for (const outcome of outcomes) if ('prediction' in outcome) event.statuses[outcome.prediction.status]++
  return outcomes
}

/** The W3C Trace Context of a request: its header, or a new one. */
function traceparentOf({ headers }: Request): string {
  const own = headers.get('traceparent')
  if (isTraceparent(own)) return own
  return `00-${randomToken()}-${randomToken().slice(0, 16)}-00`
}

/** The bytes of an answer, as far as the signature fixes them: outputs of open shape and strings count as 0. */
function answerBytes({ outputs }: Signature): number {
  const each = outputs.map((spec) =>
    isOpen(spec) || spec.type === 'string' ? 0 : size(spec) * elementBytes(spec.type),
  )
  return each.reduce((sum, bytes) => sum + bytes, 0)
}

/** @throws Refusal for the error of a row. It names the row, or 'parameters' for an error that concerns all rows */
function rethrown(error: unknown): never {
  if (!(error instanceof RowError)) throw error
  const { row, cause } = error
  const own = !isMisuse(cause) || (cause as Error).message.startsWith('query')
  throw refusalOf(cause, own ? `row ${row}: ` : 'parameters.')
}

/** The options of a prediction, from a request's parameters. @throws TypeError, RangeError */
export function choicesOf(parameters: Record<string, unknown>): RequestChoices {
  checkNames('parameters', parameters, PARAMETERS)
  const {
    deadline_ms,
    timeout,
    priority,
    allow_partial = false,
    min_confidence,
    at_deadline,
    on_overload,
    ...rest
  } = parameters
  if (timeout !== undefined && deadline_ms !== undefined) {
    throw wrongType('parameters: expected either deadline_ms or timeout (in microseconds), got both')
  }
  // As in Triton, a timeout of 0 is none.
  const micros = timeout === undefined ? 0 : checkInteger('parameters.timeout', timeout, 0)
  const ms = deadline_ms ?? (micros ? Math.min(micros / 1000, MOST_MS) : undefined)
  return {
    partial: checkBoolean('parameters.allow_partial', allow_partial),
    ...rest, // the predictor checks these
    ...(priority !== undefined && priority !== 0 && { priority: priorityOf(priority) }),
    ...(ms !== undefined && { deadlineMs: checkMs('parameters.deadline_ms', ms) }),
    ...(min_confidence !== undefined && { minConfidence: checkShare('parameters.min_confidence', min_confidence) }),
    ...(at_deadline !== undefined && { atDeadline: checkWord('parameters.at_deadline', at_deadline, atDeadlines) }),
    ...(on_overload !== undefined && { onOverload: checkWord('parameters.on_overload', on_overload, onOverloads) }),
  }
}

/** A priority as a word, or as a number like Triton's: 1 is the highest. */
function priorityOf(priority: unknown): Priority {
  if (typeof priority !== 'number') return priority as Priority // the predictor checks it
  return priorities[Math.min(checkInteger('parameters.priority', priority, 0), priorities.length) - 1]
}

/**
 * Parameters of the reply that say how each row was answered, and by whom: lists with an element per row; a single fingerprint if one model
 * answered all. A client that is limited to a tenant or to some models does not see workers' names: they are addresses inside the fleet.
 */
function provenance(outcomes: readonly RowOutcome[], { tenant, models: some }: Principal = {}) {
  const of = <T>(value: (prediction: Prediction) => T, otherwise: T) =>
    outcomes.map((outcome) => ('prediction' in outcome ? value(outcome.prediction) : otherwise))
  const models = of(({ fingerprint }) => fingerprint ?? null, null)
  const reused = of((prediction) => prediction.reused === true, false)
  const sources = of(({ recovery }) => recovery?.source ?? null, null)
  const [model] = models
  const errors = outcomes.flatMap((outcome, row) =>
    'error' in outcome ? [{ row, code: outcome.error.code, error: outcome.error.message }] : [],
  )
  return {
    status: of<string>(({ status }) => status, 'failed'),
    confidence: of<number | null>(({ confidence }) => confidence ?? null, null),
    workers: of(({ workers }) => workers.length, 0),
    ...(!(tenant || some) && { answered_by: of<readonly string[]>(({ workers }) => workers, []) }),
    ...(reused.includes(true) && { reused }),
    ...(sources.some((each) => each) && { recovered_from: sources }),
    ...(models.some((each) => each) && { fingerprint: models.every((each) => each === model) ? model : models }),
    ...recallIds(of<Prediction | undefined>((each) => each, undefined)),
    ...(errors.length && { errors }),
  }
}

/** The requested outputs of all rows; a failed row has zeros or empty strings. @throws Refusal where rows have different shapes */
function outputRows(
  { outputs }: InferRequest,
  outcomes: readonly RowOutcome[],
  { outputs: specs, batched }: Signature,
): TensorRows[] {
  return outputs.map(({ name, binary }) => {
    const { type } = specs.find((spec) => spec.name === name) as TensorSpec
    const rows = outcomes.map((outcome) => ('prediction' in outcome ? outcome.prediction.output[name] : undefined))
    const [data, shape] = column(name, rows)
    return { name, shape, binary, rows: data, ...(type && { type }), ...(batched === false && { batched }) }
  })
}

/** One output of all rows, and its shape. At least one row has an answer. */
function column(name: string, rows: readonly (AnyTensor | undefined)[]): [TensorData[], readonly number[]] {
  const first = rows.findIndex((row) => row !== undefined)
  const { data, shape } = rows[first] as AnyTensor
  const odd = rows.findIndex((row) => row && String(row.shape) !== String(shape))
  if (odd >= 0) {
    const got = `[${rows[odd]?.shape}] in row ${odd}`
    const todo = 'an output has one shape for all rows of a reply: send these rows one by one'
    throw new Refusal(400, `outputs '${name}': expected shape [${shape}] as in row ${first}, got ${got}; ${todo}`)
  }
  const none = blank(data)
  return [rows.map((row) => row?.data ?? none), shape]
}
