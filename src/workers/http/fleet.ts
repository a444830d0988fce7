/** Many HTTP servers as workers that join and leave: a server joins once it answers as the others do. */

import { expected } from '../../base/check'
import { ApproxiferError, asError } from '../../base/errors'
import { checkUrl, type EndpointChange, followEndpoints, nameOf } from '../remote/endpoints'
import { MOST_WORKERS, RemoteFleet } from '../remote/fleet'
import { addToGroup, isSameModel, largest, type ModelIdentity, ModelNames } from '../remote/model'
import { type ModelVote, successor } from '../remote/model-votes'
import type { ModelWorker, WorkerChanges } from '../worker'
import { beginning, type FleetServer, machinesOf, votesOf } from './fleet-server'
import { checkHttpOptions, type HttpOptions, type HttpSettings } from './options'
import { identityOf, probedOf } from './probed'
import { HttpWorker, lossOf } from './worker'

/** Servers that are connected to at a time; then other events are handled. */
const AT_ONCE = 20
/** How long the first servers that answer wait for the others before the fleet's model is chosen. */
const ELECTION_MS = 5000

/**
 * A worker for each server. All must have the same model, as judged by their metadata and their answers to a probe query: the model that
 * most servers have at the start. A server with another model gets no queries, with a warning. If later more servers have another model,
 * that one replaces the fleet's, with a warning, and waiting queries are sent again. A server that cannot be reached is tried again for
 * ever, and joins when it answers. Workers are named by host and port.
 *
 * @param servers  base URLs, without `/v2`; or a source of them, for instance `watchFile` or `watchDns`
 * @throws TypeError or RangeError for a wrong option. The iteration throws if no server can be used: ApproxiferError MODEL or PROTOCOL
 *   at once if all are wrong, WORKER after `timeoutMs`
 */
export function httpWorkers(
  servers: readonly (string | URL)[] | AsyncIterable<EndpointChange>,
  options: HttpOptions,
): WorkerChanges {
  const settings = checkHttpOptions(options)
  if (Array.isArray(servers)) {
    if (!servers.length) throw new RangeError('servers: expected at least one, got []')
    const urls = servers.map((url, i) => checkUrl(`servers[${i}]`, url))
    return new HttpFleet(settings, urls).fleet.changes
  }
  const source = servers as AsyncIterable<EndpointChange>
  if (typeof source?.[Symbol.asyncIterator] !== 'function') {
    throw new TypeError(expected('servers', 'an array of URLs, or an async iterable of their changes', servers))
  }
  return new HttpFleet(settings, [], source).fleet.changes
}

class HttpFleet {
  readonly #settings: HttpSettings
  readonly fleet: RemoteFleet<ModelIdentity>
  readonly #servers = new Map<string, FleetServer>()
  readonly #toStart: FleetServer[] = []
  readonly #source: AsyncIterator<EndpointChange> | undefined
  /** Servers that have answered, grouped by model, until the fleet's model is chosen. */
  readonly #votes: FleetServer[][] = []
  readonly #isSame: (a: ModelIdentity, b: ModelIdentity) => boolean
  readonly #names: ModelNames
  readonly #cancelLate: () => void
  #cancelElection: (() => void) | undefined
  #hasStarted = false
  #isAsleep = false
  /** Whether a warning has reported that only models of another signature are left. */
  #isStuck = false
  /** Whether a warning has reported that the runtime allows too few connections. */
  #isLimited = false

  constructor(settings: HttpSettings, urls: readonly string[], source?: AsyncIterable<EndpointChange>) {
    const { clock, warn, timeoutMs, probe } = settings
    this.#isSame = (a, b) => isSameModel(a, b, probe.rounding)
    const most = source ? undefined : new Set(urls.map(nameOf)).size
    this.#settings = settings
    this.#names = new ModelNames(this.#isSame)
    const alongside = async (worker: ModelWorker) => {
      this.#names.learn(await identityOf(worker, probe))
      if (this.fleet.model) this.#admitAll(this.fleet.model) // servers may have joined under another name of this model
    }
    const told = {
      onApart: () => this.#admitOthers(),
      onReturn: () => this.#close(),
      sleep: (isAsleep: boolean) => this.#sleep(isAsleep),
    }
    this.fleet = new RemoteFleet({ clock, warn, most, alongside, ...told })
    // This timer keeps the process alive, since the caller waits for the first workers.
    this.#cancelLate = clock.after(timeoutMs, () => this.#late())
    for (const url of urls) this.#add(url)
    this.#source = source?.[Symbol.asyncIterator]()
    if (this.#source) void this.#follow(this.#source)
  }

  async #follow(source: AsyncIterator<EndpointChange>): Promise<void> {
    const apply = (what: 'add' | 'remove' | 'drain', url: string) => {
      if (this.fleet.changes.isOver) return false
      if (what === 'add') this.#add(url)
      else this.#leave(nameOf(url), what)
      return true
    }
    try {
      await followEndpoints(source, apply, this.#settings.warn)
    } catch (error) {
      const is = asError(error, 'WORKER', 'the list of workers ended: ')
      if (this.#hasStarted) this.#settings.warn(is.message)
      else this.#fail(is)
    }
  }

  #add(url: string): void {
    const name = nameOf(url)
    const known = this.#servers.get(name)
    if (known?.state === 'leaving') known.again = url
    if (known) return
    if (this.#servers.size >= MOST_WORKERS) {
      return this.#settings.warn(`${name} is one server too many: ${MOST_WORKERS} are known`)
    }
    const rest = { worker: undefined, outcome: undefined, vote: undefined, isMissed: false, again: undefined }
    const server: FleetServer = { name, url, state: 'known', ...rest }
    this.#servers.set(name, server)
    if (this.#toStart.push(server) === 1) this.#settings.clock.after(0, () => this.#startSome())
  }

  #startSome(): void {
    this.#compareConnections()
    for (const server of this.#toStart.splice(0, AT_ONCE)) void this.#start(server)
    if (this.#toStart.length) this.#settings.clock.after(0, () => this.#startSome())
  }

  /** Warns once if the servers could be called more often at a time than the runtime allows. */
  #compareConnections(): void {
    const { connections, concurrency, warn } = this.#settings
    const { size } = this.#servers
    if (!connections || this.#isLimited || size * (concurrency ?? 1) <= connections.most) return
    this.#isLimited = true
    const calls = concurrency === undefined ? '' : ` with ${concurrency} ${concurrency === 1 ? 'call' : 'calls'} each`
    const { most } = connections
    warn(
      `${size} HTTP servers${calls}, but this runtime allows ${most} connections at a time: queries wait for a free one`,
    )
  }

  async #start(server: FleetServer): Promise<void> {
    const isWanted = () => this.#servers.get(server.name) === server && !this.fleet.changes.isOver
    if (!isWanted()) return
    try {
      const worker = await HttpWorker.make(server.url, this.#settings, {
        examined: (error) => this.#examined(server, error),
        failed: (error, wasWell) => {
          if (this.#sort(server)) return
          if (wasWell) this.fleet.lost(server.name, ...lossOf(server.name, error))
          this.#reconsider()
        },
        closed: () => this.#left(server),
      })
      if (!isWanted()) return void worker.close()
      server.worker = worker
      if (this.#isAsleep) worker.sleep(true)
      if (this.fleet.model && !this.fleet.isApart) worker.expect(this.fleet.model)
      void worker.health.examine()
    } catch (error) {
      this.#fail(asError(error, 'WORKER')) // `make` rejects where no HTTP client is available
    }
  }

  /** On waking servers are checked, `AT_ONCE` at a time. */
  #sleep(isAsleep: boolean): void {
    this.#isAsleep = isAsleep
    const workers = [...this.#servers.values()].flatMap(({ worker }) => worker ?? [])
    for (const worker of isAsleep ? workers.splice(0) : []) worker.sleep(true)
    const wakeSome = () => {
      if (this.#isAsleep) return
      for (const worker of workers.splice(0, AT_ONCE)) worker.sleep(false)
      if (workers.length) this.#settings.clock.after(0, wakeSome)
    }
    wakeSome()
  }

  /** A joined server's worker is closed by the predictor, others are closed here. */
  #leave(name: string, how: 'remove' | 'drain'): void {
    const server = this.#servers.get(name)
    if (!server) return
    server.again = undefined
    if (server.state === 'leaving') return
    if (server.state === 'joined') {
      server.state = 'leaving'
      this.fleet.leave(name, how)
      return this.#reconsider()
    }
    this.#servers.delete(name)
    void server.worker?.close()
    if (this.fleet.model) return
    for (const group of this.#votes) group.splice(0, group.length, ...group.filter((each) => each !== server))
    this.#elect()
  }

  #left(server: FleetServer): void {
    this.fleet.left(server.name)
    if (this.#servers.get(server.name) !== server) return
    this.#servers.delete(server.name)
    if (server.again !== undefined && !this.fleet.changes.isOver) this.#add(server.again)
  }

  #examined(server: FleetServer, error: ApproxiferError | undefined): void {
    const { outcome, state, name, worker } = server
    server.outcome = error ?? 'well'
    if (!error) this.fleet.well(name)
    if (state !== 'known') return
    if (error && (outcome === 'well' || outcome?.code !== error.code)) {
      server.isMissed = true
      this.#settings.warn(`${error.message}: it is tried again, and joins when it answers`, name)
    }
    if (!error) server.state = 'waiting'
    if (this.fleet.isApart && !error) this.fleet.model ??= worker?.model.found
    if (this.fleet.model) return this.#admit(server, this.fleet.model)
    server.vote = error ? undefined : worker?.model.found
    if (server.vote)
      addToGroup(this.#votes, server, (a, b) => this.#isSame(a.vote as ModelIdentity, b.vote as ModelIdentity))
    this.#elect()
  }

  /** Chooses the fleet's model: the one on most servers, once the servers that have not answered cannot change that, or after ELECTION_MS. */
  #elect(isLate = false): void {
    if (isLate) this.#cancelElection = undefined
    const servers = [...this.#servers.values()]
    const most = largest(this.#votes, machinesOf)
    const [winner] = most
    const isAnswered = this.#areAll(({ outcome }) => outcome)
    const [first] = servers
    // No server can be used, and another try will not help.
    const isHopeless = first && this.#areAll(({ outcome }) => /MODEL|PROTOCOL/.test((outcome as ApproxiferError)?.code))
    if (!winner) return isHopeless ? this.#fail(first.outcome as ApproxiferError) : undefined
    if (!isAnswered && !isLate && 2 * machinesOf(most) <= machinesOf(servers)) {
      this.#cancelElection ??= this.#settings.clock.after(ELECTION_MS, () => this.#elect(true), true)
      return
    }
    this.#cancelElection?.()
    this.#admitAll(winner.vote as ModelIdentity)
  }

  #admitAll(model: ModelIdentity): void {
    const named = this.#take(model)
    for (const server of this.#servers.values()) this.#admit(server, named)
  }

  /** Makes this the fleet's model. It gets a name, which tells its answers from another model's where servers report no fingerprint. */
  #take(model: ModelIdentity): ModelIdentity {
    this.fleet.model = { ...model, name: this.#names.of(model) }
    return this.fleet.model
  }

  /** The server's own model, if models are served separately and its signature is the fleet's. */
  #ownOf({ model: { found } }: HttpWorker): ModelIdentity | undefined {
    const { model, isApart } = this.fleet
    const fits = isApart && JSON.stringify(found?.signature) === JSON.stringify(model?.signature)
    return found && fits ? { ...found, name: this.#names.of(found) } : undefined
  }

  /** If models are served separately, a server whose model was replaced joins again with the new one. @returns whether it does */
  #sort(server: FleetServer): boolean {
    const { worker, state, url, name } = server
    const own = worker?.model.found && !worker.model.isExpected && this.#ownOf(worker)
    if (!own) return false
    if (state === 'known') worker.expect(own)
    if (state !== 'joined') return state === 'known'
    Object.assign(server, { state: 'leaving', again: url })
    this.fleet.leave(name, 'remove')
    return true
  }

  #admitOthers(): void {
    for (const { worker } of this.#servers.values()) {
      const own = worker && this.#ownOf(worker)
      if (own) worker.expect(own)
    }
  }

  #areAll(test: (server: FleetServer) => unknown): boolean {
    for (const server of this.#servers.values()) if (!test(server)) return false
    return true
  }

  /**
   * If more servers have another model, that becomes the fleet's: servers that were refused for it join, and those with the old one are
   * refused.
   */
  #reconsider(): void {
    const before = this.fleet.model
    if (!before || this.fleet.changes.isOver || this.fleet.isApart) return
    const isFitting = ({ signature }: ModelIdentity) => JSON.stringify(signature) === JSON.stringify(before.signature)
    const found = this.fleet.succeed(successor(before, this.#modelVotes(isFitting), this.#isSame, this.fleet.liars))
    if (!found) return this.#isStuck ? undefined : this.#warnIfStuck(before)
    const next = this.#take(found)
    this.#settings.warn(
      `more servers have another model than have the fleet's: it replaces the fleet's; its answer to the probe query begins ${beginning(next)} instead of ${beginning(before)}`,
    )
    for (const { worker } of this.#servers.values()) {
      if (worker?.model.found && this.#isSame(worker.model.found, next)) worker.health.awaited()
    }
    // The model change is announced before the first answer of the new model.
    const probed = probedOf(next, this.#settings.probe)
    this.fleet.changes.push({ model: undefined, modelId: next.name, probed }, () => {
      for (const server of this.#servers.values()) this.#admit(server, next)
    })
  }

  #modelVotes(counts: (model: ModelIdentity) => boolean): Iterable<ModelVote<ModelIdentity>> {
    return votesOf(this.#servers.values(), this.#settings.timeoutMs, counts)
  }

  #warnIfStuck(model: ModelIdentity): void {
    const all = [...this.#modelVotes(() => true)]
    const next = successor(model, all, this.#isSame)
    if (!next || all.some((each) => each.there && this.#isSame(each.model, model))) return
    this.#isStuck = true
    this.#settings.warn(
      `no server that can be reached has the fleet's model any more, and the model of the others has other inputs or outputs (${JSON.stringify(next.signature)}): they are refused, since a predictor's are fixed; start another one for them`,
    )
  }

  /** Lets a server join if it can be reached and has the fleet's model. */
  #admit(server: FleetServer, model: ModelIdentity): void {
    const { worker } = server
    if (!worker || server.state === 'leaving') return
    worker.expect(this.#ownOf(worker) ?? model)
    if (server.state === 'joined') return
    server.state = worker.gone ? 'known' : 'joined'
    if (worker.gone) return
    this.#hasStarted = true
    this.#cancelLate()
    if (server.isMissed) this.#settings.warn(`${worker.name} has joined`, worker.name)
    this.fleet.join(worker)
  }

  #late(): void {
    const servers = [...this.#servers.values()]
    const first = servers.map(({ outcome }) => outcome).find((outcome) => outcome instanceof ApproxiferError)
    const which = servers.length ? `none of ${servers.length} servers can be used` : 'no servers are known'
    const why = first ? `: ${first.message}` : ''
    this.#fail(new ApproxiferError('WORKER', `${which} after ${this.#settings.timeoutMs} ms${why}`))
  }

  #fail(error: ApproxiferError): void {
    this.fleet.changes.end(error)
    this.#close()
  }

  /** Closes the workers that the predictor has not taken; it closes the others itself. */
  #close(): void {
    this.#cancelLate()
    this.#cancelElection?.()
    this.#source?.return?.()?.catch(() => {})
    const untaken = new Set(this.fleet.changes.unread.map((change) => 'add' in change && change.add))
    for (const { worker, state } of this.#servers.values()) {
      if (worker && ((state !== 'joined' && state !== 'leaving') || untaken.has(worker))) void worker.close()
    }
  }
}
