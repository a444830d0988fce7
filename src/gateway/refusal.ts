/** Errors as HTTP replies: the table of status codes, and the bodies of the three APIs. */

import { expected, isMisuse } from '../base/check'
import { ApproxiferError, type Code, type Unsure } from '../base/errors'

/** An error reply: a status and a message. */
export class Refusal extends Error {
  constructor(
    readonly status: number,
    message: string,
    readonly headers: Readonly<Record<string, string>> = {},
    /** Further fields of the body. */
    readonly details: Readonly<Record<string, unknown>> = {},
  ) {
    super(message)
  }
}

/** The header `Retry-After`, in whole seconds, at least 1. */
function retryIn(ms = 0): Record<string, string> {
  return { 'Retry-After': String(Math.max(1, Math.ceil(ms / 1000))) }
}

/**
 * | status | when |
 * |---|---|
 * | 400 | the request is malformed, or does not fit the protocol or the model |
 * | 404 | no such path, model or version |
 * | 405 | wrong method; `Allow` lists the right ones |
 * | 413 | the body is too large, as sent or decompressed |
 * | 415 | unknown content type or compression |
 * | 429 | too many requests or queries at a time, or more than can be answered in time; `Retry-After` |
 * | 499 | the client has left; only logs show it |
 * | 500 | the query makes its workers fail; or a defect of this package |
 * | 502 | a worker's answer was malformed |
 * | 503 | the model is not ready, or its workers are gone; `Retry-After` |
 * | 504 | the deadline passed; `recovery` is a recovered answer that was not confident enough to be given |
 */
const STATUS: Record<Code, number> = {
  DEADLINE: 504,
  OVERLOADED: 429,
  ABORTED: 499,
  PROTOCOL: 502,
  QUORUM: 503,
  CLOSED: 503,
  WORKER: 503,
  MODEL: 503,
}

/** The refusal for anything thrown; a defect becomes its `cause`. @param prefix  of the message, such as the row */
export function refusalOf(error: unknown, prefix = ''): Refusal {
  if (error instanceof Refusal) return error
  const message = prefix + messageOf(error)
  if (isMisuse(error)) return new Refusal(400, message)
  if (!(error instanceof ApproxiferError)) return Object.assign(new Refusal(500, message), { cause: error })
  const status = error.ofQuery ? 500 : STATUS[error.code]
  const headers = status === 429 || status === 503 ? retryIn(error.retryMs) : {}
  return new Refusal(status, message, headers, error.recovery && { recovery: outputsOf(error.recovery) })
}

const OPENAI = '/v1/'
const TEXTS = ['/embed', '/rerank']
/** Finds the field that a message is about, for the `param` of OpenAI's errors. */
const FIELDS = /^(?:the )?(input|model|encoding_format|dimensions|user|truncate|parameters)\b/
/** OpenAI's error codes by status. */
const CODES: Readonly<Record<number, string>> = { 401: 'invalid_api_key', 429: 'rate_limit_exceeded' }
/** Error types of Text Embeddings Inference by status. */
const TYPES: Readonly<Record<number, string>> = { 424: 'backend', 429: 'overloaded', 503: 'unhealthy' }

/** The JSON body of a refusal, in the form of the path's API: OpenAI's, Text Embeddings Inference's, or the Open Inference Protocol's. */
export function errorBody(path: string, { status, details }: Refusal, message: string): object {
  if (path.startsWith(OPENAI)) {
    const type = status >= 500 ? 'server_error' : status === 429 ? 'rate_limit_error' : 'invalid_request_error'
    const [, param = null] = FIELDS.exec(message) ?? []
    const code = status === 404 && param === 'model' ? 'model_not_found' : (details.code ?? CODES[status] ?? null)
    return { error: { message, type, param, code } }
  }
  if (!TEXTS.includes(path)) return { error: message, ...details }
  const error_type = details.error_type ?? TYPES[status] ?? (status >= 500 ? 'backend' : 'validation')
  return { error: message, error_type }
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

/** The most values of a recovery in an error. A client that wants larger ones sets `at_deadline`. */
const MOST_VALUES = 10_000

/** A recovery as outputs of the Open Inference Protocol. */
function outputsOf({ output, confidence: known }: Unsure) {
  const confidence = known ?? null // JSON leaves undefined out
  const values = Object.values(output).reduce((sum, { data }) => sum + data.length, 0)
  if (values > MOST_VALUES) return { confidence }
  const outputs = Object.entries(output).map(([name, { data, shape }]) => {
    return { name, datatype: 'FP32', shape: [1, ...shape], data: Array.from(data) }
  })
  return { confidence, outputs }
}

export function unavailable(message: string): Refusal {
  return new Refusal(503, message, retryIn())
}

export function overloaded(message: string): Refusal {
  return new Refusal(429, message, retryIn())
}

export function notFound(field: string, what: string, got: unknown): Refusal {
  return new Refusal(404, expected(field, what, got))
}
