/** approxifer serve: models behind the Open Inference Protocol, until somebody says stop. */

import { createPrivateKey, X509Certificate } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { createGateway, fileStore, type GatewayModel } from '../../create-gateway'
import { ApproxiferError } from '../../errors'
import type { Gateway } from '../../serving/gateway'
import type { PredictorStats } from '../../serving/predictor'
import { readNamed } from '../files'
import { note } from '../terminal'
import { type Config, type Flags, isElsewhere, type ModelConfig, readConfig } from './config'
import { Events } from './events'
import { predictorOptions } from './fleet'
import { pathOf, readTokens, withOrigins, withToken } from './guard'
import { type Handler, type Listening, listen } from './listen'
import { type Logging, openLog } from './log'
import { Metrics } from './metrics'
import { observer } from './observe'
import type { ServerSettings } from './options'
import { Spans } from './spans'

/** For the last answers to be written, of queries that were given up. */
const LAST_WORDS_MS = 500
/** For workers elsewhere to join, before it is said that they have not. */
const WAIT_MS = 3000
const MIB = 2 ** 20

/**
 * Returns when the models are loaded; a signal ends it, and with it the process.
 *
 * @param version  of this package
 * @throws TypeError, RangeError for what cannot be meant; ApproxiferError for models, Error for addresses that cannot be had
 */
export async function serve(models: readonly string[], flags: Flags, version: string): Promise<void> {
  const read = () => readConfig(models, flags)
  const config = await read()
  const tokens = await readTokens(config.server.tokenFile, process.env.APPROXIFER_TOKEN)
  const tls = await readTls(config.server)
  const server = new Server(config, openLog(config.server.log), version)
  await server.listen(tokens, tls)
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => server.onSignal(signal))
  let reloaded = Promise.resolve()
  process.on('SIGHUP', () => {
    reloaded = reloaded.then(() => server.reload(read))
  })
  try {
    await server.open()
  } catch (error) {
    await server.close(0)
    throw error
  }
}

class Server {
  #config: Config
  readonly #logging: Logging
  readonly #metrics: Metrics
  readonly #events: Events
  readonly #gateway: Gateway<GatewayModel>
  #listening: Listening | undefined
  #state: 'opening' | 'open' | 'closing' = 'opening'

  constructor(config: Config, logging: Logging, version: string) {
    const { state, saveEvery, maxBody, maxConnections } = config.server
    const { log } = logging
    this.#config = config
    this.#logging = logging
    this.#events = new Events(() => this.#metrics.dropped())
    this.#metrics = new Metrics(
      () => this.#stats(),
      () => this.#listening?.connections() ?? 0,
      () => this.#events.clients,
    )
    this.#gateway = createGateway({
      models: {},
      observe: observer(log, this.#metrics, new Spans(), this.#events, (model) => this.#gateway.names.includes(model)),
      ...(state !== undefined && { store: fileStore(state) }),
      saveEveryMs: saveEvery * 1000,
      maxBytes: Math.floor(maxBody * MIB),
      maxRequests: maxConnections,
      server: { name: 'approxifer', version },
      onWarning: (text) => log.warn(text),
    })
  }

  /** First, so that an address that is taken is known at once, and probes have an answer while models load. */
  async listen(tokens: readonly string[], tls: Tls | undefined): Promise<void> {
    const { log } = this.#logging
    const { host, port, cors, headerTimeout, requestTimeout, maxConnections } = this.#config.server
    const limits = { headerMs: headerTimeout * 1000, requestMs: requestTimeout * 1000, maxConnections }
    const onError = (err: unknown) => log.error({ err }, 'a request failed by a fault of the server')
    const refused = ({ method }: Request) => log.info({ route: 'refused', method, status: 401 })
    const handle = withOrigins(cors, withToken(tokens, this.#route, refused))
    this.#listening = await listen(handle, { host, port, tls, onError, ...limits })
    if (!tokens.length && !isLoopback(host)) log.warn('no token: everybody who reaches this address may ask')
  }

  readonly #route: Handler = (request, connection) => {
    const path = pathOf(request)
    if (request.method === 'GET') {
      if (path === '/metrics') return this.#metrics.response()
      if (path === '/events') return this.#events.response(request, connection)
      if (path === '/v2/health/ready' && this.#state !== 'open') return unready(`it is ${this.#state}`)
    }
    const known = this.#gateway.names.length >= Object.keys(this.#config.models).length
    if (this.#state === 'opening' && !known && path !== '/v2/health/live') return unready('it is opening')
    return this.#gateway(request)
  }

  /** Loads the models. */
  async open(): Promise<void> {
    const { models } = this.#config
    const names = Object.keys(models)
    const loads = await Promise.allSettled(names.map((name) => this.#load(name, models[name])))
    const failed = loads.find((load) => load.status === 'rejected')
    if (failed) throw failed.reason
    if (this.#state === 'opening') this.#state = 'open'
    const url = this.#listening?.url
    this.#logging.log.info({ url, models: names }, 'ready')
    note(`serving ${names.join(', ')} on ${url}`)
  }

  async #load(name: string, model: ModelConfig): Promise<void> {
    const { log } = this.#logging
    const onWarning = (text: string) => log.warn({ model: name }, text)
    const wait = () => log.warn({ model: name }, 'waits for workers: fewer than its scheme needs have joined')
    const waiting = isElsewhere(model.workers) ? setTimeout(wait, WAIT_MS) : undefined
    try {
      await this.#gateway.load(name, await predictorOptions(name, model, onWarning))
    } catch (error) {
      throw named(name, error)
    } finally {
      clearTimeout(waiting)
    }
  }

  /**
   * Models that are described in another way than before are loaded anew, and others come and go; so does the certificate. What fails
   * is tried again the next time. Never rejects.
   */
  async reload(read: () => Promise<Config>): Promise<void> {
    const { log } = this.#logging
    if (this.#state !== 'open') return
    try {
      const { models, server } = await read()
      const tls = await readTls(server)
      if (tls) this.#listening?.renew(tls)
      const before = this.#config.models
      const changed = Object.keys(models).filter(
        (name) => JSON.stringify(models[name]) !== JSON.stringify(before[name]),
      )
      const gone = Object.keys(before).filter((name) => !Object.hasOwn(models, name))
      const changes = [
        ...changed.map((name) => this.#reload(name, models[name])),
        ...gone.map((name) => this.#unload(name)),
      ]
      const failed = (await Promise.allSettled(changes)).find((change) => change.status === 'rejected')
      if (failed) throw failed.reason
      log.info({ loaded: changed, unloaded: gone }, 'reloaded')
    } catch (err) {
      log.error({ err }, 'reloading failed; what was served is served on')
    }
  }

  async #reload(name: string, model: ModelConfig): Promise<void> {
    const isNew = !Object.hasOwn(this.#config.models, name)
    try {
      await this.#load(name, model)
    } catch (error) {
      if (isNew && this.#gateway.names.includes(name)) await this.#gateway.unload(name) // the server is ready without it
      throw error
    }
    this.#config.models[name] = model
  }

  async #unload(name: string): Promise<void> {
    delete this.#config.models[name]
    await this.#gateway.unload(name)
  }

  onSignal(signal: string): void {
    const { log, flush } = this.#logging
    const before = this.#state
    this.#state = 'closing'
    if (before !== 'open') {
      flush()
      process.exit(before === 'opening' ? 0 : 1) // nothing is under way yet; or somebody is tired of waiting
    }
    log.info({ signal }, 'closing: open requests end first')
    flush()
    this.#events.close()
    sleep(this.#config.server.drainDelay * 1000)
      .then(() => this.close(this.#config.server.grace * 1000))
      .then(() => process.exit(0))
      .catch((error) => {
        note(`approxifer: closing failed: ${error?.message ?? error}`)
        process.exit(1)
      })
  }

  /** Takes no more connections, lets what is open end, saves, and closes all. */
  async close(graceMs: number): Promise<void> {
    const { log, flush } = this.#logging
    this.#events.close()
    this.#listening?.stop()
    await this.#listening?.idle(graceMs)
    await this.#gateway.close()
    const left = (await this.#listening?.end(LAST_WORDS_MS)) ?? 0
    if (left) log.warn({ requests: left }, 'the grace was over before all requests were answered')
    log.info('closed')
    flush()
  }

  *#stats(): Iterable<[string, PredictorStats]> {
    for (const name of this.#gateway.names) {
      try {
        yield [name, this.#gateway.predictor(name).stats()]
      } catch {} // it is loading
    }
  }
}

function unready(why: string): Response {
  const headers = { 'content-type': 'application/json', 'retry-after': '1' }
  return new Response(JSON.stringify({ ready: false, error: `the server is not ready: ${why}` }), {
    status: 503,
    headers,
  })
}

/** An error that says which model it is about. */
function named(name: string, error: unknown): unknown {
  if (!(error instanceof Error)) return error
  const message = `${name}: ${error.message}`
  if (error instanceof ApproxiferError) return new ApproxiferError(error.code, message, { cause: error })
  if (error instanceof TypeError) return new TypeError(message, { cause: error })
  if (error instanceof RangeError) return new RangeError(message, { cause: error })
  return error
}

type Tls = { cert: Buffer; key: Buffer }

async function readTls({ tlsCert, tlsKey }: ServerSettings): Promise<Tls | undefined> {
  if (tlsCert === undefined || tlsKey === undefined) return undefined
  const cert = await readNamed('--tls-cert', tlsCert)
  const key = await readNamed('--tls-key', tlsKey)
  const [leaf, secret] = [
    parsed(`--tls-cert: expected a certificate chain in PEM in ${tlsCert}`, () => new X509Certificate(cert)),
    parsed(`--tls-key: expected a private key in PEM in ${tlsKey}`, () => createPrivateKey(key)),
  ]
  if (leaf.checkPrivateKey(secret)) return { cert, key }
  throw new TypeError(`--tls-key: expected the key of the certificate ${tlsCert}, got another one in ${tlsKey}`)
}

function parsed<T>(what: string, parse: () => T): T {
  try {
    return parse()
  } catch (error) {
    throw new TypeError(`${what}, got what ends in ${(error as Error).message}`, { cause: error })
  }
}

const isLoopback = (host: string) => /^(127\.|localhost$|::1$)/.test(host)
