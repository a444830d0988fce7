/** An inference server as a function from `Request` to `Response`: answers each route by predictors. */

import { checkMs, checkNames, expected } from '../base/check'
import { type Clock, systemClock } from '../base/clock'
import type { Guard } from '../base/errors'
import { guarded, threw, toConsole, type Warn } from '../base/notices'
import { noAnswers } from '../base/prediction'
import { BINARY, writeMetadata } from '../oip/metadata'
import type { Message } from '../oip/write'
import { predictorWords } from '../predictor/option-table'
import type { Predictor } from '../predictor/predictor'
import type { RequestEvent } from './event'
import { type Exchange, Inference, type InferenceLimits, infer, limitsOf } from './infer'
import { Models, type Served, type Start } from './models'
import { AllowedOrigins, checkOrigins } from './origins'
import { checkModel, checkOperator, mayAsk, type Principal, permitted } from './principal'
import { errorBody, notFound, Refusal, refusalOf, unavailable } from './refusal'
import { type Place, pathOf, placeOf, type Resource } from './routes'
import { LimitedStore, type Store } from './store'
import { answerEmbed, answerEmbeddings, answerRerank, type TextModels } from './text/routes'

export interface GatewayOptions<Model> extends Partial<InferenceLimits> {
  /** The models by name. They start at once: see `ready`. */
  models: Readonly<Record<string, Model>>
  /** Called for each request when it has its reply. */
  observe?: (event: RequestEvent) => void
  /** Chooses the W3C Trace Context of a request's queries. Default: the request's header `traceparent`, else a new one. */
  traceparent?: (request: Request) => string | undefined
  /**
   * Origins whose pages may call, such as 'https://example.org', or '*' for all: it answers their preflights (CORS). Default: none; POST
   * requests of pages of other origins are refused. `false`: a server around it decides.
   */
  cors?: readonly string[] | false
  /** Saves what models learn; see `Store`. Default: none, and each start begins with an empty memory. */
  store?: Store
  /**
   * Models that were asked are saved once nobody has asked for a sixth of this time, and each time it is over while queries go on. Without
   * queries there is no timer. Default 60,000 ms.
   */
  saveEveryMs?: number
  /** How the server's metadata names it. */
  server?: {
    /** Default: 'approxifer'. */
    name?: string
    /** Default: 'unknown'. */
    version?: string
  }
  /** Called with warnings for the operator. Default: console.warn. */
  onWarning?: (text: string) => void
  /** The clock, for simulations. Default: the system's. */
  clock?: Clock
}

const optionNames = [
  ...['models', 'observe', 'traceparent', 'cors', 'store', 'saveEveryMs', 'server', 'onWarning', 'clock'],
  ...['maxBytes', 'maxTotalBytes', 'maxRows', 'maxRequests', 'packFrom'],
]

/** Answers a request; never rejects. Its methods load and unload models. */
export interface Gateway<Model> {
  (request: Request, principal?: Principal): Promise<Response>
  /** Resolves when all models of the option `models` have started. @throws the first error of a model that failed; the others are served */
  ready(): Promise<void>
  /**
   * Starts a model under a new name, or a new version of a model: requests under way are answered by the old version, later ones by the
   * new. The new version takes over what the old one learned, if both are the same model.
   *
   * @throws what the start throws; the old version is served on then
   */
  load(name: string, model: Model): Promise<void>
  /** Unloads a model; resolves when its requests have ended and it is closed. @throws RangeError for an unknown name */
  unload(name: string): Promise<void>
  /** The predictor that serves a model now, for its `stats()`. @throws Error for a model that is not served */
  predictor(name: string): Predictor
  /** The names of all models, whether ready or not. */
  readonly names: readonly string[]
  /** Saves what models learned. @throws what the store throws */
  save(): Promise<void>
  /** Makes the gateway not ready and refuses new requests; resolves when those under way have their replies. */
  drain(): Promise<void>
  /** Saves and closes all predictors; requests under way are answered 503. May be called twice. */
  close(): Promise<void>
}

/** The most characters of an error message in a reply. */
const MOST_ERROR = 500

export function gatewayOf<Model>(
  options: GatewayOptions<Model>,
  start: Start<Model>,
  versionOf: (model: Model) => string,
  guard?: Guard,
): Gateway<Model> {
  const server = new GatewayServer(options, start, versionOf, guard)
  const { models } = server
  const loads = Object.entries(options.models).map(([name, model]) => models.load(name, model))
  for (const load of loads) load.catch(() => {}) // `ready` and each request report the error
  return Object.defineProperty(
    Object.assign((request: Request, principal?: Principal) => server.answer(request, principal), {
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
      drain: () => server.inference.drain(),
      close: () => {
        void server.inference.drain()
        return models.close()
      },
    }),
    'names',
    { get: () => models.names },
  ) as Gateway<Model>
}

class GatewayServer<Model> {
  readonly models: Models<Model>
  readonly #guard: Guard | undefined
  readonly #origins: AllowedOrigins | undefined
  readonly #observe: (event: RequestEvent) => void
  readonly #clock: Clock
  readonly inference: Inference
  readonly #about: object
  readonly #warn: Warn
  readonly #answers: Record<Resource, (place: Place, event: RequestEvent) => Response | Promise<Response>> = {
    server: () => json(this.#about),
    live: () => json({ live: true }),
    ready: () => this.#serverReady(),
    model: (place, event) => {
      const { predictor, version } = this.#find(place, event)
      return json(writeMetadata(place.model, [version], predictor.signature))
    },
    modelReady: (place, event) => this.#modelReady(place, event),
    infer: (place, event) => {
      const served = this.#find(place, event)
      return this.inference.admit(event, (exchange) => infer(exchange, served))
    },
    modelVersions: (place, event) => this.#modelVersions(place, event),
    promote: (place, event) => this.#modelVersions(place, event, 'promote'),
    refuse: (place, event) => this.#modelVersions(place, event, 'refuse'),
    recalls: (place, event) => this.#recalls(place, event),
    embeddings: (_, event) => this.#texts(event, answerEmbeddings),
    embed: (_, event) => this.#texts(event, answerEmbed),
    rerank: (_, event) => this.#texts(event, answerRerank),
  }

  constructor(options: GatewayOptions<Model>, start: Start<Model>, versionOf: (model: Model) => string, guard?: Guard) {
    checkNames('', options, optionNames, predictorWords)
    const { models, store, saveEveryMs = 60_000, server = {}, clock = systemClock, onWarning = toConsole } = options
    const { cors = [] } = options
    if (typeof models !== 'object' || models === null) throw new TypeError(expected('models', 'models by name', models))
    checkNames('server', server, ['name', 'version'])
    this.#guard = guard
    this.#origins = cors === false ? undefined : new AllowedOrigins(checkOrigins('cors', cors))
    this.#clock = clock
    const warn = guarded(onWarning)
    this.#warn = warn
    this.#observe = guarded((event) => options.observe?.(event), threw('observe', warn))
    this.inference = new Inference(limitsOf(options), clock, options.traceparent)
    this.#about = { name: 'approxifer', version: 'unknown', ...server, extensions: [BINARY] }
    const limited = store === undefined ? undefined : new LimitedStore(store, clock)
    const everyMs = checkMs('saveEveryMs', saveEveryMs)
    this.models = new Models({ start, versionOf, store: limited, saveEveryMs: everyMs, clock, warn })
  }

  /** Never rejects. */
  async answer(request: Request, principal?: Principal): Promise<Response> {
    const since = this.#clock.now()
    const event: RequestEvent = { request, route: 'other', status: 0, ms: 0, queries: 0, statuses: noAnswers() }
    if (principal) event.principal = principal
    let response: Response
    try {
      const refused = this.#guard?.()
      if (refused) throw new Refusal(500, refused.message) // not 503: a retry would fail, too
      const preflight = this.#origins?.admit(request)
      response = preflight ?? (await this.#routed(request, event))
    } catch (error) {
      const refusal = refusalOf(error)
      const { cause } = refusal
      if (cause) this.#warn(`a request failed by a defect: ${(cause as Error).stack ?? cause}`)
      event.error = refusal.message.slice(0, MOST_ERROR)
      response = json(errorBody(pathOf(request), refusal, event.error), refusal)
    }
    this.#origins?.expose(request, response)
    event.status = response.status
    event.ms = this.#clock.now() - since
    this.#observe(event)
    return request.method === 'HEAD' ? new Response(null, response) : response
  }

  async #routed(request: Request, event: RequestEvent): Promise<Response> {
    const place = placeOf(request)
    event.route = place.route
    return this.#answers[place.resource](place, event)
  }

  get #closing(): string | undefined {
    return this.inference.draining ? 'the server is shutting down' : undefined
  }

  #serverReady(): Response {
    const [unready] = this.models.unready
    const error = this.#closing ?? (unready && `model '${unready[0]}': ${unready[1]}`)
    return error === undefined ? json({ ready: true }) : json({ ready: false, error }, unavailable(error))
  }

  #modelReady(place: Place, event: RequestEvent): Response {
    const { model } = place
    try {
      const { unready } = this.#find(place, event).predictor
      const why = this.#closing ?? unready
      if (why !== undefined) throw unavailable(`model '${model}' is not ready: ${why}`)
    } catch (error) {
      const refusal = refusalOf(error)
      if (refusal.status !== 503) throw error
      event.error = refusal.message
      return json({ name: model, ready: false, error: event.error }, refusal)
    }
    return json({ name: model, ready: true })
  }

  /** Promotes or refuses a model version, if `what` says so, and lists all model versions of the workers. */
  #modelVersions(place: Place, event: RequestEvent, what?: 'promote' | 'refuse'): Response {
    const { predictor } = this.#find(place, event)
    const { modelVersion = '' } = place
    if (what) {
      checkOperator(event)
      const ids = predictor.modelVersions().map(({ id }) => id)
      if (!ids.includes(modelVersion))
        throw notFound('the model version', ids.map((id) => `'${id}'`).join(', '), modelVersion)
      predictor[what](modelVersion)
    }
    return json({ name: place.model, model_versions: predictor.modelVersions() })
  }

  /** The recalled answers of the request's tenant. */
  #recalls({ model }: Place, event: RequestEvent): Response {
    event.model = model
    checkModel(event.principal, model)
    const recalls = this.models.recalls(model)
    const asked = Object.fromEntries(new URL(event.request.url).searchParams)
    checkNames('', asked, ['since', 'tenant'])
    const { tenant = '' } = permitted<{ tenant?: string }>(asked, event.principal)
    return json({ name: model, ...recalls.read(tenant, asked.since) })
  }

  #texts(event: RequestEvent, answer: (exchange: Exchange, models: TextModels) => Promise<Message>): Promise<Response> {
    const models: TextModels = {
      find: (model) => this.#find({ model, version: undefined }, event),
      giving: (gives) => this.models.giving(gives).filter((name) => mayAsk(event.principal, name)),
    }
    return this.inference.admit(event, (exchange) => answer(exchange, models))
  }

  #find(place: Pick<Place, 'model' | 'version'>, event: RequestEvent): Served {
    event.model = place.model
    checkModel(event.principal, place.model)
    const served = this.models.find(place.model, place.version)
    event.version = served.version
    return served
  }
}

function json(body: unknown, { status, headers }: Pick<Refusal, 'status' | 'headers'> = { status: 200, headers: {} }) {
  const bytes = new TextEncoder().encode(JSON.stringify(body))
  const all = { 'Content-Type': 'application/json', 'Content-Length': String(bytes.length), ...headers }
  return new Response(bytes, { status, headers: all })
}
