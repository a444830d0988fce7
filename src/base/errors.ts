/**
 * Errors at run time. Misuse (a wrong option, a malformed query) is a `TypeError` or a `RangeError` instead.
 *
 * - `QUORUM`      too few results came to decode, or too few can still come
 * - `DEADLINE`    the deadline passed before there was an answer; `recovery` has a recovery that was not confident enough
 * - `OVERLOADED`  the query could not be answered in time, `limits.queries` queries are under way, or a worker's queue is full
 * - `ABORTED`     the caller's signal fired
 * - `CLOSED`      the predictor or the worker was closed, or (workerd) belongs to another request
 * - `WORKER`      a worker crashed, hung or could not start
 * - `MODEL`       the model cannot be loaded, or cannot be coded
 * - `PROTOCOL`    a worker's answer is invalid: wrong type, wrong length, NaN, Inf
 */
export const codes = ['QUORUM', 'DEADLINE', 'OVERLOADED', 'ABORTED', 'CLOSED', 'WORKER', 'MODEL', 'PROTOCOL'] as const

export type Code = (typeof codes)[number]

/** A recovered answer that was not confident enough to be given. */
export interface Unsure {
  /** The outputs by name; the caller owns them. */
  output: Record<string, { data: Float32Array; shape: readonly number[] }>
  /** Like a prediction's `confidence`: undefined until enough late answers have shown how often recoveries are right. */
  confidence: number | undefined
}

export class ApproxiferError extends Error {
  /** 'AbortError' if the caller's signal fired, since programs check for that name; else 'ApproxiferError'. */
  override readonly name: 'ApproxiferError' | 'AbortError'
  /** For `DEADLINE`: the recovery that was not confident enough to be given; see the option `atDeadline`. */
  readonly recovery?: Unsure | undefined

  /** For `WORKER` and `QUORUM`: workers were available and failed on this query. Over HTTP the status is then 500 instead of 503. */
  readonly ofQuery: boolean

  /** For `OVERLOADED`: milliseconds until the queue is expected to be empty. */
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

/** Why a request must not use an object that belongs to another request; undefined if it may. */
export type Guard = () => ApproxiferError | undefined

/** Characters of a foreign error's message that are kept: a worker may send a megabyte. */
const MOST_LETTERS = 500

/** Converts any thrown value to an ApproxiferError; an ApproxiferError only has its message shortened. */
export function asError(error: unknown, code: Code, prefix = ''): ApproxiferError {
  const isOurs = error instanceof ApproxiferError
  const text = messageOf(error)
  if (isOurs && text.length <= MOST_LETTERS) return error
  const message = text.length > MOST_LETTERS ? `${text.slice(0, MOST_LETTERS)}...` : text
  if (isOurs) return new ApproxiferError(error.code, message)
  return new ApproxiferError(code, prefix + message, { cause: error })
}

/** The message of any thrown value, even of one that throws when read. */
export function messageOf(error: unknown): string {
  try {
    return error instanceof Error ? String(error.message) : shown(error)
  } catch {
    return 'an error that cannot be read'
  }
}

/** Hides the password of one or several URLs in logs, also of malformed ones. */
export function withoutPassword(url: string): string {
  return url.replace(/^(\w+:\/+)?.*@/s, '$1...@')
}

/** Describes any value in a word; never throws. */
export function shown(value: unknown): string {
  if (typeof value !== 'object' && typeof value !== 'function') return String(value)
  try {
    const name: unknown = value?.constructor?.name
    return value === null ? 'null' : typeof name === 'string' ? name : 'an object'
  } catch {
    return 'an object that cannot be read'
  }
}
