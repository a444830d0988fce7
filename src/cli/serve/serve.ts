/** approxifer serve: an inference server for models, by the Open Inference Protocol, which runs until a signal ends it. */

import { setTimeout as sleep } from 'node:timers/promises'
import { expected } from '../../base/check'
import type { PredictorEvent } from '../../events'
import { createGateway, fileStore, type GatewayModel } from '../../gateway/create'
import type { Gateway } from '../../gateway/gateway'
import type { Principal } from '../../gateway/principal'
import { pathOf } from '../../gateway/routes'
import { note } from '../terminal'
import { adminOptions, forOperators, onAdminPort } from './admin'
import { type Config, type Flags, readConfig, remoteFilesOf } from './config'
import { EventFeed } from './events'
import { type Certificate, readCertificate, withOrigins } from './guard'
import { RequestJournal } from './journal'
import { leave } from './leave'
import { type Connection, type Listening, listen, problem } from './listen'
import { Metrics } from './metrics'
import { whenNpmEnds } from './npm'
import { type Logging, observer, openLog, refusals, Spans, tellMember, tellRecall } from './observe'
import type { ServerSettings } from './options'
import { OverviewFeed } from './overview'
import { OperatorPage } from './page'
import { ServedModels } from './served-models'
import { nextSteps } from './steps'
import {
  type Answering,
  type KnownToken,
  OPEN,
  OPEN_TO_OPERATORS,
  PAGE,
  readTokens,
  Tokens,
  tokenWarnings,
  withToken,
} from './tokens'
import { WatchedFiles } from './watch'

/** After the gateway has closed, its error replies to open requests have this long to be written. */
const FINAL_REPLIES_MS = 500
/** How long a server that has not opened may take to save what its models learned: a model that still waits for workers never ends. */
const SAVE_MS = 2000
const MIB = 2 ** 20

/**
 * Returns when the server is ready; a signal ends it, and with it the process.
 *
 * @param version  of this package
 * @throws TypeError, RangeError for wrong settings; ApproxiferError for a model that cannot be loaded; Error for an address that is taken
 */
export async function serve(models: readonly string[], flags: Flags, version: string): Promise<void> {
  const config = await readConfig(models, flags)
  const server = new ModelServer(config, openLog(config.server.log), version)
  const [tokens, certificate] = [await tokensOf(config), await readCertificate(config.server)]
  await server.listen(tokens, certificate).catch(async (error) => {
    await server.close(0)
    throw error
  })
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => server.onSignal(signal))
  whenNpmEnds(() => server.onNpmEnd())
  let turn = Promise.resolve()
  const renew = (cause: Cause) => {
    turn = turn.then(() => server.renew(() => readConfig(models, flags), cause)).then(watch)
  }
  const files = new WatchedFiles(() => renew('configuration'))
  const remoteFiles = new WatchedFiles(() => renew('remote files'))
  const watch = () => {
    files.watch([...(flags.config === undefined ? [] : [flags.config]), ...server.files])
    remoteFiles.watch(server.remoteFiles)
  }
  process.on('SIGHUP', () => renew('signal'))
  watch()
  try {
    await server.open()
  } catch (error) {
    await server.close(0, SAVE_MS)
    throw error
  }
}

/** What made the server read its configuration again: a changed file, or SIGHUP. */
type Cause = 'configuration' | 'remote files' | 'signal'

/** Settings whose files are read again while the server runs; a change of any other setting needs a restart. */
const RENEWED = ['tokenFile', 'tlsCert', 'tlsKey', 'tlsClientCa'] as const

const tokensOf = ({ server, tokens }: Config) => readTokens(server.tokenFile, process.env.APPROXIFER_TOKEN, tokens)

class ModelServer {
  readonly #settings: ServerSettings
  /** The latest configuration that was valid. */
  #config: Config
  readonly #tokens: Tokens
  readonly #logging: Logging
  readonly #metrics: Metrics
  readonly #overview: OverviewFeed
  readonly #page = new OperatorPage()
  readonly #events: EventFeed
  readonly #gateway: Gateway<GatewayModel>
  readonly #models: ServedModels
  /** The server on `--port` and, if there is an `--admin-port`, the server on that port. */
  readonly #listening: Listening[] = []
  #state: 'opening' | 'open' | 'closing' = 'opening'

  constructor(config: Config, logging: Logging, version: string) {
    const { state, saveEvery, maxBody, maxBodies = 4 * maxBody, maxConnections } = config.server
    const { log } = logging
    this.#settings = config.server
    this.#config = config
    this.#logging = logging
    this.#tokens = new Tokens(config.server.tlsClientCa !== undefined)
    this.#events = new EventFeed(() => this.#metrics.dropped())
    this.#metrics = new Metrics(
      () => this.#models.stats(),
      () => this.#listening[0]?.connections ?? 0,
      () => this.#events.clients,
    )
    this.#overview = new OverviewFeed(
      () => this.#models.stats(),
      () => (config.server.adminPort === undefined ? undefined : Number(new URL(this.#listening[0].url).port)),
    )
    const spans = new Spans()
    const journal = new RequestJournal()
    this.#gateway = createGateway({
      models: {},
      observe: observer(log, this.#metrics, spans, this.#events, journal, (model) =>
        this.#gateway.names.includes(model),
      ),
      traceparent: (request) => spans.begin(request),
      ...(state !== undefined && { store: fileStore(state) }),
      saveEveryMs: saveEvery * 1000,
      maxBytes: Math.floor(maxBody * MIB),
      maxTotalBytes: Math.floor(maxBodies * MIB),
      maxRequests: maxConnections,
      cors: false, // `withOrigins` decides for all paths
      server: { name: 'approxifer', version },
      onWarning: (text) => log.warn(text),
    })
    const warn = (model: string, text: string, worker?: string) =>
      log.warn({ model, ...(worker === undefined ? { url: this.#listening[0]?.url } : { worker }) }, text)
    const context = { gateway: this.#gateway, log, warn }
    const listener = (model: string) => {
      const record = journal.listener()
      return (event: PredictorEvent) => {
        if (event.event === 'recalled') return void tellRecall(log, this.#events, model, event)
        if (event.event === 'joined' || event.event === 'left') tellMember(log, model, event)
        record(event)
        this.#metrics.event(model, event)
        this.#events.tell(model, event)
      }
    }
    this.#models = new ServedModels({ ...context, listener }, config.server.ready)
  }

  /** Called before models load: a taken address fails at once, and health probes get replies meanwhile. */
  async listen(tokens: readonly KnownToken[], certificate: Certificate | undefined): Promise<void> {
    const { log } = this.#logging
    const { host, port, adminPort, cors, headerTimeout, requestTimeout, maxConnections } = this.#settings
    const limits = { headerMs: headerTimeout * 1000, requestMs: requestTimeout * 1000, maxConnections }
    const onError = (err: unknown) => log.error({ err }, 'a request failed by a fault of the server')
    const refused = refusals(log, this.#metrics)
    const tell: Answering = (...asked) => this.#tell(asked[0], asked[1]) ?? this.#answer(...asked)
    const main: Answering = adminPort === undefined ? tell : (...asked) => this.#answer(...asked)
    const guarded = (answer: Answering, open: readonly string[]) =>
      withOrigins(cors, withToken(this.#tokens, answer, refused, open), refused)
    this.#tokens.replace(tokens)
    const options = { host, port, certificate, onError, ...limits }
    this.#listening.push(await listen(guarded(main, adminPort === undefined ? [...OPEN, PAGE] : OPEN), options))
    if (adminPort !== undefined) {
      const operated = onAdminPort(guarded(forOperators(host, tell), OPEN_TO_OPERATORS))
      this.#listening.push(await listen(operated, adminOptions(options, adminPort)))
    }
    this.#warnOfTokens()
  }

  #warnOfTokens(): void {
    const isFar = !/^(127\.|localhost$|::1$)/.test(this.#settings.host)
    if (!this.#tokens.isNeeded && isFar) this.#logging.log.warn('no token: everybody who reaches this address may ask')
    for (const [model, text] of tokenWarnings(this.#tokens, this.#config.models))
      this.#logging.log.warn({ model }, text)
  }

  /** Answers /metrics and /events; undefined for any other path. */
  #tell(request: Request, connection: Connection): Promise<Response> | Response | undefined {
    const path = pathOf(request)
    const { method } = request
    if (path === PAGE) return isRead(method) ? this.#page.response(request) : otherMethod(method, ['GET', 'HEAD'])
    if (path === '/metrics') return isRead(method) ? this.#told(request) : otherMethod(method, ['GET', 'HEAD'])
    if (path === '/events')
      return method === 'GET' ? this.#events.response(request, connection) : otherMethod(method, ['GET'])
  }

  /** Metrics for Prometheus, or as JSON for the operators' page. */
  #told(request: Request): Promise<Response> | Response {
    return request.headers.get('accept') === 'application/json' ? this.#overview.response() : this.#metrics.response()
  }

  #answer(request: Request, _: Connection, principal?: Principal): Promise<Response> | Response {
    const path = pathOf(request)
    if (isRead(request.method) && path === '/v2/health/ready') return this.#ready()
    const [, named = ''] = /^\/v2\/models\/([^/]+)/.exec(path) ?? []
    const missing = this.#models.missing(named)
    if (missing) return unready(missing)
    const isEarly = this.#state === 'opening' && this.#models.isBeginning && !path.startsWith('/v2')
    if (!isEarly) return this.#gateway(request, principal)
    return problem(503, 'the server is not ready: it is opening', { 'retry-after': '1' }, path)
  }

  #ready(): Response {
    const why = this.#state === 'closing' ? 'it is closing' : this.#models.unready
    return why === undefined ? Response.json({ ready: true }) : unready(`the server is not ready: ${why}`)
  }

  async open(): Promise<void> {
    await this.#models.open(this.#config.models)
    if (this.#state === 'opening') this.#state = 'open'
    const { names } = this.#models
    const [url, admin] = this.#listening.map((each) => each.url)
    this.#logging.log.info({ url, admin, models: names }, 'ready')
    note(`serving ${names.join(', ')} on ${url}`)
    if (process.stderr.isTTY) this.#tellSteps()
  }

  /** Lines to copy are not wrapped. */
  #tellSteps(): void {
    const { names } = this.#gateway // with `--ready any` not all are served yet
    const { signature } = this.#gateway.predictor(names[0])
    const urls = this.#listening.map(({ url }) => url)
    process.stderr.write(nextSteps(this.#config, urls, names, signature))
  }

  /** The files of tokens and certificates that the configuration names. */
  get files(): string[] {
    const { server, tokens } = this.#config
    const files = [...RENEWED.map((name) => server[name]), ...tokens.map(({ file }) => file)]
    return files.filter((file) => file !== undefined)
  }

  /** The files of tokens and certificates that models show to their remote workers. */
  get remoteFiles(): string[] {
    return Object.values(this.#config.models).flatMap(remoteFilesOf)
  }

  /** Reads tokens, certificate and configuration again; one that is invalid is logged, and its earlier state stays. Never rejects; does not wait until models have loaded. */
  async renew(read: () => Promise<Config>, cause: Cause): Promise<void> {
    const { log } = this.#logging
    if (this.#isClosing) return
    await this.#renewAccess() // first, so that a revoked token ends at once, even if the configuration is invalid
    const before = JSON.stringify(this.#config)
    try {
      this.#config = await read()
    } catch (err) {
      log.error({ err }, 'reloading failed; what was served is served on')
    }
    const isOther = JSON.stringify(this.#config) !== before
    if (isOther) {
      this.#warnOfSettings(this.#config.server)
      await this.#renewAccess()
    }
    if ((!isOther && cause === 'configuration') || this.#isClosing) return
    this.#models.want(this.#config.models).then((changes) => {
      const isNews = isOther || cause === 'signal' || Object.values(changes).flat().length > 0
      if (isNews && !this.#isClosing) log.info(changes, 'reloaded')
    })
  }

  /** Reads tokens and certificate, each by itself: while a certificate lacks its new key, a revoked token ends all the same. */
  async #renewAccess(): Promise<void> {
    const { log } = this.#logging
    const failed = (what: string) => (err: unknown) =>
      log.error({ err }, `reading ${what} failed: the earlier state stays in use`)
    await tokensOf(this.#config)
      .then((tokens) => this.#renewTokens(tokens))
      .catch(failed('the tokens'))
    const renew = (certificate?: Certificate) => {
      for (const each of this.#listening) if (certificate) each.renew(certificate)
    }
    if (this.#settings.tlsCert !== undefined)
      await readCertificate(this.#config.server).then(renew).catch(failed('the certificate'))
  }

  #renewTokens(tokens: readonly KnownToken[]): void {
    const wasNeeded = this.#tokens.isNeeded
    if (!this.#tokens.replace(tokens)) return
    if (wasNeeded && !this.#tokens.isNeeded) this.#logging.log.warn('no token is left: everybody may ask')
    this.#events.keep((token) => this.#tokens.admit(token))
    this.#logging.log.info({ tokens: tokens.length }, 'tokens were read again')
    this.#warnOfTokens()
  }

  get #isClosing(): boolean {
    return this.#state === 'closing'
  }

  /** Warns of changed settings that need a restart. */
  #warnOfSettings(settings: ServerSettings): void {
    const before = this.#settings
    const isOther = (name: string) => {
      const [now, then] = [settings, before].map((each) => JSON.stringify(each[name as keyof ServerSettings]))
      return now !== then && !(RENEWED as readonly string[]).includes(name)
    }
    const others = Object.keys(settings).filter(isOther)
    for (const name of ['tlsCert', 'tlsClientCa'] as const) {
      if ((settings[name] === undefined) !== (before[name] === undefined)) others.push(name)
    }
    if (others.length) this.#logging.log.warn({ settings: others }, 'these settings have changed, and need a restart')
  }

  /** After Ctrl-C npm may end while the server still answers open requests. */
  onNpmEnd(): void {
    if (this.#isClosing) return
    this.#logging.log.info('npm, which started this server, has ended')
    this.onSignal('SIGTERM')
  }

  onSignal(signal: NodeJS.Signals): void {
    const { log, flush } = this.#logging
    const { drainDelay, grace } = this.#settings
    const before = this.#state
    this.#state = 'closing'
    const isIdle = before === 'opening' && [...this.#models.stats()].length === 0
    if (before === 'closing' || isIdle) {
      flush()
      return void leave(isIdle ? 0 : 1, signal) // no request can be open yet, or this is the second signal
    }
    log.info({ signal }, 'closing: open requests end first')
    flush()
    this.#events.close()
    this.#models.stop()
    sleep(drainDelay * 1000)
      .then(() => this.close(grace * 1000, before === 'opening' ? SAVE_MS : undefined))
      .then(() => leave(0, signal))
      .catch((error) => {
        note(`approxifer: closing failed: ${error?.message ?? error}`)
        return leave(1, signal)
      })
  }

  /** Answers open requests, then closes everything. @param saveMs  limits the gateway's close, where a model may still wait for workers */
  async close(graceMs: number, saveMs?: number): Promise<void> {
    const { log, flush } = this.#logging
    this.#events.close()
    this.#models.stop()
    const [main, admin] = this.#listening
    main?.stop()
    await main?.idle(graceMs)
    const closed = this.#gateway.close()
    await (saveMs === undefined ? closed : Promise.race([closed, sleep(saveMs)]))
    const left = (await main?.end(FINAL_REPLIES_MS)) ?? 0
    await admin?.end(0) // last: until now health probes on this port got replies
    if (left) log.warn({ requests: left }, 'the grace was over before all requests were answered')
    if (this.#state !== 'opening') log.info('closed') // otherwise the caller reports why the server did not open
    flush()
  }
}

const isRead = (method: string) => method === 'GET' || method === 'HEAD'

function unready(error: string): Response {
  const body = { ready: false, error }
  return Response.json(body, { status: 503, headers: { 'retry-after': '1' } })
}

function otherMethod(method: string, allowed: readonly string[]): Response {
  return problem(405, expected('the method', allowed.join(' or '), method), { allow: allowed.join(', ') })
}
