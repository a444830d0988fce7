/**
 * What can go wrong at run time. Misuse (a wrong option, a malformed query) is a `TypeError` or a
 * `RangeError` instead.
 *
 * - `QUORUM`      too few results came to decode, or too few can still come
 * - `DEADLINE`    the deadline passed before there was an answer; `recovery` is what there was in its place
 * - `OVERLOADED`  it could not be answered in time, `limits.queries` queries are under way already, or a worker's queue is full
 * - `ABORTED`     the caller's signal fired
 * - `CLOSED`      the predictor or the worker was closed, or (workerd) belongs to another request
 * - `WORKER`      a worker crashed, hung or could not start
 * - `MODEL`       the model cannot be loaded, or not be coded
 * - `PROTOCOL`    a worker answered something that is no answer: wrong type, wrong length, NaN, Inf
 */
export const codes = ['QUORUM', 'DEADLINE', 'OVERLOADED', 'ABORTED', 'CLOSED', 'WORKER', 'MODEL', 'PROTOCOL'] as const

export type Code = (typeof codes)[number]

/** What was recovered of an answer, of which nobody can be sure. */
export interface Unsure {
  /** The outputs by name; the caller owns them. */
  output: Record<string, { data: Float32Array; shape: readonly number[] }>
  /** As that of a prediction: undefined until enough late answers have shown what recovered ones are worth. */
  confidence: number | undefined
}

export class ApproxiferError extends Error {
  /** 'AbortError' where the caller's signal fired, since that is what people check for; else 'ApproxiferError'. */
  override readonly name: 'ApproxiferError' | 'AbortError'
  /** Of `DEADLINE`: what there was at the deadline, and was not given since it is not confident enough; see the option `atDeadline`. */
  readonly recovery?: Unsure | undefined

  /** Of `WORKER` and `QUORUM`: workers were there, and failed on this query, as they might on its next try; over HTTP 500 in place of 503. */
  readonly ofQuery: boolean

  /** Of `OVERLOADED`: milliseconds after which those before it are done, as far as is known. */
  readonly retryMs?: number

  constructor(
    readonly code: Code,
    message: string,
    options?: ErrorOptions & { recovery?: Unsure | undefined; retryMs?: number | undefined; ofQuery?: boolean },
  ) {
    super(message, options)
    this.ofQuery = options?.ofQuery === true
    if (options?.retryMs !== undefined) this.retryMs = options.retryMs
    if (options?.recovery) this.recovery = options.recovery
    this.name = code === 'ABORTED' ? 'AbortError' : 'ApproxiferError'
  }
}

/** What stands in the way of the request under way, where anything does. */
export type Guard = () => ApproxiferError | undefined

/** Letters of somebody else's error that are told: a worker may send a megabyte. */
const MOST_LETTERS = 500

/** Any thrown value as one of ours; what already is one stays as it is, but for its length. */
export function asError(error: unknown, code: Code, prefix = ''): ApproxiferError {
  const isOurs = error instanceof ApproxiferError
  const text = messageOf(error)
  if (isOurs && text.length <= MOST_LETTERS) return error
  const message = text.length > MOST_LETTERS ? `${text.slice(0, MOST_LETTERS)}...` : text
  if (isOurs) return new ApproxiferError(error.code, message)
  return new ApproxiferError(code, prefix + message, { cause: error })
}

/** What was thrown may be anything: also what cannot be read. */
export function messageOf(error: unknown): string {
  try {
    return error instanceof Error ? String(error.message) : shown(error)
  } catch {
    return 'an error that cannot be read'
  }
}

/** A URL, or several, for people to read: also one that is written wrongly, with slashes in its password or none in front. */
export function withoutPassword(url: string): string {
  return url.replace(/^(\w+:\/+)?.*@/s, '$1...@')
}

/** Any value in a word; what has no name or no text of its own must not turn an error into another. */
export function shown(value: unknown): string {
  if (typeof value !== 'object' && typeof value !== 'function') return String(value)
  try {
    const name: unknown = value?.constructor?.name
    return value === null ? 'null' : typeof name === 'string' ? name : 'an object'
  } catch {
    return 'an object that cannot be read'
  }
}
