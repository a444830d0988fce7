/**
 * Servers of the Open Inference Protocol with the habits of those that exist: what KServe and MLServer answer is held against
 * recordings (test/oip), what Triton and OpenVINO's server answer was read in their sources.
 */

import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { gzipSync } from 'node:zlib'

export type Mode = 'triton' | 'kserve' | 'mlserver' | 'ovms'

/** An output's values, for all rows one after the other; `shape` without the batch. */
export interface Output {
  name: string
  datatype: 'FP32' | 'INT64'
  shape: number[]
  values: number[]
}

export interface Model {
  name: string
  inputs: { name: string; shape: number[] }[]
  outputs: Pick<Output, 'name' | 'datatype' | 'shape'>[]
  /** @param rows  each input's values, for all rows */
  run(inputs: Float32Array[], rows: number): Promise<Output[]> | Output[]
}

export interface Seen {
  method: string
  path: string
  headers: IncomingMessage['headers']
  status: number
}

type Json = Record<string, unknown>
type Tensor = { name: string; shape: number[]; datatype: string; data?: unknown; parameters?: Json }
type Send = (status: number, body?: string | Uint8Array, headers?: Record<string, string>) => void

/** How an error is told, by status. */
class Told extends Error {
  constructor(
    readonly status: number,
    readonly body: string | Json = '',
    readonly closes = false,
  ) {
    super(String(status))
  }
}

const LARGE = 2000

export class QuirkServer {
  /** Every request, with what it was answered. */
  readonly seen: Seen[] = []
  isReady = true
  /** Whether pages of other origins may ask it. */
  allowsPages = false
  /** Instead of an answer, if it returns true. */
  instead: ((request: IncomingMessage, response: ServerResponse, row: Float32Array) => boolean) | undefined
  version = 'v1'
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  #port = 0

  constructor(
    readonly mode: Mode,
    public model: Model,
  ) {
    this.#server = createServer((request, response) => {
      request.on('error', () => {}) // the client has left; Deno reports that even where the whole request was read
      this.#handle(request, response).catch(() => response.destroy())
    })
    this.#server.keepAliveTimeout = 60_000
    this.#server.on('connection', (socket) => {
      this.#sockets.add(socket)
      socket.on('close', () => this.#sockets.delete(socket))
    })
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`
  }

  get port(): number {
    return this.#port
  }

  get connections(): number {
    return this.#sockets.size
  }

  async listen(host = '127.0.0.1', port = this.#port): Promise<this> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject)
      this.#server.listen(port, host, resolve)
    })
    this.#port = (this.#server.address() as AddressInfo).port
    return this
  }

  /** As if killed: nothing more is answered, nobody listens. */
  async kill(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve))
    this.drop()
    this.#server.closeAllConnections()
    await closed
  }

  drop(): void {
    for (const socket of this.#sockets) socket.destroy()
  }

  async #handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const seen: Seen = { method: request.method as string, path: request.url as string, headers: request.headers, status: 0 } // biome-ignore format: one line
    this.seen.push(seen)
    if (this.allowsPages) {
      for (const name of ['origin', 'headers']) response.setHeader(`access-control-allow-${name}`, '*')
      response.setHeader('access-control-expose-headers', '*')
      if (request.method === 'OPTIONS') return void response.writeHead(204).end()
    }
    const send: Send = (status, body = '', headers = {}) => {
      seen.status = status
      const chunked = headers['transfer-encoding'] === 'chunked'
      response.writeHead(status, { ...headers, ...(!chunked && { 'content-length': String(Buffer.byteLength(body)) }) })
      response.end(body)
    }
    try {
      const chunks: Uint8Array[] = []
      for await (const chunk of request) chunks.push(chunk)
      await this.#route(request, Buffer.concat(chunks), response, send)
    } catch (error) {
      if (!(error instanceof Told)) throw error
      const { status, body, closes } = error
      if (closes) response.shouldKeepAlive = false
      if (typeof body === 'string') send(status, body, { 'content-type': 'text/plain; charset=utf-8' })
      else send(status, JSON.stringify(body), { 'content-type': 'application/json' })
    }
  }

  async #route(request: IncomingMessage, body: Buffer, response: ServerResponse, send: Send): Promise<void> {
    const { model } = this
    const json = (value: unknown) => send(200, JSON.stringify(value), { 'content-type': 'application/json' })
    const [, , what, name, ...rest] = decodeURIComponent(request.url as string).split('/')
    if (request.method === 'GET') {
      if (what === undefined) return json(this.#serverMetadata())
      if (what === 'health') return this.#health({ [name]: true }, send)
      this.#check(name)
      const own = this.#versioned(rest)
      if (own[0] === 'ready') return this.#health({ name, ready: true }, send)
      return json(this.#metadata())
    }
    this.#check(name)
    if (this.#versioned(rest)[0] !== 'infer') throw new Told(404, { error: 'no such path' })
    if (!this.isReady) throw this.#notReady()
    const { inputs, rows, json: asked } = this.#parse(request, body)
    if (this.instead?.(request, response, inputs[0])) return
    const outputs = await model.run(inputs, rows)
    this.#reply(asked, outputs, rows, request, send)
  }

  #serverMetadata() {
    const extensions = {
      triton: ['classification', 'sequence', 'model_repository', 'binary_tensor_data', 'parameters'],
      kserve: ['model_repository_extension'],
      mlserver: [],
      ovms: undefined,
    }[this.mode]
    return { name: this.mode, version: '1', ...(extensions && { extensions }) }
  }

  #metadata() {
    const { name, inputs, outputs } = this.model
    const told = (datatype: string, { name, shape }: { name: string; shape: number[] }) => ({ name, datatype, shape: [-1, ...shape] }) // biome-ignore format: one line
    const versions = { triton: ['1'], kserve: null, mlserver: [], ovms: ['1'] }[this.mode]
    const platform = { triton: 'onnxruntime_onnx', kserve: '', mlserver: '', ovms: 'OpenVINO' }[this.mode]
    return {
      ...{ name, versions, platform },
      inputs: inputs.map((input) => told('FP32', input)),
      outputs: outputs.map((output) => told(output.datatype, output)),
      ...(this.mode === 'mlserver' && { parameters: {} }),
    }
  }

  #health(body: Json, send: Send): void {
    if (!this.isReady) throw this.#notReady()
    if (this.mode === 'kserve') send(200, JSON.stringify(body), { 'content-type': 'application/json' })
    else send(200)
  }

  #notReady(): Told {
    const error = { error: `Model ${this.model.name} is not ready` }
    return new Told({ triton: 400, kserve: 503, mlserver: 400, ovms: 503 }[this.mode], error)
  }

  #check(name: string): void {
    if (name === this.model.name) return
    const error = {
      triton: `Request for unknown model: '${name}' is not found`,
      kserve: `Model with name ${name} does not exist.`,
      mlserver: `Model ${name} not found`,
      ovms: 'Model with requested name is not found',
    }[this.mode]
    throw new Told(this.mode === 'triton' ? 400 : 404, { error })
  }

  /** The path behind a version, where the server takes it. */
  #versioned(rest: string[]): string[] {
    if (rest[0] !== 'versions') return rest
    if (this.mode === 'kserve') throw new Told(501, { error: 'Model versioning not supported yet.' })
    if (this.mode === 'mlserver') {
      throw new Told(404, { error: `Model ${this.model.name} with version ${rest[1]} not found` })
    }
    return rest.slice(2)
  }

  #parse(request: IncomingMessage, body: Buffer) {
    const { mode } = this
    const type = request.headers['content-type']
    const length = request.headers['inference-header-content-length'] as string | undefined
    const isBinary = length !== undefined
    if (mode === 'mlserver' && type === 'application/octet-stream') throw new Told(500, 'Internal Server Error')
    if (mode === 'kserve' && isBinary && type !== 'application/octet-stream') {
      throw new Told(400, { detail: 'There was an error parsing the body' })
    }
    const at = isBinary && mode !== 'mlserver' ? Number(length) : body.length
    if (Number.isNaN(at)) {
      const error = `ValueError : invalid literal for int() with base 10: '${length}'`
      throw mode === 'kserve' ? new Told(500, { error }) : new Told(400, { error })
    }
    const json = this.#json(body, at)
    this.#checkId(json)
    let from = at
    let rows = 0
    const inputs = this.model.inputs.map(({ name }) => {
      const tensor = (json.inputs as Tensor[]).find((input) => input.name === name) as Tensor
      rows = tensor.shape[0]
      const size = tensor.parameters?.binary_data_size as number | undefined
      if (size === undefined) return Float32Array.from((tensor.data as number[]).flat(9))
      const raw = body.subarray(from, from + size)
      from += size
      if (raw.length < size) this.#truncated(raw.length, tensor.shape)
      return new Float32Array(Uint8Array.from(raw).buffer)
    })
    return { inputs, rows, json }
  }

  #json(body: Buffer, at: number): Json {
    try {
      const text = new TextDecoder('utf-8', { fatal: true }).decode(body.subarray(0, at))
      return JSON.parse(text)
    } catch {
      const reason = 'str is not valid UTF-8: surrogates not allowed'
      const detail = [{ type: 'json_invalid', loc: ['body', 0], msg: 'JSON decode error', input: {}, ctx: { error: reason } }] // biome-ignore format: one line
      if (this.mode === 'mlserver') throw new Told(422, { detail })
      if (this.mode === 'ovms') throw new Told(412, { error: 'JSON parse error' })
      throw new Told(400, { error: `Unrecognized request format: ${reason}: line 1 column 1 (char 0)` })
    }
  }

  #checkId(json: Json): void {
    const { id } = json
    if (id === undefined || id === null || typeof id === 'string') return
    const wrong = { type: 'string_type', msg: 'Input should be a valid string', input: id }
    if (this.mode === 'mlserver') throw new Told(422, { detail: [{ ...wrong, loc: ['body', 'id'] }] })
    if (this.mode !== 'kserve') throw new Told(400, { error: 'id is expected to be a string' })
    const bytes = { type: 'bytes_type', loc: ['body', 'bytes'], msg: 'Input should be a valid bytes', input: json }
    throw new Told(422, { detail: [{ ...wrong, loc: ['body', 'InferenceRequest', 'id'] }, bytes] })
  }

  #truncated(bytes: number, shape: number[]): never {
    const kserve = `ValueError : cannot reshape array of size ${Math.floor(bytes / 4)} into shape (${shape})`
    if (this.mode === 'kserve') throw new Told(500, { error: kserve }, true)
    throw new Told(400, { error: 'unexpected size of the binary data' })
  }

  #reply(asked: Json, all: Output[], rows: number, request: IncomingMessage, send: Send): void {
    const { mode, model } = this
    const whole = (asked.parameters as Json | undefined)?.binary_data_output === true
    const listed = asked.outputs as { name: string; parameters?: Json }[] | undefined
    const wanted = (
      listed?.length ? listed : all.map(({ name }): { name: string; parameters?: Json } => ({ name }))
    ).map(({ name, parameters }) => {
      const own = parameters?.binary_data as boolean | undefined
      const binary = own ?? (listed?.length && mode !== 'ovms' ? false : whole)
      return { output: all.find((output) => output.name === name) as Output, binary: binary && mode !== 'mlserver' }
    })
    const raw: Uint8Array[] = []
    const outputs = wanted.map(({ output, binary }) => {
      const { name, datatype, values } = output
      // MLServer makes columns of what has no other dimension.
      const shape = [rows, ...output.shape, ...(mode === 'mlserver' && !output.shape.length ? [1] : [])]
      const told = { name, shape, datatype }
      if (binary) {
        raw.push(bytesOf(output))
        return { ...told, parameters: { binary_data_size: raw[raw.length - 1].length } }
      }
      const parameters = { kserve: raw.length || wanted.some(({ binary }) => binary) ? undefined : null, mlserver: { content_type: 'np' }, triton: undefined, ovms: undefined }[mode] // biome-ignore format: one line
      return { ...told, ...(parameters !== undefined && { parameters }), data: values }
    })
    const id = asked.id ?? (mode === 'kserve' || mode === 'mlserver' ? crypto.randomUUID() : undefined)
    const version = { kserve: null, mlserver: this.version, triton: '1', ovms: '1' }[mode]
    const parameters = { kserve: raw.length ? undefined : null, mlserver: {}, triton: undefined, ovms: undefined }[mode]
    const head = { model_name: model.name, model_version: version, ...(id !== undefined && { id }), ...(parameters !== undefined && { parameters }), outputs } // biome-ignore format: one line
    const json = Buffer.from(JSON.stringify(head)) // NaN and infinities become null, as theirs do
    if (raw.length) this.#sendBinary(json, raw, send)
    else this.#sendJson(json, request, send)
  }

  #sendBinary(json: Buffer, raw: Uint8Array[], send: Send): void {
    const headers = { 'inference-header-content-length': String(json.length) }
    const body = Buffer.concat([json, ...raw])
    if (this.mode === 'kserve') return send(200, body, { ...headers, 'transfer-encoding': 'chunked' })
    send(200, body, { ...headers, 'content-type': 'application/octet-stream' })
  }

  #sendJson(json: Buffer, request: IncomingMessage, send: Send): void {
    const headers: Record<string, string> = { 'content-type': 'application/json' }
    if (this.mode === 'mlserver') headers['ce-specversion'] = '0.3'
    const asked = /gzip/.test(String(request.headers['accept-encoding'] ?? ''))
    const zips = this.mode === 'triton' || (this.mode === 'mlserver' && json.length > LARGE)
    if (!asked || !zips) return send(200, json, headers)
    send(200, gzipSync(json), { ...headers, 'content-encoding': 'gzip' })
  }
}

function bytesOf({ datatype, values }: Output): Uint8Array {
  const typed = datatype === 'FP32' ? Float32Array.from(values) : BigInt64Array.from(values, BigInt)
  return new Uint8Array(typed.buffer)
}
