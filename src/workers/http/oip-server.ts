/** One server of the Open Inference Protocol: what is asked of it, and what its replies mean. Servers differ: see docs/remote.md. */

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
  /** One for each query: its answer, or what is wrong with it. */
  outcomes: (TensorList | ApproxiferError)[]
  version: string | undefined
  /** Of the model that answered, as our own gateways say it. */
  fingerprint: string | undefined
}

/** Of a reply, beside its values: names, whatever else a server sends. */
const REST_BYTES = 2 ** 16
/** Of a value as text, with blanks and brackets. */
const VALUE_BYTES = 64
/** Of an answer whose length is not known: as much as a gateway takes for a query. */
const ANSWER_BYTES = 64 * 2 ** 20
const METADATA_BYTES = 2 ** 20
/** Status codes that say that no row would be answered there now. */
const GONE = [401, 403, 404, 405, 501, 502, 503]
/** What browsers do not tell pages apart from a server that is gone. */
const FOR_PAGES =
  '; a server of another origin has to allow this page’s (CORS; approxifer serve: --cors) and the header content-type'
/** Errors of connections that were never made. */
const UNREACHED = ['ECONNREFUSED', 'EHOSTUNREACH', 'ENETUNREACH', 'ENOTFOUND', 'EAI_AGAIN', 'UND_ERR_CONNECT_TIMEOUT']
/** How long a server is left alone at most, whatever it says. */
const MOST_RETRY_MS = 60_000

interface ServerFault {
  /** The next call would go no better. */
  down?: boolean
  /** The model was not even asked: the row is not to blame. */
  notSent?: boolean
  /** The reply is of another model, or another version of it, than before. */
  replaced?: boolean
  /** The connection had been used before, and was closed before a reply came: a new one may do. */
  stale?: boolean
  /** The server has too much to do. `perhaps`: or it is not ready. */
  busy?: 'surely' | 'perhaps'
  /** For how long it wants to be left alone. */
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

/** A call for queries: what ends it, and the W3C Trace Context of who asks. */
export interface ServerCall extends Cancellation {
  readonly traceparent?: string | undefined
}

export class OipServer {
  /** Whether its model takes any number of rows at once, by its metadata. */
  takesBatches = false
  readonly #path: string
  /** Of a GET, and of what is sent as JSON and as bytes: made once, since making one took a microsecond or two of each call. */
  readonly #headers: Readonly<Record<string, string>>
  readonly #inJson: Readonly<Record<string, string>>
  readonly #inBytes: Readonly<Record<string, string>>

  constructor(
    private readonly connections: Connections,
    readonly name: string,
    private readonly wanted: Wanted,
  ) {
    const { model, version } = wanted
    // No version path unless asked: KServe answers 501 to any.
    const versions = version === undefined ? '' : `/versions/${encodeURIComponent(version)}`
    this.#path = `/v2/models/${encodeURIComponent(model)}${versions}`
    // Binary parts are found by their place in the body as it was sent.
    this.#headers = { 'accept-encoding': 'identity', ...wanted.headers }
    // Without a type KServe and MLServer refuse either form.
    this.#inJson = { ...this.#headers, 'content-type': 'application/json' }
    this.#inBytes = { ...this.#headers, 'content-type': 'application/octet-stream' }
  }

  /** @throws ServerError unless the model is ready to be asked */
  async ready(abort: Cancellation): Promise<void> {
    const reply = await this.#get(`${this.#path}/ready`, abort)
    // Some say it in the body, some have none.
    const isReady = (await jsonOf(reply).catch(() => undefined)) as { ready?: unknown } | undefined
    if (isReady?.ready === false) throw this.#error('WORKER', 'is not ready', { down: true })
  }

  /** What its model takes and gives. @throws ServerError; ApproxiferError MODEL for what cannot be used, PROTOCOL */
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

  /** Whether it says that it has the binary extension; some have it and do not say so. */
  async announcesBinary(abort: Cancellation): Promise<boolean> {
    try {
      const json = (await jsonOf(await this.#get('/v2', abort))) as { extensions?: unknown } | null
      return Array.isArray(json?.extensions) && json.extensions.includes(BINARY)
    } catch (error) {
      if (abort.aborted) throw error
      return false
    }
  }

  /** The address of its latest connection, "127.0.0.1:8000", where the runtime says it. */
  get address(): string | undefined {
    return this.connections.address
  }

  close(): Promise<void> {
    return this.connections.close()
  }

  /** The model's answers to some queries, in one request. @param isProbe  nobody's queries @throws ServerError; ApproxiferError PROTOCOL */
  async infer(
    queries: readonly TensorList[],
    signature: Signature,
    binary: boolean,
    abort: ServerCall,
    isProbe = false,
  ): Promise<ServerReply> {
    const id = randomToken() // of all clients: a broken proxy may mix up their replies
    const { body, headerLength } = await writeRequest(signature, { id, queries, binary })
    abort.throwIfAborted()
    const { outputs } = signature
    const { traceparent } = abort
    const own = headerLength === undefined ? this.#inJson : { ...this.#inBytes, [HEADER_LENGTH]: String(headerLength) }
    const headers = traceparent === undefined ? own : { ...own, traceparent }
    const response = await this.#request({
      method: 'POST',
      path: `${this.#path}/infer`,
      headers: isProbe && !platform.isPage ? { ...headers, [PROBE]: '1' } : headers, // it is for logs alone
      body,
      mostBytes: REST_BYTES + answerBytes(outputs) * queries.length,
      abort,
    })
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
    return this.#request({
      method: 'GET',
      path,
      headers: this.#headers,
      body: undefined,
      mostBytes: METADATA_BYTES,
      abort,
    })
  }

  #request(request: HttpRequest): Promise<HttpReply> {
    const replied = (reply: HttpReply) => {
      if (reply.status === 200) return reply
      throw this.#failure(reply, request.method === 'POST')
    }
    return this.connections.request(request).then(replied, (error) => {
      request.abort.throwIfAborted()
      const notSent = UNREACHED.includes(error.code ?? error.cause?.code)
      const fault = { down: true, stale: error.stale === true, notSent, cause: error }
      throw this.#error('WORKER', `cannot be reached: ${reason(error)}${platform.isPage ? FOR_PAGES : ''}`, fault)
    })
  }

  #failure({ status, header, body }: HttpReply, isInference: boolean): ServerError {
    const text = body?.length ? readError(joinedBytes(body)) : ''
    const says = `answers ${status}${text && `: ${text}`}`
    const after = header('retry-after')
    const retryMs = retryMsOf(after, header('date'))
    if (status === 429) return this.#error('OVERLOADED', says, { busy: 'surely', notSent: true, retryMs })
    if (status === 503 && isInference)
      return this.#error('OVERLOADED', says, { busy: 'perhaps', notSent: true, retryMs })
    const down = status < 400 || GONE.includes(status)
    // Behind a proxy's 502 a server may have died of what it was sent.
    return this.#error('WORKER', says, { down, notSent: down && status !== 502, retryMs })
  }

  #error(code: Code, text: string, fault: ServerFault): ServerError {
    return new ServerError(code, `${this.name} ${text}`, fault)
  }
}

/** Of one answer at most, in either form. */
function answerBytes(outputs: Signature['outputs']): number {
  const values = outputs.some(({ type }) => type === 'string') ? Number.NaN : rowLength(outputs)
  return Number.isNaN(values) ? ANSWER_BYTES : VALUE_BYTES * values
}

async function jsonOf({ body }: HttpReply): Promise<unknown> {
  if (!body) throw new RangeError('it is too long')
  return (await readMessage(joinedBytes(body))).json
}

type ConnectionError = Error & { code?: string; errors?: Error[] }

/** What a connection's error is about: fetch says it in the cause; where several addresses were tried there are several errors. */
function reason(error: ConnectionError): string {
  const cause = error.cause instanceof Error ? error.cause : undefined
  return cause?.message || error.message || error.errors?.[0]?.message || error.code || error.name
}

/** Milliseconds of a Retry-After: seconds, or a date by the server's own clock, where it tells that. Undefined for what is neither. */
function retryMsOf(after: string | undefined, date: string | undefined): number | undefined {
  if (after === undefined) return undefined
  const isSeconds = /^\d+(\.\d+)?$/.test(after)
  const now = Date.parse(date ?? '') || Date.now()
  const ms = isSeconds ? 1000 * Number(after) : Date.parse(after) - now
  return ms >= 0 ? Math.min(ms, MOST_RETRY_MS) : undefined
}

/** Metadata with lengths in the place of those that it leaves open. */
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
