/** An inference server as a function from Request to Response: the Open Inference Protocol v2 in front of predictors. */

import { checkBoolean, checkInteger, checkMs, checkNames, checkShare, checkWord, expected, MOST_MS } from '../check'
import { type Clock, systemClock } from '../clock'
import type { Guard } from '../errors'
import { guarded, threw, type Warn } from '../notices'
import { BINARY, writeMetadata } from '../oip/metadata'
import { type InferRequest, readMessage, readRequest } from '../oip/read'
import { type Encoded, HEADER_LENGTH, type TensorRows, writeReply } from '../oip/write'
import type { Predictor } from '../predictor/predictor'
import { atDeadlines } from '../query/decision'
import type { GroupReport } from '../query/report'
import type { Prediction, Status } from '../query/ticket'
import { type Signature, size, type TensorSpec } from '../tensor'
import { chosenCoding, packBody, Room, readBody } from './body'
import { type BatchOptions, type Outcome, predictBatch, RowError } from './infer'
import { Models, type Served, type Start, type Store } from './models'
import { isMisuse, overloaded, Refusal, refusalOf, unavailable } from './refusal'
import { type Place, placeOf, type Resource } from './routes'

/** What became of a request. */
export interface RequestEvent {
  /** Its body has been read. */
  request: Request
  route: Route
  model?: string
  version?: string
  /** Of HTTP; 499 where the client was gone. */
  status: number
  /** From the request to its answer, reading and writing included. */
  ms: number
  /** Rows of the batch. */
  queries: number
  /** How many of them ended how; those that failed are in none. */
  statuses: Record<Status, number>
  /** What happened to their groups; these never reject. */
  groups: Promise<GroupReport>[]
  /** The client's. */
  id?: string
  error?: string
}

export type Route = 'infer' | 'metadata' | 'health' | 'other'

export interface GatewayOptions<Model> {
  /** What is served, by name. They start at once: see `ready`. */
  models: Readonly<Record<string, Model>>
  /** Told once a request, when it has its answer. */
  observe?: (event: RequestEvent) => void
  /** Keeps what models learn; see `Store`. Default: none, and a model learns anew. */
  store?: Store
  /** How often it is written, where anything was asked since. Default 60,000 ms. */
  saveEveryMs?: number
  /** Bytes of a request's body, unpacked. Default 64 MiB. */
  maxBytes?: number
  /** Bytes of the bodies of all requests that have no answer yet; more are refused before they are read. Default four times `maxBytes`. */
  maxTotalBytes?: number
  /** Rows of a batch. Default 10,000. */
  maxRows?: number
  /** Requests for inference at a time. Default 1,000. */
  maxRequests?: number
  /** Bytes from which on a reply is packed where the client asks for it: a smaller one fits into a packet anyhow. Default 1,024. */
  packFrom?: number
  /** What the server's metadata says of it. Default 'approxifer'. */
  server?: { name?: string; version?: string }
  /** Told of what an operator should know. Default: console.warn. */
  onWarning?: (text: string) => void
  /** Time, for simulations. Default: the system's. */
  clock?: Clock
}

const optionNames = [
  ...['models', 'observe', 'store', 'saveEveryMs', 'maxBytes', 'maxTotalBytes', 'maxRows', 'maxRequests', 'packFrom'],
  ...['server', 'onWarning', 'clock'],
]

/** Answers a request; never rejects. Its properties govern what is served. */
export interface Gateway<Model> {
  (request: Request): Promise<Response>
  /** Resolves when all models of the option have started. @throws the first one's error where one did not; others are served */
  ready(): Promise<void>
  /**
   * Starts a model under a new name, or another version of one that is served: requests under way end with the old version, later ones
   * get the new. It takes over what the old one learned, if it is the same model.
   *
   * @throws what its start throws; the old one is served on then
   */
  load(name: string, model: Model): Promise<void>
  /** Resolves when its requests have ended and it is closed. @throws RangeError for an unknown name */
  unload(name: string): Promise<void>
  /** What serves a model now, for `stats`. @throws Error for one that is not served */
  predictor(name: string): Predictor
  /** The names of all models, whether ready or not. */
  readonly names: readonly string[]
  /** Writes what was learned. @throws what the store throws */
  save(): Promise<void>
  /** From here on it is not ready and takes no requests; resolves when those under way have their answers. */
  drain(): Promise<void>
  /** Saves, and closes all predictors; what is under way ends with 503. May be called twice. */
  close(): Promise<void>
}

/** Under which heading a request is counted. */
const HEADINGS: Record<Resource, Route> = {
  server: 'metadata',
  model: 'metadata',
  live: 'health',
  ready: 'health',
  modelReady: 'health',
  infer: 'infer',
}

/** A request on its way. */
interface Visit {
  request: Request
  place: Place
  event: RequestEvent
  /** Bytes of its body that take up room. */
  bytes: number
}

/** Letters of an error. */
const MOST_TOLD = 500
/** Curl's and fetch's defaults for text say nothing; NVIDIA's client sends none. */
const TYPES = /^(application\/(json|octet-stream|x-www-form-urlencoded)|text\/plain)\s*(;|$)/i
const PARAMETERS = [
  'deadline_ms',
  'timeout',
  'policy',
  'partition',
  'deliver',
  'min_confidence',
  'at_deadline',
  'allow_partial',
]

/**
 * @param start      makes a predictor of what the option `models` and `load` take
 * @param versionOf  what its version is called
 * @param guard      refuses requests that cannot use the gateway
 */
export function gatewayOf<Model>(
  options: GatewayOptions<Model>,
  start: Start<Model>,
  versionOf: (model: Model) => string,
  guard?: Guard,
): Gateway<Model> {
  const server = new Server(options, start, versionOf, guard)
  const { models } = server
  const loads = Object.entries(options.models).map(([name, model]) => models.load(name, model))
  for (const load of loads) load.catch(() => {}) // `ready` tells, and so does every request
  return Object.defineProperty(
    Object.assign((request: Request) => server.answer(request), {
      ready: async () => {
        const error = guard?.()
        if (error) throw error
        await Promise.allSettled(loads)
        await Promise.all(loads)
      },
      load: async (name: string, model: Model) => models.load(name, model),
      unload: async (name: string) => models.unload(name),
      predictor: (name: string) => models.find(name).predictor,
      save: () => models.save(),
      drain: () => server.drain(),
      close: () => server.close(),
    }),
    'names',
    { get: () => models.names },
  ) as Gateway<Model>
}

class Server<Model> {
  readonly models: Models<Model>
  readonly #guard: Guard | undefined
  readonly #observe: (event: RequestEvent) => void
  readonly #clock: Clock
  readonly #limits: { bytes: number; rows: number; requests: number; packFrom: number }
  readonly #room: Room
  readonly #about: { name: string; version: string; extensions: string[] }
  readonly #warn: Warn
  /** Requests for inference under way. */
  #open = 0
  #draining = false
  /** Told when there are none. */
  readonly #idle: (() => void)[] = []
  readonly #answers: Record<Resource, (visit: Visit) => Response | Promise<Response>> = {
    server: () => json(this.#about),
    live: () => json({ live: true }),
    ready: () => this.#serverReady(),
    model: (visit) => this.#metadata(visit),
    modelReady: (visit) => this.#modelReady(visit),
    infer: (visit) => this.#counted(visit),
  }

  constructor(options: GatewayOptions<Model>, start: Start<Model>, versionOf: (model: Model) => string, guard?: Guard) {
    checkNames('', options, optionNames)
    const { models, store, saveEveryMs = 60_000, server = {}, clock = systemClock, onWarning = console.warn } = options
    if (typeof models !== 'object' || models === null) throw new TypeError(expected('models', 'models by name', models))
    checkNames('server', server, ['name', 'version'])
    this.#guard = guard
    this.#clock = clock
    this.#warn = guarded(onWarning)
    this.#observe = guarded((event) => options.observe?.(event), threw('observe', this.#warn))
    this.#limits = {
      bytes: checkInteger('maxBytes', options.maxBytes ?? 64 * 2 ** 20, 1),
      rows: checkInteger('maxRows', options.maxRows ?? 10_000, 1),
      requests: checkInteger('maxRequests', options.maxRequests ?? 1000, 1),
      packFrom: checkInteger('packFrom', options.packFrom ?? 1024, 0),
    }
    const { bytes } = this.#limits
    this.#room = new Room(checkInteger('maxTotalBytes', options.maxTotalBytes ?? 4 * bytes, bytes))
    this.#about = { name: 'approxifer', version: 'unknown', ...server, extensions: [BINARY] }
    this.models = new Models({
      start,
      versionOf,
      store,
      saveEveryMs: checkMs('saveEveryMs', saveEveryMs),
      clock,
      warn: this.#warn,
    })
  }

  /** Never rejects. */
  async answer(request: Request): Promise<Response> {
    const since = this.#clock.now()
    const event = eventOf(request)
    let response: Response
    try {
      response = await this.#answer(request, event)
    } catch (error) {
      const refusal = refusalOf(error)
      if (refusal.status === 500) this.#warn(`a request failed by a defect: ${(error as Error)?.stack ?? error}`)
      event.error = refusal.message.slice(0, MOST_TOLD)
      response = json({ error: event.error, ...refusal.details }, refusal.status, refusal.headers)
    }
    event.status = response.status
    event.ms = this.#clock.now() - since
    this.#observe(event)
    return request.method === 'HEAD' ? new Response(null, response) : response
  }

  async #answer(request: Request, event: RequestEvent): Promise<Response> {
    const refused = this.#guard?.()
    if (refused) throw new Refusal(500, refused.message) // to try again does not help
    const place = placeOf(request)
    event.route = HEADINGS[place.resource]
    return this.#answers[place.resource]({ request, place, event, bytes: 0 })
  }

  /** Takes no more requests; resolves when those under way have their answers. */
  async drain(): Promise<void> {
    this.#draining = true
    if (this.#open) await new Promise<void>((resolve) => this.#idle.push(resolve))
  }

  close(): Promise<void> {
    this.#draining = true
    return this.models.close()
  }

  #serverReady(): Response {
    const [unready] = this.models.unready
    const why = this.#draining ? 'the server is shutting down' : unready && `model '${unready[0]}': ${unready[1]}`
    if (why === undefined) return json({ ready: true })
    const { status, headers } = unavailable(why)
    return json({ ready: false, error: why }, status, headers)
  }

  #modelReady(visit: Visit): Response {
    const { model } = visit.place
    try {
      const { unready } = this.#find(visit).predictor
      if (unready !== undefined) throw unavailable(`model '${model}' is not ready: ${unready}`)
    } catch (error) {
      const { status, message, headers } = refusalOf(error)
      if (status !== 503) throw error
      visit.event.error = message
      return json({ name: model, ready: false, error: message }, status, headers)
    }
    return json({ name: model, ready: true })
  }

  #metadata(visit: Visit): Response {
    const { predictor, version } = this.#find(visit)
    return json(writeMetadata(visit.place.model, [version], predictor.signature))
  }

  #find({ place, event }: Visit): Served {
    event.model = place.model
    const served = this.models.find(place.model, place.version)
    event.version = served.version
    return served
  }

  /** One of at most so many at a time. */
  async #counted(visit: Visit): Promise<Response> {
    const served = this.#find(visit)
    if (this.#draining) throw unavailable('the server is shutting down')
    if (this.#open >= this.#limits.requests) throw overloaded(`${this.#open} requests are under way already`)
    this.#open++
    const leave = served.enter()
    try {
      return await this.#infer(visit, served)
    } finally {
      leave()
      this.#room.resize(visit.bytes, 0)
      this.#open--
      if (!this.#open) for (const told of this.#idle.splice(0)) told()
    }
  }

  async #infer(visit: Visit, { predictor, version }: Served): Promise<Response> {
    const { request, event, place } = visit
    const { headers, signal } = request
    const { signature } = predictor
    checkType(headers.get('content-type'))
    const body = await readBody(request, this.#limits.bytes, this.#room)
    visit.bytes = body.length
    const message = await readMessage(body, headers.get(HEADER_LENGTH))
    const asked = readRequest(message, signature, this.#limits.rows)
    if (asked.id !== undefined) event.id = asked.id
    event.queries = asked.queries.length
    const choices = choicesOf(asked.parameters)
    const outcomes = await predictBatch(predictor, asked.queries, { ...choices, signal, clock: this.#clock }).catch(
      told,
    )
    tally(outcomes, event)
    const reply = { model: place.model, version, id: asked.id, parameters: provenance(outcomes) }
    const outputs = outputRows(asked, outcomes, signature)
    return this.#send(await writeReply({ ...reply, outputs }), headers.get('accept-encoding'))
  }

  async #send({ body, headerLength }: Encoded, accepts: string | null): Promise<Response> {
    const binary = headerLength !== undefined
    const coding = body.length >= this.#limits.packFrom ? chosenCoding(accepts) : undefined
    const sent = coding ? await packBody(body, coding) : body
    // A plain object: HTTP servers take it as it is, and a `Headers` would be a tenth of a small request's cost.
    const headers = {
      'Content-Type': binary ? 'application/octet-stream' : 'application/json',
      'Content-Length': String(sent.length),
      ...(binary && { [HEADER_LENGTH]: String(headerLength) }),
      ...(coding && { 'Content-Encoding': coding }),
      ...(body.length >= this.#limits.packFrom && { Vary: 'Accept-Encoding' }),
    }
    const init: ResponseInit & { encodeBody: string } = { headers, encodeBody: 'manual' } // workerd would pack it again
    return new Response(sent as BodyInit, init)
  }
}

/** @throws Refusal for the error of a row; it says which, where it is about that one alone */
function told(error: unknown): never {
  if (!(error instanceof RowError)) throw error
  const { row, cause } = error
  const own = !isMisuse(cause) || (cause as Error).message.startsWith('query')
  throw refusalOf(cause, own ? `row ${row}: ` : 'parameters.')
}

function eventOf(request: Request): RequestEvent {
  const statuses = { exact: 0, checked: 0, recovered: 0, unverified: 0 }
  return { request, route: 'other', status: 0, ms: 0, queries: 0, statuses, groups: [] }
}

function json(body: unknown, status = 200, headers: Readonly<Record<string, string>> = {}): Response {
  const bytes = new TextEncoder().encode(JSON.stringify(body))
  const all = { 'Content-Type': 'application/json', 'Content-Length': String(bytes.length), ...headers }
  return new Response(bytes, { status, headers: all })
}

function checkType(type: string | null): void {
  if (!type || TYPES.test(type)) return
  throw new Refusal(415, expected('Content-Type', 'application/json, application/octet-stream or none', type))
}

/** What a request's parameters choose. @throws TypeError, RangeError */
function choicesOf(parameters: Record<string, unknown>): Omit<BatchOptions, 'clock' | 'signal'> {
  checkNames('parameters', parameters, PARAMETERS)
  const { deadline_ms, timeout, allow_partial = false, min_confidence, at_deadline, ...rest } = parameters
  if (timeout !== undefined && deadline_ms !== undefined) {
    throw new TypeError('parameters: expected either deadline_ms or timeout (in microseconds), got both')
  }
  // As Triton has it: 0 is none.
  const micros = timeout === undefined ? 0 : checkInteger('parameters.timeout', timeout, 0)
  const ms = deadline_ms ?? (micros ? Math.min(micros / 1000, MOST_MS) : undefined)
  return {
    ...rest, // the predictor checks these
    partial: checkBoolean('parameters.allow_partial', allow_partial),
    ...(ms !== undefined && { deadlineMs: checkMs('parameters.deadline_ms', ms) }),
    ...(min_confidence !== undefined && { minConfidence: checkShare('parameters.min_confidence', min_confidence) }),
    ...(at_deadline !== undefined && {
      atDeadline: checkWord('parameters.at_deadline', at_deadline, atDeadlines),
    }),
  }
}

/** How each row was answered, as parameters of the reply: lists with an element a row. */
function provenance(outcomes: readonly Outcome[]): Record<string, unknown> {
  const of = <T>(told: (prediction: Prediction) => T, otherwise: T) =>
    outcomes.map((outcome) => ('prediction' in outcome ? told(outcome.prediction) : otherwise))
  const errors = outcomes.flatMap((outcome, row) =>
    'error' in outcome ? [{ row, code: outcome.error.code, error: outcome.error.message }] : [],
  )
  return {
    status: of<string>(({ status }) => status, 'failed'),
    confidence: of<number | null>(({ confidence }) => confidence ?? null, null),
    workers: of(({ workers }) => workers.length, 0),
    ...(errors.length && { errors }),
  }
}

function tally(outcomes: readonly Outcome[], event: RequestEvent): void {
  const groups = new Set<Promise<GroupReport>>()
  for (const outcome of outcomes) {
    if (!('prediction' in outcome)) continue
    event.statuses[outcome.prediction.status]++
    groups.add(outcome.prediction.group)
  }
  event.groups = [...groups]
}

/** The outputs that were asked for; of rows that failed, zeros. */
function outputRows({ outputs }: InferRequest, outcomes: readonly Outcome[], signature: Signature): TensorRows[] {
  return outputs.map(({ name, binary }) => {
    const { shape } = signature.outputs.find((spec) => spec.name === name) as TensorSpec
    const none = new Float32Array(size({ shape }))
    const rows = outcomes.map((outcome) => ('prediction' in outcome ? outcome.prediction.output[name].data : none))
    return { name, shape, binary, rows }
  })
}
