/** A client for one server of the Open Inference Protocol v2. Servers interpret the protocol differently: see docs/reference/remote.md. */

import { platform } from '#platform'
import type { Cancellation } from '../../base/abort'
import { ApproxiferError, type Code } from '../../base/errors'
import { flawOf } from '../../base/payload'
import { randomToken } from '../../base/random-token'
import { rowLength, type Signature, type TensorList } from '../../base/tensor'
import { joinedBytes } from '../../oip/json'
import { BINARY, readMetadata, type TensorMetadata } from '../../oip/metadata'
import { readError, readMessage, readReply } from '../../oip/read'
import { HEADER_LENGTH, PROBE, writeRequest } from '../../oip/write'
import type { Connections, HttpReply, HttpRequest } from '../../platform/platform'
import type { HttpSettings } from './options'

type Wanted = Pick<HttpSettings, 'model' | 'version' | 'outputs' | 'shapes' | 'headers'>

export interface ServerReply {
  /** For each query its answer or an error. */
  outcomes: (TensorList | ApproxiferError)[]
  version: string | undefined
  /** The fingerprint of the model that answered; only our own gateways send it. */
  fingerprint: string | undefined
}

/** Room in a reply for names and other fields. */
const REST_BYTES = 2 ** 16
/** Room for a value as JSON text, with blanks and brackets. */
const VALUE_BYTES = 64
/** Largest answer of unknown length: the gateway's own limit for a query. */
const ANSWER_BYTES = 64 * 2 ** 20
const METADATA_BYTES = 2 ** 20
/** Status codes after which no query would be answered now. */
const GONE = [401, 403, 404, 405, 501, 502, 503]
/** In pages the reason is known only after an examination. */
const UNREAD = 'it sent no reply that this page may read'
/** Codes of errors that occur before a connection is made. */
const UNREACHED = ['ECONNREFUSED', 'EHOSTUNREACH', 'ENETUNREACH', 'ENOTFOUND', 'EAI_AGAIN', 'UND_ERR_CONNECT_TIMEOUT']
/** Upper limit of a Retry-After. */
const MOST_RETRY_MS = 60_000

interface ServerFault {
  /** The next call would fail as well. */
  down?: boolean
  /** The model did not see the query, so that the query is not to blame. */
  notSent?: boolean
  /** The reply is of another model or version than before. */
  replaced?: boolean
  /** A kept-alive connection was closed before a reply came: a new connection may work. */
  stale?: boolean
  /** The server is overloaded. `perhaps`: it may also be not ready. */
  busy?: 'surely' | 'perhaps'
  /** The pause that the server asked for, in milliseconds. */
  retryMs?: number | undefined
  cause?: unknown
}

export class ServerError extends ApproxiferError {
  constructor(
    code: Code,
    message: string,
    readonly fault: Readonly<ServerFault>,
  ) {
    super(code, message, { cause: fault.cause })
  }
}

export function faultOf(error: unknown): Readonly<ServerFault> {
  return error instanceof ServerError ? error.fault : {}
}

/** Aborts a call, and carries the caller's W3C Trace Context. */
export interface ServerCall extends Cancellation {
  readonly traceparent?: string | undefined
  /** Gives back the connection that the call holds, where connections are limited. */
  release?: (() => void) | undefined
}

export class OipServer {
  /** Whether the metadata say that the model's batch size is dynamic. */
  takesBatches = false
  readonly #path: string
  /** Headers of GET requests, of JSON and of binary bodies. Built once, since building them took 1 to 2 us of each call. */
  readonly #headers: Readonly<Record<string, string>>
  readonly #inJson: Readonly<Record<string, string>>
  readonly #inBytes: Readonly<Record<string, string>>

  constructor(
    private readonly connections: Connections,
    readonly name: string,
    private readonly wanted: Wanted,
  ) {
    const { model, version } = wanted
    // Without a version by default: KServe answers 501 to any.
    const versions = version === undefined ? '' : `/versions/${encodeURIComponent(version)}`
    this.#path = `/v2/models/${encodeURIComponent(model)}${versions}`
    // Compression would break the offsets of binary tensors.
    this.#headers = { 'accept-encoding': 'identity', ...wanted.headers }
    // Without a content type KServe and MLServer refuse the request.
    this.#inJson = { ...this.#headers, 'content-type': 'application/json' }
    this.#inBytes = { ...this.#headers, 'content-type': 'application/octet-stream' }
  }

  /** @throws ServerError unless the model is ready */
  async ready(abort: Cancellation): Promise<void> {
    const reply = await this.#get(`${this.#path}/ready`, abort)
    // Some servers report readiness in the body, others send no body.
    const isReady = (await jsonOf(reply).catch(() => undefined)) as { ready?: unknown } | undefined
    if (isReady?.ready === false) throw this.#error('WORKER', 'is not ready', { down: true })
  }

  /** Requests the model's metadata. @throws ServerError; ApproxiferError MODEL for a model that cannot be used, PROTOCOL */
  async signature(abort: Cancellation): Promise<Signature> {
    const reply = await this.#get(this.#path, abort)
    const { outputs, shapes } = this.wanted
    const json = await jsonOf(reply).catch((error) => {
      throw this.#error('PROTOCOL', `sends no metadata: ${error.message}`, { down: true })
    })
    const signature = readMetadata(withShapes(json, shapes), outputs)
    this.takesBatches = leavesBatchOpen(json) && signature.batched !== false
    return signature
  }

  /** Whether the server announces the binary extension. KServe and OpenVINO's server have it without announcing it: they get JSON. */
  async announcesBinary(abort: Cancellation): Promise<boolean> {
    try {
      const json = (await jsonOf(await this.#get('/v2', abort))) as { extensions?: unknown } | null
      return Array.isArray(json?.extensions) && json.extensions.includes(BINARY)
    } catch (error) {
      if (abort.aborted || faultOf(error).busy) throw error
      return false
    }
  }

  /** The address of its latest connection, "127.0.0.1:8000"; undefined if the runtime does not tell. */
  get address(): string | undefined {
    return this.connections.address
  }

  close(): Promise<void> {
    return this.connections.close()
  }

  /** Sends queries as one request. @param isProbe  marks a query of our own in the server's logs @throws ServerError; ApproxiferError PROTOCOL */
  async infer(
    queries: readonly TensorList[],
    signature: Signature,
    binary: boolean,
    abort: ServerCall,
    isProbe = false,
  ): Promise<ServerReply> {
    const id = randomToken() // unique over all clients, since a broken proxy may mix up replies
    const { body, headerLength } = await writeRequest(signature, { id, queries, binary })
    abort.throwIfAborted()
    const { outputs } = signature
    const { traceparent } = abort
    const own = headerLength === undefined ? this.#inJson : { ...this.#inBytes, [HEADER_LENGTH]: String(headerLength) }
    const headers = traceparent === undefined ? own : { ...own, traceparent }
    const response = await this.#request(
      {
        method: 'POST',
        path: `${this.#path}/infer`,
        headers: isProbe && !platform.isPage ? { ...headers, [PROBE]: '1' } : headers, // pages cannot send this header without a CORS permission
        body,
        mostBytes: REST_BYTES + answerBytes(outputs) * queries.length,
        abort,
      },
      isProbe,
    )
    if (!response.body) throw this.#error('PROTOCOL', 'sends a longer reply than its model has values', {})
    const message = await readMessage(joinedBytes(response.body), response.header(HEADER_LENGTH)).catch((error) => {
      throw this.#error('PROTOCOL', `sends a reply that is none: ${error.message}`, {})
    })
    const reply = readReply(message, signature, queries.length)
    if (reply.id !== undefined && reply.id !== id) throw this.#error('PROTOCOL', 'answers another request', {})
    const outcomes = reply.answers.map((answer) => flawOf(answer, outputs, false) ?? answer)
    const { fingerprint } = reply.parameters
    return {
      outcomes,
      version: reply.version,
      fingerprint: fingerprint === undefined ? undefined : String(fingerprint),
    }
  }

  #get(path: string, abort: Cancellation): Promise<HttpReply> {
    const request = { method: 'GET', path, headers: this.#headers, mostBytes: METADATA_BYTES, abort } as const
    return this.#request(request, true)
  }

  /** @param explains  asks the server once more why a request failed, in pages; a caller's query must not wait for that */
  #request(request: HttpRequest, explains: boolean): Promise<HttpReply> {
    const replied = (reply: HttpReply) => {
      if (reply.status === 200) return reply
      throw this.#failure(reply, request.method === 'POST')
    }
    return this.connections.request(request).then(replied, async (error) => {
      request.abort.throwIfAborted()
      const why = explains ? await this.#whyFailed(request) : undefined
      request.abort.throwIfAborted()
      const notSent = UNREACHED.includes(error.code ?? error.cause?.code)
      const fault = { down: true, stale: error.stale === true, notSent, cause: error }
      const known = why ?? (this.connections.whyFailed ? UNREAD : reason(error))
      throw this.#error('WORKER', `cannot be reached: ${known}`, fault)
    })
  }

  #whyFailed({ method, path, abort }: HttpRequest): Promise<string | undefined> | undefined {
    const own = Object.keys(this.wanted.headers)
    const needs = {
      sent: ['content-type', HEADER_LENGTH, ...own],
      read: [HEADER_LENGTH],
      setting: 'approxifer serve: --cors',
      isSimple: method === 'GET' && !own.length,
    }
    return this.connections.whyFailed?.(path, needs, abort.signal)
  }

  #failure({ status, header, body }: HttpReply, isInference: boolean): ServerError {
    const text = body?.length ? readError(joinedBytes(body)) : ''
    // A page sees of a redirect nothing but a status of 0.
    const says = status ? `answers ${status}${text && `: ${text}`}` : 'answers with a redirect, which is not followed'
    const after = header('retry-after')
    const retryMs = retryMsOf(after, header('date'))
    if (status === 429) return this.#error('OVERLOADED', says, { busy: 'surely', notSent: true, retryMs })
    if (status === 503 && isInference)
      return this.#error('OVERLOADED', says, { busy: 'perhaps', notSent: true, retryMs })
    const down = status < 400 || GONE.includes(status)
    // A server behind a proxy's 502 may have crashed because of this query.
    return this.#error('WORKER', says, { down, notSent: down && status !== 502, retryMs })
  }

  #error(code: Code, text: string, fault: ServerFault): ServerError {
    return new ServerError(code, `${this.name} ${text}`, fault)
  }
}

/** Upper bound of an answer's size in bytes, as JSON or binary. */
function answerBytes(outputs: Signature['outputs']): number {
  const values = outputs.some(({ type }) => type === 'string') ? Number.NaN : rowLength(outputs)
  return Number.isNaN(values) ? ANSWER_BYTES : VALUE_BYTES * values
}

async function jsonOf({ body }: HttpReply): Promise<unknown> {
  if (!body) throw new RangeError('it is too long')
  return (await readMessage(joinedBytes(body))).json
}

type ConnectionError = Error & { code?: string; errors?: Error[] }

/** The most specific message of a connection error: fetch hides it in `cause`, and trying several addresses in `errors`. */
function reason(error: ConnectionError): string {
  const cause = error.cause instanceof Error ? error.cause : undefined
  return cause?.message || error.message || error.errors?.[0]?.message || error.code || error.name
}

/**
 * Parses a Retry-After, in seconds or as a date, to milliseconds; dates are compared with the server's own clock if it sends one.
 * Undefined if invalid.
 */
function retryMsOf(after: string | undefined, date: string | undefined): number | undefined {
  if (after === undefined) return undefined
  const isSeconds = /^\d+(\.\d+)?$/.test(after)
  const now = Date.parse(date ?? '') || Date.now()
  const ms = isSeconds ? 1000 * Number(after) : Date.parse(after) - now
  return ms >= 0 ? Math.min(ms, MOST_RETRY_MS) : undefined
}

/** Replaces the shapes of metadata by those of the option `shapes`. */
function withShapes(json: unknown, shapes: Wanted['shapes']): unknown {
  if (typeof json !== 'object' || json === null) return json
  const filled = (tensor: TensorMetadata | null) =>
    Object.hasOwn(shapes, tensor?.name ?? '') && Array.isArray(tensor?.shape)
      ? { ...tensor, shape: [tensor.shape[0], ...shapes[tensor.name]] }
      : tensor
  const fill = (list: unknown) => (Array.isArray(list) ? list.map(filled) : list)
  const { inputs, outputs } = json as Record<string, unknown>
  return { ...json, inputs: fill(inputs), outputs: fill(outputs) }
}

function leavesBatchOpen(json: unknown): boolean {
  const { inputs, outputs } = (json ?? {}) as Record<string, { shape?: unknown[] }[]>
  const all = [inputs, outputs].flat()
  return all.every((tensor) => Array.isArray(tensor?.shape) && Number(tensor.shape[0]) === -1)
}
