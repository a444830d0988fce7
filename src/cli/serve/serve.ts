/** approxifer serve: models behind the Open Inference Protocol, until somebody says stop. */

import { readFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { createPredictor } from '../../create'
import { stubGateway } from '../../serving/gateway'
import type { PredictorStats } from '../../serving/predictor'
import { note } from '../terminal'
import { type Config, type Flags, readConfig } from './config'
import { Events } from './events'
import { predictorOptions } from './fleet'
import { pathOf, readTokens, withOrigins, withToken } from './guard'
import { type Handler, type Listening, listen, problem } from './listen'
import { type Logging, openLog } from './log'
import { Metrics } from './metrics'
import { observer } from './observe'
import type { ServerSettings } from './options'
import { Spans } from './spans'

type Gateway = ReturnType<typeof stubGateway>

/** For the last answers to be written, of queries that were given up. */
const LAST_WORDS_MS = 500
const MIB = 2 ** 20

/** Returns when the server is ready; a signal ends it, and with it the process. */
export async function serve(models: readonly string[], flags: Flags): Promise<void> {
  const config = await readConfig(models, flags)
  const tokens = await readTokens(config.server.tokenFile, process.env.APPROXIFER_TOKEN)
  const tls = await readTls(config.server)
  const server = new Server(config, openLog(config.server.log))
  await server.listen(tokens, tls)
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => server.onSignal(signal))
  try {
    await server.open()
  } catch (error) {
    await server.close(0)
    throw error
  }
}

class Server {
  readonly #config: Config
  readonly #logging: Logging
  readonly #metrics: Metrics
  readonly #events: Events
  #listening: Listening | undefined
  #gateway: Gateway | undefined
  #stopping = false

  constructor(config: Config, logging: Logging) {
    this.#config = config
    this.#logging = logging
    this.#events = new Events(() => this.#metrics.dropped())
    this.#metrics = new Metrics(
      () => this.#stats(),
      () => this.#listening?.connections() ?? 0,
      () => this.#events.clients,
    )
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
    if (path === '/metrics' && request.method === 'GET') return this.#metrics.response()
    if (path === '/events' && request.method === 'GET') return this.#events.response(request, connection)
    return this.#gateway ? this.#gateway(request) : starting(path)
  }

  /** Loads the models. */
  async open(): Promise<void> {
    const { log } = this.#logging
    const { models, server } = this.#config
    const observe = observer(log, this.#metrics, new Spans(), this.#events)
    const predictors = await Promise.all(
      Object.entries(models).map(async ([name, model]) => {
        const onWarning = (text: string) => log.warn({ model: name }, text)
        return [name, await createPredictor({ ...(await predictorOptions(name, model)), onWarning })] as const
      }),
    )
    this.#gateway = stubGateway(new Map(predictors), observe)
    void server
    const url = this.#listening?.url
    log.info({ url, models: Object.keys(models) }, 'ready')
    note(`serving ${Object.keys(models).join(', ')} on ${url}`)
  }

  onSignal(signal: string): void {
    if (this.#stopping) process.exit(1)
    this.#stopping = true
    this.#logging.log.info({ signal }, 'closing: open requests end first')
    this.#stop().then(
      () => process.exit(0),
      (error) => {
        this.#logging.log.error({ err: error }, 'closing failed')
        process.exit(1)
      },
    )
  }

  async #stop(): Promise<void> {
    const { grace, drainDelay } = this.#config.server
    this.#gateway?.drain()
    this.#events.close()
    await sleep(drainDelay * 1000)
    await this.close(grace * 1000)
  }

  /** Takes no more connections, lets what is open end, saves, and closes all. */
  async close(graceMs: number): Promise<void> {
    const { log, flush } = this.#logging
    this.#events.close()
    this.#listening?.stop()
    await this.#listening?.idle(graceMs)
    await this.#gateway?.close()
    const left = (await this.#listening?.end(LAST_WORDS_MS)) ?? 0
    if (left) log.warn({ requests: left }, 'the grace was over before all requests were answered')
    log.info('closed')
    flush()
  }

  *#stats(): Iterable<[string, PredictorStats]> {
    for (const name of Object.keys(this.#config.models)) {
      const predictor = this.#gateway?.predictor(name)
      if (predictor) yield [name, predictor.stats()]
    }
  }
}

/** While the models load. */
function starting(path: string): Response {
  if (path === '/v2/health/live')
    return new Response('{"live":true}', { headers: { 'content-type': 'application/json' } })
  return problem(503, 'the server is not ready: its models are loading', { 'retry-after': '1' })
}

type Tls = { cert: Buffer; key: Buffer }

async function readTls({ tlsCert, tlsKey }: ServerSettings): Promise<Tls | undefined> {
  if (tlsCert === undefined || tlsKey === undefined) return undefined
  const [cert, key] = await Promise.all([readFile(tlsCert), readFile(tlsKey)])
  return { cert, key }
}

const isLoopback = (host: string) => /^(127\.|localhost$|::1$)/.test(host)
void MIB
