/** Many servers as workers that come and go: each joins once it answers, and answers as the others do. */

import { ApproxiferError, asError, expected } from '../../errors'
import { Election } from '../remote/election'
import { checkChange, checkUrl, type EndpointChange, nameOf } from '../remote/endpoints'
import { MOST_WORKERS, RemoteFleet } from '../remote/fleet'
import { isSameModel, type ModelIdentity } from '../remote/model-identity'
import { type Sighting, successor } from '../remote/succession'
import type { WorkerChanges } from '../worker'
import { checkHttpOptions, type HttpOptions, type HttpSettings } from './options'
import { HttpWorker, lossOf } from './worker'

/** Servers that are started at once; then everything else has its turn. */
const AT_ONCE = 20

/**
 * Workers for a predictor, one for each server. All must have one model: the one of most servers that answer first, by their metadata and
 * their answers to a probe query. A server with another gets no rows, with a warning. When no server that is there has that model any
 * more, the one of most servers that are there takes its place, with a warning. What cannot be reached is tried for ever, and joins when
 * it is there. Workers are named by host and port.
 *
 * @param servers  URLs, in front of `/v2`; or where to learn of them, such as `watchFile` or `watchDns`
 * @throws TypeError, RangeError for a wrong option. The iterable throws where no server at all can be used: ApproxiferError MODEL or
 *   PROTOCOL at once where all are wrong, WORKER after `timeoutMs`
 */
export function httpWorkers(
  servers: readonly (string | URL)[] | AsyncIterable<EndpointChange>,
  options: HttpOptions,
): WorkerChanges {
  const settings = checkHttpOptions(options)
  if (Array.isArray(servers)) {
    if (!servers.length) throw new RangeError('servers: expected at least one, got []')
    const urls = servers.map((url, i) => checkUrl(`servers[${i}]`, url))
    const fleet = new HttpFleet(settings, { most: new Set(urls.map(nameOf)).size })
    for (const url of urls) fleet.add(url)
    return fleet.changes
  }
  const source = servers as AsyncIterable<EndpointChange>
  if (typeof source?.[Symbol.asyncIterator] !== 'function') {
    throw new TypeError(expected('servers', 'an array of URLs, or an async iterable of their changes', servers))
  }
  const iterator = source[Symbol.asyncIterator]()
  const fleet = new HttpFleet(settings, { iterator })
  void fleet.follow(iterator)
  return fleet.changes
}

interface FleetServer {
  readonly name: string
  readonly url: string
  worker: HttpWorker | undefined
  /** `known` until it has answered, `waiting` until it joins, `leaving` until its worker is closed. */
  state: 'known' | 'waiting' | 'joined' | 'leaving'
  /** Of its last examination. */
  outcome: ApproxiferError | 'well' | undefined
  /** A warning said that it could not join. */
  isMissed: boolean
  /** Its URL, where it was added again while it was leaving. */
  again: string | undefined
}

class HttpFleet {
  readonly #settings: HttpSettings
  readonly #fleet: RemoteFleet<ModelIdentity>
  readonly #election: Election<ModelIdentity>
  readonly #servers = new Map<string, FleetServer>()
  readonly #toStart: FleetServer[] = []
  readonly #source: AsyncIterator<EndpointChange> | undefined
  /** Ends the hold on the process. */
  readonly #release: () => void
  /** Servers that have joined and are not closed; and whether any ever has. */
  #joined = 0
  #hasStarted = false
  /** A warning said that only models with other inputs or outputs are left. */
  #isStuck = false

  /** @param how  `most`: servers that will ever be added; `iterator`: what says which come and go */
  constructor(settings: HttpSettings, how: { most?: number; iterator?: AsyncIterator<EndpointChange> }) {
    const { clock, warn, timeoutMs } = settings
    this.#settings = settings
    this.#source = how.iterator
    this.#fleet = new RemoteFleet({ isSame: this.#isSame, clock, warn, most: how.most, onReturn: () => this.#close() })
    this.#election = new Election(clock, this.#isSame, (model) => this.#elected(model))
    // The only timer that holds the process: somebody waits for the first workers.
    this.#release = clock.after(timeoutMs, () => this.#late())
  }

  get changes(): WorkerChanges {
    return this.#fleet.changes
  }

  readonly #isSame = (a: ModelIdentity, b: ModelIdentity) => isSameModel(a, b, this.#settings.probe.rounding)

  async follow(source: AsyncIterator<EndpointChange>): Promise<void> {
    try {
      for (let next = await source.next(); !next.done && !this.#isOver; next = await source.next()) {
        this.#apply(next.value)
      }
    } catch (error) {
      const is = asError(error, 'WORKER', 'the list of workers ended: ')
      if (this.#hasStarted) this.#settings.warn(is.message)
      else this.#fail(is)
    }
  }

  get #isOver(): boolean {
    return this.#fleet.changes.isOver
  }

  /** What makes no sense changes nothing. */
  #apply(change: unknown): void {
    try {
      const { what, url } = checkChange(change)
      if (what === 'add') this.add(url)
      else this.#leave(nameOf(url), what)
    } catch (error) {
      this.#settings.warn(`the list of workers: ${asError(error, 'WORKER').message}`)
    }
  }

  add(url: string): void {
    const name = nameOf(url)
    const known = this.#servers.get(name)
    if (known?.state === 'leaving') known.again = url
    if (known) return
    if (this.#servers.size >= MOST_WORKERS) {
      return this.#settings.warn(`${name} is one server too many: ${MOST_WORKERS} are known`)
    }
    const rest = { worker: undefined, outcome: undefined, isMissed: false, again: undefined }
    const server: FleetServer = { name, url, state: 'known', ...rest }
    this.#servers.set(name, server)
    this.#election.enter(name)
    if (this.#toStart.push(server) === 1) this.#settings.clock.after(0, () => this.#startSome())
  }

  #startSome(): void {
    for (const server of this.#toStart.splice(0, AT_ONCE)) void this.#start(server)
    if (this.#toStart.length) this.#settings.clock.after(0, () => this.#startSome())
  }

  async #start(server: FleetServer): Promise<void> {
    const isWanted = () => this.#servers.get(server.name) === server && !this.#isOver
    if (!isWanted()) return
    try {
      const worker = await HttpWorker.make(server.url, this.#settings, {
        examined: (error) => this.#examined(server, error),
        failed: (error, wasWell) => this.#failed(server, error, wasWell),
        closed: () => this.#left(server),
      })
      if (!isWanted()) return void worker.close()
      server.worker = worker
      if (this.#fleet.model) worker.expect(this.#fleet.model)
      void worker.examine()
    } catch (error) {
      this.#fail(asError(error, 'WORKER')) // nothing speaks HTTP here
    }
  }

  /** The worker of one that has joined is closed by whoever has it. */
  #leave(name: string, how: 'remove' | 'drain'): void {
    const server = this.#servers.get(name)
    if (!server) return
    server.again = undefined
    if (server.state === 'leaving') return
    if (server.state === 'joined') {
      server.state = 'leaving'
      this.#fleet.leave(name, how)
      return this.#reconsider()
    }
    this.#servers.delete(name)
    void server.worker?.close()
    if (!this.#fleet.model) this.#election.leave(name)
  }

  #left(server: FleetServer): void {
    this.#fleet.left(server.name)
    if (this.#servers.get(server.name) !== server) return
    this.#servers.delete(server.name)
    this.#joined--
    if (server.again !== undefined && !this.#isOver) this.add(server.again)
  }

  #failed({ name }: FleetServer, error: ApproxiferError, wasWell: boolean): void {
    if (wasWell) this.#fleet.lost(name, ...lossOf(name, error))
    this.#reconsider()
  }

  #examined(server: FleetServer, error: ApproxiferError | undefined): void {
    const { outcome, state, name, worker } = server
    server.outcome = error ?? 'well'
    if (!error) this.#fleet.well(name)
    if (state !== 'known') return
    if (error && (outcome === 'well' || outcome?.code !== error.code)) {
      server.isMissed = true
      this.#settings.warn(`${error.message}: it is tried again, and joins when it answers`)
    }
    if (!error) server.state = 'waiting'
    if (this.#fleet.model) this.#admit(server, this.#fleet.model)
    else this.#election.vote(name, error ? undefined : worker?.model)
  }

  #elected(model: ModelIdentity | undefined): void {
    if (!model) return this.#failIfHopeless()
    this.#fleet.model = model
    for (const server of this.#servers.values()) this.#admit(server, model)
  }

  /** No server can be used, and to ask again will not help. */
  #failIfHopeless(): void {
    const errors = [...this.#servers.values()].map(({ outcome }) => outcome as ApproxiferError)
    if (errors.length && errors.every(({ code }) => code === 'MODEL' || code === 'PROTOCOL')) this.#fail(errors[0])
  }

  /** Where no server that is there has the fleet's model, that of most others takes its place: those that were refused join. */
  #reconsider(): void {
    const before = this.#fleet.model
    if (!before || this.#isOver) return
    const isFitting = ({ signature }: ModelIdentity) => JSON.stringify(signature) === JSON.stringify(before.signature)
    const next = this.#fleet.succeed(this.#sightings(isFitting))
    if (!next) return this.#isStuck ? undefined : this.#warnIfStuck(before)
    this.#settings.warn(`no server that is there has the fleet's model any more: its model from here on is that of the others, whose answer to the probe query begins ${beginning(next)} instead of ${beginning(before)}`) // biome-ignore format: one line
    // What was learned of the old one is forgotten before the first row is answered by the new one.
    this.#fleet.changes.push({ model: undefined }, () => {
      for (const server of this.#servers.values()) this.#admit(server, next)
    })
  }

  /** What is known of the servers' models; one that was down for long will not come back as it was. */
  *#sightings(counts: (model: ModelIdentity) => boolean): Generator<Sighting<ModelIdentity>> {
    for (const { worker, state } of this.#servers.values()) {
      const model = worker?.model
      if (!worker || !model || state === 'leaving' || !counts(model)) continue
      if (worker.isThere || worker.downMs < this.#settings.timeoutMs) yield { model, there: worker.isThere }
    }
  }

  #warnIfStuck(model: ModelIdentity): void {
    const all = this.#sightings(() => true)
    const next = successor(model, all, this.#isSame)
    if (!next) return
    this.#isStuck = true
    this.#settings.warn(`no server that is there has the fleet's model any more, and that of the others has other inputs or outputs (${JSON.stringify(next.signature)}): they are refused, since a predictor's are fixed; start another one for them`) // biome-ignore format: one line
  }

  /** It joins if it is well, and has the fleet's model. */
  #admit(server: FleetServer, model: ModelIdentity): void {
    const { worker } = server
    if (!worker || server.state === 'leaving') return
    worker.expect(model)
    if (server.state === 'joined') return
    if (worker.gone) {
      server.state = 'known'
      return
    }
    server.state = 'joined'
    this.#hasStarted = true
    if (server.isMissed) this.#settings.warn(`${worker.name} has joined`)
    this.#fleet.join(worker)
    if (++this.#joined === this.#servers.size) this.#release()
  }

  #late(): void {
    if (this.#hasStarted) return
    const servers = [...this.#servers.values()]
    const first = servers.map(({ outcome }) => outcome).find((outcome) => outcome instanceof ApproxiferError)
    const which = servers.length ? `none of ${servers.length} servers can be used` : 'no servers are known'
    const why = first ? `: ${first.message}` : ''
    this.#fail(new ApproxiferError('WORKER', `${which} after ${this.#settings.timeoutMs} ms${why}`))
  }

  #fail(error: ApproxiferError): void {
    this.#fleet.end(error)
    this.#close()
  }

  /** Workers that somebody has taken are his to close. */
  #close(): void {
    this.#release()
    this.#election.close()
    this.#source?.return?.()?.catch(() => {})
    const untaken = new Set(this.#fleet.changes.unread.map((change) => 'add' in change && change.add))
    for (const { worker, state } of this.#servers.values()) {
      if (worker && ((state !== 'joined' && state !== 'leaving') || untaken.has(worker))) void worker.close()
    }
  }
}

/** The first few values of an answer. */
const beginning = ({ answer }: ModelIdentity) =>
  Array.from(answer.subarray(0, 3), (value) => value.toPrecision(4)).join(', ')
