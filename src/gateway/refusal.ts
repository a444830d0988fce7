/** What a failure means to an HTTP client: the one table of status codes. */

import { expected, isMisuse } from '../base/check'
import { ApproxiferError, type Code, type Unsure } from '../base/errors'

/** An answer other than 200, with a sentence. */
export class Refusal extends Error {
  constructor(
    readonly status: number,
    message: string,
    readonly headers: Readonly<Record<string, string>> = {},
    /** What else its body says. */
    readonly details: Readonly<Record<string, unknown>> = {},
  ) {
    super(message)
  }
}

/** Seconds after which what is over for the moment is worth another try: one at least. */
function retryIn(ms = 0): Record<string, string> {
  return { 'Retry-After': String(Math.max(1, Math.ceil(ms / 1000))) }
}

/**
 * | status | when |
 * |---|---|
 * | 400 | the request is not what the protocol or the model takes, or damaged |
 * | 404 | no such path, model or version |
 * | 405 | another method; `Allow` says which |
 * | 413 | the body, or what it unpacks to, is too large |
 * | 415 | a content type or coding that is not read |
 * | 429 | more requests or queries at a time than are taken, or than can be answered in time; `Retry-After` |
 * | 499 | the client is gone; nobody reads it |
 * | 500 | its workers failed on the query, as they would again; or a defect of ours |
 * | 502 | a worker answered something that is no answer |
 * | 503 | the model is not ready, or its workers are gone; `Retry-After` |
 * | 504 | the deadline passed; `recovery` is what there was, which is not confident enough to be given |
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

/** Anything thrown, as an answer; a defect is its cause. @param prefix  in front of its sentence, such as the row it is about */
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
/** Of a request to OpenAI's interface, and of Text Embeddings Inference's errors by status. */
const FIELDS = /^(?:the )?(input|model|encoding_format|dimensions|user|truncate|parameters)\b/
const CODES: Readonly<Record<number, string>> = { 401: 'invalid_api_key', 429: 'rate_limit_exceeded' }
const TYPES: Readonly<Record<number, string>> = { 424: 'backend', 429: 'overloaded', 503: 'unhealthy' }

/** A refusal as clients read it that ask at this path: OpenAI's, those of Text Embeddings Inference, of the Open Inference Protocol. */
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

/** Values that an error has at most. Where there are more, clients ask for them by `at_deadline`. */
const MOST_VALUES = 10_000

/** A recovery as a client reads outputs. */
function outputsOf({ output, confidence: known }: Unsure) {
  const confidence = known ?? null // undefined would be left out
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
