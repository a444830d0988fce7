/** One server of the Open Inference Protocol: what is asked of it, and what its answers mean. Servers differ: see docs/remote.md. */

import { ApproxiferError, type Code } from '../../errors'
import { joinedBytes } from '../../oip/json'
import {
  BINARY,
  HEADER_LENGTH,
  readError,
  readMessage,
  readMetadata,
  readReply,
  writeRequest,
} from '../../oip/messages'
import type { Connections, HttpReply } from '../../platform/platform'
import { checkAnswer, rowLength, type Signature } from '../../tensor'

/** What is to be asked for. */
export interface Wanted {
  model: string
  version?: string | undefined
  outputs?: readonly string[] | undefined
  shapes?: Readonly<Record<string, readonly number[]>> | undefined
  headers?: Readonly<Record<string, string>> | undefined
}

export interface Answers {
  /** One a row; an error where a row's own is none. */
  rows: (Float32Array | ApproxiferError)[]
  /** The model's version, where the server tells. */
  version: string | undefined
}

/** Of a reply, beside its values: names, whatever else a server tells. */
const REST_BYTES = 2 ** 16
/** Of a value as text, with blanks and brackets. */
const VALUE_BYTES = 64
const METADATA_BYTES = 2 ** 20
/** Status codes behind which there is no such worker now, whatever it is asked. */
const GONE = [401, 403, 404, 405, 501, 502, 503]
/** Connections that were never made. */
const UNREACHED = ['ECONNREFUSED', 'EHOSTUNREACH', 'ENETUNREACH', 'ENOTFOUND', 'EAI_AGAIN', 'UND_ERR_CONNECT_TIMEOUT']
/** A server that is busy without saying for how long, and the longest that one is believed. */
const BUSY_MS = 100
const MOST_BUSY_MS = 60_000

/** Why a server did not answer. */
export class ServerError extends ApproxiferError {
  /** Whether the next call would go no better. */
  readonly down: boolean
  /** Whether the model was not even asked: what was sent is not to blame. */
  readonly unasked: boolean
  /** For how long it wants to be left alone. */
  readonly busyMs: number | undefined
  /** The connection had been used before, and was closed before a reply came: another may do. */
  readonly stale: boolean

  constructor(
    code: Code,
    message: string,
    is: { down?: boolean; unasked?: boolean; busyMs?: number; stale?: boolean; cause?: unknown },
  ) {
    super(code, message, { cause: is.cause })
    this.down = is.down === true
    this.unasked = is.unasked === true
    this.busyMs = is.busyMs
    this.stale = is.stale === true
  }
}

export class OipServer {
  readonly #connections: Connections
  readonly #name: string
  readonly #path: string
  readonly #wanted: Wanted
  #takesBatches = false
  #ids = 0

  /** @param name  what errors call it */
  constructor(connections: Connections, name: string, wanted: Wanted) {
    const { model, version } = wanted
    this.#connections = connections
    this.#name = name
    // No version path unless asked: KServe answers 501 to any.
    const versions = version === undefined ? '' : `/versions/${encodeURIComponent(version)}`
    this.#path = `/v2/models/${encodeURIComponent(model)}${versions}`
    this.#wanted = wanted
  }

  /** @throws ServerError unless the model is ready to be asked */
  async ready(signal: AbortSignal): Promise<void> {
    const reply = await this.#get(`${this.#path}/ready`, signal)
    // Some say it in the body, some have none.
    const isReady = (await jsonOf(reply).catch(() => undefined)) as { ready?: unknown } | undefined
    if (isReady?.ready === false) throw this.#error('WORKER', 'is not ready', { down: true })
  }

  /** What its model takes and gives. @throws ServerError; ApproxiferError MODEL for what cannot be coded, PROTOCOL */
  async signature(signal: AbortSignal): Promise<Signature> {
    const reply = await this.#get(this.#path, signal)
    const { outputs, shapes = {} } = this.#wanted
    const json = await jsonOf(reply).catch((error) => {
      throw this.#error('PROTOCOL', `sends no metadata: ${error.message}`, { down: true })
    })
    this.#takesBatches = leavesBatchOpen(json)
    return readMetadata(withShapes(json, shapes), outputs)
  }

  /** Whether it says that it knows the binary extension; some know it and do not say so. */
  async announcesBinary(signal: AbortSignal): Promise<boolean> {
    try {
      const json = (await jsonOf(await this.#get('/v2', signal))) as { extensions?: unknown } | null
      return Array.isArray(json?.extensions) && json.extensions.includes(BINARY)
    } catch (error) {
      if (signal.aborted) throw error
      return false
    }
  }

  /** Whether its model takes any number of rows at once, by its metadata. */
  get takesBatches(): boolean {
    return this.#takesBatches
  }

  /**
   * The model's answers to some rows, in one request.
   *
   * @param rows  only read, until this settles
   * @throws ServerError; ApproxiferError PROTOCOL for what are no answers
   */
  async infer(
    rows: readonly Float32Array[],
    signature: Signature,
    binary: boolean,
    signal: AbortSignal,
  ): Promise<Answers> {
    const id = String(this.#ids++)
    const { body, headerLength } = await writeRequest(signature, { id, rows, binary })
    signal.throwIfAborted()
    const { outputs } = signature
    const length = rowLength(outputs)
    const reply = await this.#request('POST', `${this.#path}/infer`, signal, {
      headers: {
        // Without a type KServe and MLServer refuse either form.
        'content-type': headerLength === undefined ? 'application/json' : 'application/octet-stream',
        ...(headerLength !== undefined && { [HEADER_LENGTH]: String(headerLength) }),
      },
      body,
      mostBytes: REST_BYTES + VALUE_BYTES * length * rows.length,
    })
    if (!reply.body) throw this.#error('PROTOCOL', 'sends a longer reply than its model has values', {})
    const message = await readMessage(joinedBytes(reply.body), reply.header(HEADER_LENGTH)).catch((error) => {
      throw this.#error('PROTOCOL', `sends a reply that is none: ${error.message}`, {})
    })
    const answers = readReply(message, outputs, rows.length)
    if (answers.id !== undefined && answers.id !== id) throw this.#error('PROTOCOL', 'answers another request', {})
    const checked = (row: Float32Array) => {
      try {
        return checkAnswer(row, length, outputs)
      } catch (error) {
        return error as ApproxiferError
      }
    }
    return { rows: answers.rows.map(checked), version: answers.version }
  }

  async #get(path: string, signal: AbortSignal): Promise<HttpReply> {
    return this.#request('GET', path, signal, { headers: {}, mostBytes: METADATA_BYTES })
  }

  async #request(
    method: 'GET' | 'POST',
    path: string,
    signal: AbortSignal,
    rest: { headers: Record<string, string>; body?: Uint8Array; mostBytes: number },
  ): Promise<HttpReply> {
    // Binary parts are found by their place in the body as it was sent.
    const headers = { 'accept-encoding': 'identity', ...this.#wanted.headers, ...rest.headers }
    const reply = await this.#connections.request({ method, path, signal, ...rest, headers }).catch((error) => {
      signal.throwIfAborted()
      const is = { down: true, stale: error.stale === true, unasked: UNREACHED.includes(codeOf(error)), cause: error }
      throw this.#error('WORKER', `cannot be reached: ${told(error)}`, is)
    })
    if (reply.status === 200) return reply
    throw this.#failure(reply)
  }

  #failure({ status, header, body }: HttpReply): ServerError {
    const text = body?.length ? readError(joinedBytes(body)) : ''
    const says = `answers ${status}${text && `: ${text}`}`
    const after = header('retry-after')
    if (status === 429 || (status === 503 && after !== undefined)) {
      return this.#error('OVERLOADED', says, { busyMs: retryMs(after), unasked: true })
    }
    const down = status < 400 || GONE.includes(status)
    // Behind a proxy's 502 a server may have died of what it was sent.
    return this.#error('WORKER', says, { down, unasked: down && status !== 502 })
  }

  #error(code: Code, text: string, is: ConstructorParameters<typeof ServerError>[2]): ServerError {
    return new ServerError(code, `${this.#name} ${text}`, is)
  }
}

async function jsonOf({ body }: HttpReply): Promise<unknown> {
  if (!body) throw new RangeError('it is too long')
  return (await readMessage(joinedBytes(body))).json
}

type ConnectionError = Error & { code?: string; errors?: Error[] }

/** A connection's error has its reason in its cause, where fetch made it, and several where several addresses were tried. */
function told(error: ConnectionError): string {
  const cause = error.cause instanceof Error ? error.cause : undefined
  return cause?.message || error.message || error.errors?.[0]?.message || error.code || error.name
}

function codeOf({ code, cause }: ConnectionError): string {
  return code ?? (cause as ConnectionError | undefined)?.code ?? ''
}

/** Seconds, or a date. */
function retryMs(after: string | undefined): number {
  if (after === undefined) return BUSY_MS
  const seconds = Number(after)
  const ms = Number.isNaN(seconds) ? Date.parse(after) - Date.now() : 1000 * seconds
  return Number.isNaN(ms) ? BUSY_MS : Math.min(Math.max(ms, BUSY_MS), MOST_BUSY_MS)
}

/** Metadata with lengths in the place of those that it leaves open. */
function withShapes(json: unknown, shapes: NonNullable<Wanted['shapes']>): unknown {
  const fill = (list: unknown) =>
    Array.isArray(list)
      ? list.map((tensor) =>
          Object.hasOwn(shapes, tensor?.name) && Array.isArray(tensor.shape)
            ? { ...tensor, shape: [tensor.shape[0], ...shapes[tensor.name]] }
            : tensor,
        )
      : list
  if (typeof json !== 'object' || json === null) return json
  const { inputs, outputs } = json as Record<string, unknown>
  return { ...json, inputs: fill(inputs), outputs: fill(outputs) }
}

function leavesBatchOpen(json: unknown): boolean {
  const { inputs, outputs } = (json ?? {}) as Record<string, { shape?: unknown[] }[]>
  const all = [inputs, outputs].flat()
  return all.every((tensor) => Array.isArray(tensor?.shape) && Number(tensor.shape[0]) === -1)
}
