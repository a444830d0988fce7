/** approxifer serve: models behind the Open Inference Protocol, until somebody says stop. */

import { setTimeout as sleep } from 'node:timers/promises'
import { expected } from '../../check'
import { createGateway, fileStore, type GatewayModel } from '../../gateway/create'
import type { Gateway } from '../../gateway/gateway'
import { note } from '../terminal'
import { adminOptions, forOperators } from './admin'
import { type Config, type Flags, readConfig } from './config'
import { Events } from './events'
import { type Certificate, pathOf, readCertificate, readTokens, Tokens, withOrigins, withToken } from './guard'
import { type Connection, type Handler, type Listening, listen, problem } from './listen'
import { Metrics } from './metrics'
import { type Logging, observer, openLog, Spans } from './observe'
import type { ServerSettings } from './options'
import { ServedModels } from './served-models'

/** For the last answers to be written, of queries that were given up. */
const LAST_WORDS_MS = 500
/** To save what the models that are served have learned, while others have not started. */
const SAVE_MS = 2000
const MIB = 2 ** 20

/**
 * Returns when the models are loaded; a signal ends it, and with it the process.
 *
 * @param version  of this package
 * @throws TypeError, RangeError for what cannot be meant; ApproxiferError for models, Error for addresses that cannot be had
 */
export async function serve(models: readonly string[], flags: Flags, version: string): Promise<void> {
  const read = async (): Promise<Everything> => {
    const config = await readConfig(models, flags)
    const tokens = await readTokens(config.server.tokenFile, process.env.APPROXIFER_TOKEN)
    return { config, tokens, certificate: await readCertificate(config.server) }
  }
  const all = await read()
  const server = new ModelServer(all, openLog(all.config.server.log), version)
  await server.listen(all.certificate).catch(async (error) => {
    await server.close(0)
    throw error
  })
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => server.onSignal(signal))
  let reloaded = Promise.resolve()
  const reload = () => {
    reloaded = reloaded.then(() => server.reload(read))
  }
  process.on('SIGHUP', reload)
  try {
    await server.open()
  } catch (error) {
    await server.close(0)
    throw error
  }
  if (server.isBehind) reload()
}

/** All that the command line names, and what is in those files; of models, their description alone. */
interface Everything {
  config: Config
  tokens: readonly string[]
  certificate: Certificate | undefined
}

/** What SIGHUP reads again; other settings need a restart. */
const RENEWED = ['tokenFile', 'tlsCert', 'tlsKey']

class ModelServer {
  readonly #settings: ServerSettings
  readonly #tokens: Tokens
  readonly #logging: Logging
  readonly #metrics: Metrics
  readonly #events: Events
  readonly #gateway: Gateway<GatewayModel>
  readonly #models: ServedModels
  /** On `--port`, and on `--admin-port` where that is given. */
  readonly #listening: Listening[] = []
  #state: 'opening' | 'open' | 'closing' = 'opening'
  /** Models are to be read again, since a signal said so when they were loading. */
  isBehind = false

  constructor({ config, tokens }: Everything, logging: Logging, version: string) {
    const { state, saveEvery, maxBody, maxBodies = 4 * maxBody, maxConnections } = config.server
    const { log } = logging
    this.#settings = config.server
    this.#tokens = new Tokens(tokens)
    this.#logging = logging
    this.#events = new Events(() => this.#metrics.dropped())
    this.#metrics = new Metrics(
      () => this.#models.stats(),
      () => this.#listening[0]?.connections ?? 0,
      () => this.#events.clients,
    )
    this.#gateway = createGateway({
      models: {},
      observe: observer(log, this.#metrics, new Spans(), this.#events, (model) => this.#gateway.names.includes(model)),
      ...(state !== undefined && { store: fileStore(state) }),
      saveEveryMs: saveEvery * 1000,
      maxBytes: Math.floor(maxBody * MIB),
      maxTotalBytes: Math.floor(maxBodies * MIB),
      maxRequests: maxConnections,
      server: { name: 'approxifer', version },
      onWarning: (text) => log.warn(text),
    })
    const warn = (model: string, text: string) => log.warn({ model, url: this.#listening[0]?.url }, text)
    this.#models = new ServedModels(this.#gateway, config.models, warn)
  }

  /** First, so that an address that is taken is known at once, and probes have an answer while models load. */
  async listen(certificate: Certificate | undefined): Promise<void> {
    const { log } = this.#logging
    const { host, port, adminPort, cors, headerTimeout, requestTimeout, maxConnections } = this.#settings
    const limits = { headerMs: headerTimeout * 1000, requestMs: requestTimeout * 1000, maxConnections }
    const onError = (err: unknown) => log.error({ err }, 'a request failed by a fault of the server')
    const refused = ({ method }: Request) => log.info({ route: 'refused', method, status: 401 })
    const guarded = (handle: Handler) => withOrigins(cors, withToken(this.#tokens, handle, refused))
    const answer: Handler = (request) => this.#answer(request)
    const tell: Handler = (request, connection) => this.#tell(request, connection) ?? this.#answer(request)
    const options = { host, port, certificate, onError, ...limits }
    this.#listening.push(await listen(guarded(adminPort === undefined ? tell : answer), options))
    if (adminPort !== undefined) {
      this.#listening.push(await listen(guarded(forOperators(tell)), adminOptions(options, adminPort)))
    }
    this.#warnOfOpenness()
  }

  #warnOfOpenness(): void {
    if (this.#tokens.count || /^(127\.|localhost$|::1$)/.test(this.#settings.host)) return
    this.#logging.log.warn('no token: everybody who reaches this address may ask')
  }

  /** What is told of the server's work. */
  #tell(request: Request, connection: Connection): Promise<Response> | Response | undefined {
    const path = pathOf(request)
    const { method } = request
    if (path === '/metrics') return isRead(method) ? this.#metrics.response() : otherMethod(method, ['GET', 'HEAD'])
    if (path === '/events') return method === 'GET' ? this.#events.response(request, connection) : otherMethod(method, ['GET']) // biome-ignore format: one line
  }

  #answer(request: Request): Promise<Response> | Response {
    const path = pathOf(request)
    const isReady = this.#state === 'open' || path !== '/v2/health/ready' || !isRead(request.method)
    if (!isReady) return unready(`it is ${this.#state}`)
    const isEarly = this.#state === 'opening' && this.#gateway.names.length < this.#models.names.length
    if (!isEarly || path === '/v2/health/live') return this.#gateway(request)
    return path.startsWith('/v2/')
      ? unready('it is opening')
      : problem(503, 'the server is not ready: it is opening', { 'retry-after': '1' }, path)
  }

  async open(): Promise<void> {
    await this.#models.load()
    if (this.#state === 'opening') this.#state = 'open'
    const { names } = this.#models
    const [url, admin] = this.#listening.map((each) => each.url)
    this.#logging.log.info({ url, admin, models: names }, 'ready')
    note(`serving ${names.join(', ')} on ${url}`)
  }

  /** Replaces tokens, certificate and models that have changed. What fails is tried again the next time. Never rejects. */
  async reload(read: () => Promise<Everything>): Promise<void> {
    const { log } = this.#logging
    if (this.#isClosing) return
    try {
      const all = await read()
      this.#renew(all)
      if (this.#state !== 'open') {
        this.isBehind = true
        return log.warn('tokens and certificate were read again; models are when all that are loading have been loaded')
      }
      log.info(await this.#models.reload(all.config.models), 'reloaded')
    } catch (err) {
      if (this.#isClosing) return log.info('reloading was given up, since the server is closing')
      log.error({ err }, 'reloading failed; what was served is served on')
    }
  }

  get #isClosing(): boolean {
    return this.#state === 'closing'
  }

  /** Of the server's settings those that can be replaced while it is at work; of the others it is said that they were not. */
  #renew({ config: { server: settings }, tokens, certificate }: Everything): void {
    const before = this.#settings
    const isOther = (name: string) => {
      const [now, then] = [settings, before].map((each) => JSON.stringify(each[name as keyof ServerSettings]))
      return now !== then && !RENEWED.includes(name)
    }
    const others = Object.keys(settings).filter(isOther)
    if ((certificate === undefined) !== (before.tlsCert === undefined)) others.push('tlsCert')
    if (others.length) this.#logging.log.warn({ settings: others }, 'these settings have changed, and need a restart')
    const secured = certificate && before.tlsCert !== undefined ? this.#listening : []
    for (const each of secured) each.renew(certificate as Certificate)
    const hadTokens = this.#tokens.count > 0
    this.#tokens.replace(tokens)
    this.#events.keep((token) => this.#tokens.admit(token))
    if (hadTokens) this.#warnOfOpenness()
  }

  onSignal(signal: string): void {
    const { log, flush } = this.#logging
    const { drainDelay, grace } = this.#settings
    const before = this.#state
    this.#state = 'closing'
    const isIdle = before === 'opening' && [...this.#models.stats()].length === 0
    if (before === 'closing' || isIdle) {
      flush()
      process.exit(isIdle ? 0 : 1) // nothing is under way yet; or somebody is tired of waiting
    }
    log.info({ signal }, 'closing: open requests end first')
    flush()
    this.#events.close()
    sleep(drainDelay * 1000)
      .then(() => this.close(grace * 1000, before === 'opening' ? SAVE_MS : undefined))
      .then(() => process.exit(0))
      .catch((error) => {
        note(`approxifer: closing failed: ${error?.message ?? error}`)
        process.exit(1)
      })
  }

  /** Ends all. @param saveMs  the most, where a model still waits for its workers, which nothing ends */
  async close(graceMs: number, saveMs?: number): Promise<void> {
    const { log, flush } = this.#logging
    this.#events.close()
    const [main, admin] = this.#listening
    main?.stop()
    await main?.idle(graceMs)
    const closed = this.#gateway.close()
    await (saveMs === undefined ? closed : Promise.race([closed, sleep(saveMs)]))
    const left = (await main?.end(LAST_WORDS_MS)) ?? 0
    await admin?.end(0) // until then probes are told how it stands
    if (left) log.warn({ requests: left }, 'the grace was over before all requests were answered')
    if (this.#state !== 'opening') log.info('closed') // else why it did not open is told
    flush()
  }
}

const isRead = (method: string) => method === 'GET' || method === 'HEAD'

function unready(why: string): Response {
  const body = { ready: false, error: `the server is not ready: ${why}` }
  return Response.json(body, { status: 503, headers: { 'retry-after': '1' } })
}

function otherMethod(method: string, allowed: readonly string[]): Response {
  return problem(405, expected('the method', allowed.join(' or '), method), { allow: allowed.join(', ') })
}
