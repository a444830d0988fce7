/** approxifer serve: models behind the Open Inference Protocol, until somebody says stop. */

import { createHash, createPrivateKey, X509Certificate } from 'node:crypto'
import { stat } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { expected } from '../../check'
import { ApproxiferError } from '../../errors'
import { createGateway, fileStore, type GatewayModel } from '../../gateway/create'
import type { Gateway } from '../../gateway/gateway'
import type { PredictorStats } from '../../predictor/predictor'
import { readNamed } from '../files'
import { note } from '../terminal'
import { type Config, type Flags, filesOf, type ModelConfig, readConfig } from './config'
import { Events } from './events'
import { predictorOptions } from './fleet'
import { pathOf, readTokens, Tokens, withOrigins, withToken } from './guard'
import { type Handler, type Listening, listen, problem } from './listen'
import { type Logging, openLog } from './log'
import { Metrics } from './metrics'
import { observer } from './observe'
import type { ServerSettings } from './options'
import { Spans } from './spans'

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
  const read = () => readAll(models, flags)
  const all = await read()
  const server = new Server(all, openLog(all.config.server.log), version)
  await server.listen(all.tls)
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
interface All {
  config: Config
  tokens: readonly string[]
  tls: Tls | undefined
}

async function readAll(models: readonly string[], flags: Flags): Promise<All> {
  const config = await readConfig(models, flags)
  const tokens = await readTokens(config.server.tokenFile, process.env.APPROXIFER_TOKEN)
  return { config, tokens, tls: await readTls(config.server) }
}

/** What SIGHUP reads again; other settings need a restart. */
const RENEWED = ['tokenFile', 'tlsCert', 'tlsKey']

class Server {
  #config: Config
  readonly #tokens: Tokens
  /** What each model was when it was loaded. */
  readonly #loaded = new Map<string, string>()
  readonly #logging: Logging
  readonly #metrics: Metrics
  readonly #events: Events
  readonly #gateway: Gateway<GatewayModel>
  #listening: Listening | undefined
  #state: 'opening' | 'open' | 'closing' = 'opening'
  /** Models are to be read again, since a signal said so when they were loading. */
  isBehind = false

  constructor({ config, tokens }: All, logging: Logging, version: string) {
    const { state, saveEvery, maxBody, maxBodies = 4 * maxBody, maxConnections } = config.server
    const { log } = logging
    this.#config = config
    this.#tokens = new Tokens(tokens)
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
      maxTotalBytes: Math.floor(maxBodies * MIB),
      maxRequests: maxConnections,
      server: { name: 'approxifer', version },
      onWarning: (text) => log.warn(text),
    })
  }

  /** First, so that an address that is taken is known at once, and probes have an answer while models load. */
  async listen(tls: Tls | undefined): Promise<void> {
    const { log } = this.#logging
    const { host, port, cors, headerTimeout, requestTimeout, maxConnections } = this.#config.server
    const limits = { headerMs: headerTimeout * 1000, requestMs: requestTimeout * 1000, maxConnections }
    const onError = (err: unknown) => log.error({ err }, 'a request failed by a fault of the server')
    const refused = ({ method }: Request) => log.info({ route: 'refused', method, status: 401 })
    const handle = withOrigins(cors, withToken(this.#tokens, this.#route, refused))
    this.#listening = await listen(handle, { host, port, tls, onError, ...limits })
    this.#warnOfOpenness()
  }

  #warnOfOpenness(): void {
    if (this.#tokens.count || isLoopback(this.#config.server.host)) return
    this.#logging.log.warn('no token: everybody who reaches this address may ask')
  }

  readonly #route: Handler = (request, connection) => {
    const path = pathOf(request)
    const { method } = request
    const reads = method === 'GET' || method === 'HEAD'
    if (path === '/metrics') return reads ? this.#metrics.response() : otherMethod(method, ['GET', 'HEAD'])
    if (path === '/events') return method === 'GET' ? this.#events.response(request, connection) : otherMethod(method, ['GET']) // biome-ignore format: one line
    if (reads && path === '/v2/health/ready' && this.#state !== 'open') return unready(`it is ${this.#state}`)
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
    const onWarning = (text: string) => log.warn({ model: name, url: this.#listening?.url }, text)
    try {
      const is = await stateOf(model) // first: what changes meanwhile is loaded anew the next time
      await this.#gateway.load(name, await predictorOptions(name, model, onWarning))
      this.#loaded.set(name, is)
    } catch (error) {
      throw named(name, error)
    }
  }

  /**
   * Models that are described in another way than before, or whose files have changed, are loaded anew, and others come and go; tokens and
   * the certificate are replaced. What fails is tried again the next time. Never rejects.
   */
  async reload(read: () => Promise<All>): Promise<void> {
    const { log } = this.#logging
    if (this.#isClosing) return
    try {
      const { config, tokens, tls } = await read()
      const { models } = config
      this.#renew(config.server, tokens, tls)
      if (this.#state !== 'open') {
        this.isBehind = true
        return log.warn('tokens and certificate were read again; models are when all that are loading have been loaded')
      }
      const states = await Promise.all(Object.values(models).map(stateOf))
      const changed = Object.keys(models).filter((name, i) => states[i] !== this.#loaded.get(name))
      const gone = Object.keys(this.#config.models).filter((name) => !Object.hasOwn(models, name))
      const changes = [
        ...changed.map((name) => this.#reload(name, models[name])),
        ...gone.map((name) => this.#unload(name)),
      ]
      const failed = (await Promise.allSettled(changes)).find((change) => change.status === 'rejected')
      if (failed) throw failed.reason
      log.info({ loaded: changed, unloaded: gone }, 'reloaded')
    } catch (err) {
      if (this.#isClosing) return log.info('reloading was given up, since the server is closing')
      log.error({ err }, 'reloading failed; what was served is served on')
    }
  }

  get #isClosing(): boolean {
    return this.#state === 'closing'
  }

  /** Of the server's settings those that can be replaced while it is at work; of the others it is said that they were not. */
  #renew(settings: ServerSettings, tokens: readonly string[], tls: Tls | undefined): void {
    const before = this.#config.server
    const isOther = (name: string) => {
      const [now, then] = [settings, before].map((each) => JSON.stringify(each[name as keyof ServerSettings]))
      return now !== then && !RENEWED.includes(name)
    }
    const others = Object.keys(settings).filter(isOther)
    if ((tls === undefined) !== (before.tlsCert === undefined)) others.push('tlsCert')
    if (others.length) this.#logging.log.warn({ settings: others }, 'these settings have changed, and need a restart')
    if (tls && before.tlsCert !== undefined) this.#listening?.renew(tls)
    const hadTokens = this.#tokens.count > 0
    this.#tokens.replace(tokens)
    this.#events.keep((token) => this.#tokens.admit(token))
    if (hadTokens) this.#warnOfOpenness()
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
    this.#loaded.delete(name)
    await this.#gateway.unload(name)
  }

  onSignal(signal: string): void {
    const { log, flush } = this.#logging
    const before = this.#state
    this.#state = 'closing'
    const isIdle = before === 'opening' && [...this.#stats()].length === 0
    if (before === 'closing' || isIdle) {
      flush()
      process.exit(isIdle ? 0 : 1) // nothing is under way yet; or somebody is tired of waiting
    }
    log.info({ signal }, 'closing: open requests end first')
    flush()
    this.#events.close()
    sleep(this.#config.server.drainDelay * 1000)
      .then(() => this.close(this.#config.server.grace * 1000, before === 'opening' ? SAVE_MS : undefined))
      .then(() => process.exit(0))
      .catch((error) => {
        note(`approxifer: closing failed: ${error?.message ?? error}`)
        process.exit(1)
      })
  }

  /**
   * Takes no more connections, lets what is open end, saves, and closes all.
   *
   * @param saveMs  how long that may take where a model still waits for its workers, which nothing ends
   */
  async close(graceMs: number, saveMs?: number): Promise<void> {
    const { log, flush } = this.#logging
    this.#events.close()
    this.#listening?.stop()
    await this.#listening?.idle(graceMs)
    const closed = this.#gateway.close()
    await (saveMs === undefined ? closed : Promise.race([closed, sleep(saveMs)]))
    const left = (await this.#listening?.end(LAST_WORDS_MS)) ?? 0
    if (left) log.warn({ requests: left }, 'the grace was over before all requests were answered')
    if (this.#state !== 'opening') log.info('closed') // else why it did not open is told
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

function otherMethod(method: string, allowed: readonly string[]): Response {
  return problem(405, expected('the method', allowed.join(' or '), method), { allow: allowed.join(', ') })
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
  if (key.includes('ENCRYPTED')) {
    throw new TypeError(`--tls-key: expected a private key without a passphrase in ${tlsKey}, got an encrypted one`)
  }
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

/** What tells whether a model is described in the same way as before, and its files are the same. */
async function stateOf(model: ModelConfig): Promise<string> {
  const files = filesOf(model).map((file) => stateOfFile(file).catch(() => undefined)) // loading it will say so
  return JSON.stringify([model, await Promise.all(files)])
}

/** Of an address what its server says of the bytes, where it says anything, else what they are. */
async function stateOfFile(file: string): Promise<unknown> {
  if (/^https?:/.test(file)) {
    const { ok, status, headers, body } = await fetch(file)
    const tag = headers.get('etag')
    if (tag === null && ok && body) {
      const bytes = new Uint8Array(await new Response(body).arrayBuffer())
      return createHash('sha256').update(bytes).digest('hex')
    }
    await body?.cancel()
    return [status, tag]
  }
  const { ino, size, mtimeMs } = await stat(file.startsWith('file:') ? new URL(file) : file)
  return [ino, size, mtimeMs]
}

const isLoopback = (host: string) => /^(127\.|localhost$|::1$)/.test(host)
