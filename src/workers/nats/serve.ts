/** A machine's workers in a fleet: they say that they are there, and answer the rows that come for them. */

import { platform } from '#platform'
import { checkInteger, checkNames, checkString, expected, MOST_MS } from '../../check'
import { type Clock, systemClock } from '../../clock'
import { warnOnce } from '../../notices'
import type { ModelWorker } from '../worker'
import {
  checkServer,
  followConnection,
  type NatsConnection,
  type NatsMessage,
  type NatsServer,
  openConnection,
} from './connection'
import { Desk } from './desk'
import { type Beat, checkFleet, isPing, isToken, LEAST_EVERY_MS, subjects, toJson, VERSION } from './messages'
import { describe, verbOf } from './service'
import { randomToken } from './token'

export interface ServeNatsOptions {
  /** Name of the fleet: letters, digits, `-` and `_`. */
  fleet: string
  /** Workers to answer with, such as those of `localWorkers`; `close` closes them. */
  workers: readonly ModelWorker[]
  /** What this machine is called; the workers' names begin with it. Default: host name and process id. */
  name?: string
  /** What tells this machine from others: its workers share it, and have one vote where liars are expected. Default: random. */
  identity?: string
  /** Milliseconds between two heartbeats. Default 500. */
  beatMs?: number
  /** Calls that may wait at a worker behind the one that runs, whoever asked; more are refused. Default 8. */
  maxPending?: number
  /** How long an inference may take before its worker is restarted. Default 30,000 ms. */
  hangMs?: number
  /** Told once per thing worth knowing: what the server refuses. Default: console.warn. */
  onWarning?: (text: string) => void
  /** Time, for tests. Default: the system's. */
  clock?: Clock
}

const optionNames = ['fleet', 'workers', 'name', 'identity', 'beatMs', 'maxPending', 'hangMs', 'onWarning', 'clock']

export interface NatsService {
  /** The workers' names in the fleet; after a restart they are others. */
  readonly names: readonly string[]
  /**
   * Leaves in good order: no coordinator sends any more rows, and those that are here are answered.
   *
   * @param graceMs  after this long they are rejected. Default 10,000 ms
   */
  drain(graceMs?: number): Promise<void>
  /** Leaves at once; closes the workers, and the connection if that was made here. May be called twice. */
  close(): Promise<void>
  /** Resolves when it has left, or the connection was closed for good. */
  readonly closed: Promise<void>
}

/**
 * Lets workers answer for a fleet: in Node, in a browser's tab or on the edge, there with a connection of `wsconnect`. Resolves when
 * they can be found. A server that restarts is joined again, under the same names.
 *
 * @throws TypeError, RangeError for a wrong option; ApproxiferError WORKER where no server answers or the client library is missing
 */
export async function serveNats(server: NatsServer, options: ServeNatsOptions): Promise<NatsService> {
  checkServer(server)
  checkNames('', options, optionNames)
  checkFleet(options.fleet)
  const { workers, name, identity, beatMs, maxPending, hangMs } = options
  if (!Array.isArray(workers) || !workers.length || workers.some((worker) => typeof worker?.infer !== 'function')) {
    throw new TypeError(expected('workers', 'ModelWorkers, one or more', workers))
  }
  if (name !== undefined) checkString('name', name)
  if (identity !== undefined && !isToken(identity)) {
    throw new TypeError(expected('identity', 'letters, digits, - and _', identity))
  }
  checkInteger('beatMs', beatMs ?? LEAST_EVERY_MS, LEAST_EVERY_MS, 60_000)
  checkInteger('maxPending', maxPending ?? 0, 0)
  checkInteger('hangMs', hangMs ?? 1, 1, MOST_MS)
  const { connection, owned } = await openConnection(server)
  const service = new Service(connection, owned, options)
  await connection.flush() // the server has the subscriptions, and who asks finds them
  return service
}

/** After it said that it drains, in which what was sent meanwhile arrives. */
const ON_THEIR_WAY_MS = 100
const GRACE_MS = 10_000

interface Post {
  readonly name: string
  readonly worker: ModelWorker
  readonly desk: Desk
  readonly unlisten: (() => void)[]
}

class Service implements NatsService {
  readonly names: readonly string[]
  readonly closed: Promise<void>
  readonly #connection: NatsConnection
  readonly #owned: boolean
  readonly #options: ServeNatsOptions
  readonly #clock: Clock
  readonly #subjects: ReturnType<typeof subjects>
  readonly #identity: string
  readonly #posts: readonly Post[]
  readonly #unlisten: (() => void)[] = []
  readonly #startedAt = new Date()
  readonly #warn: (text: string) => void
  /** Counts connections. */
  #connections = 1
  #unbeat: (() => void) | undefined
  #draining = false
  #closing: Promise<void> | undefined
  #ended: () => void = () => {}

  constructor(connection: NatsConnection, owned: boolean, options: ServeNatsOptions) {
    const { fleet, workers, clock = systemClock, name = platform.identity() } = options
    this.#connection = connection
    this.#owned = owned
    this.#options = options
    this.#clock = clock
    this.#warn = warnOnce(options.onWarning)
    this.#subjects = subjects(fleet)
    this.closed = new Promise((resolve) => {
      this.#ended = resolve
    })
    const run = randomToken().slice(0, 6)
    const machine = name.replace(/[^\w-]+/g, '_').slice(0, 100)
    this.#identity = options.identity ?? `${machine}-${randomToken()}`
    this.#posts = workers.map((worker, i) => this.#post(`${machine}-${i}-${run}`, worker))
    this.names = this.#posts.map((post) => post.name)
    this.#unlisten.push(
      this.#listen(this.#subjects.rollCall, () => this.#beatAll()),
      this.#listen('$SRV.*', (message) => this.#describeAll(message)),
      this.#listen(`$SRV.*.${fleet}`, (message) => this.#describeAll(message)),
    )
    void followConnection(connection, {
      lost: () => this.#connections++,
      back: () => this.#beatAll(),
      ended: () => void this.close(),
      warn: (text) => this.#warn(text),
    })
    this.#beatOn()
  }

  #post(name: string, worker: ModelWorker): Post {
    const { maxPending = 8, hangMs = 30_000, fleet } = this.#options
    const desk = new Desk(worker, {
      clock: this.#clock,
      maxPending,
      hangMs,
      most: () => this.#connection.info?.max_payload ?? 1_048_576,
      reply: (to, payload) => this.#connection.publish(to, payload),
      changed: () => this.#beat(post),
    })
    const received = ({ data, reply }: NatsMessage) => {
      if (!reply) return
      if (isPing(data)) this.#beat(post)
      else desk.receive(data, reply)
    }
    const post: Post = { name, worker, desk, unlisten: [] }
    post.unlisten.push(
      this.#listen(this.#subjects.worker(name), received),
      this.#listen(`$SRV.*.${fleet}.${name}`, (message) => this.#describe(post, message)),
    )
    return post
  }

  #listen(subject: string, f: (message: NatsMessage) => void): () => void {
    const callback = (error: Error | null, message: NatsMessage) => {
      if (error) this.#warn(`NATS: ${error.message}`)
      else f(message)
    }
    const subscription = this.#connection.subscribe(subject, { callback })
    return () => {
      if (!this.#connection.isClosed()) subscription.unsubscribe()
    }
  }

  async drain(graceMs = GRACE_MS): Promise<void> {
    checkInteger('graceMs', graceMs, 0, MOST_MS)
    if (!this.#draining && !this.#closing) {
      this.#draining = true
      this.#beatAll()
      const { over, cancel } = this.#wait(graceMs)
      const arrived = this.#wait(Math.min(ON_THEIR_WAY_MS, graceMs)).over
      await Promise.race([
        over,
        this.closed,
        arrived.then(() => Promise.all(this.#posts.map(({ desk }) => desk.empty()))),
      ])
      cancel()
    }
    await this.close()
  }

  #wait(ms: number): { over: Promise<void>; cancel: () => void } {
    let cancel = () => {}
    const over = new Promise<void>((resolve) => {
      cancel = this.#clock.after(ms, resolve)
    })
    return { over, cancel }
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    this.#unbeat?.()
    for (const unlisten of [...this.#unlisten, ...this.#posts.flatMap((post) => post.unlisten)]) unlisten()
    for (const post of this.#posts) post.desk.close()
    this.#beatAll('gone')
    if (!this.#connection.isClosed()) await this.#connection.flush().catch(() => {})
    if (this.#owned) await this.#connection.close()
    await Promise.all(this.#posts.map(({ worker }) => worker.close()))
    this.#ended()
  }

  #beatOn(): void {
    this.#unbeat?.()
    this.#beatAll()
    this.#unbeat = this.#clock.after(this.#everyMs, () => this.#beatOn(), true)
  }

  #beatAll(state?: 'gone'): void {
    for (const post of this.#posts) this.#beat(post, state)
  }

  #beat({ name, worker, desk }: Post, state?: 'gone'): void {
    const { signature, fingerprint } = worker
    const beat: Beat = {
      version: VERSION,
      name,
      state: state ?? (this.#draining ? 'draining' : desk.isDown ? 'down' : 'up'),
      everyMs: this.#everyMs,
      connection: this.#connections,
      open: desk.open,
      ms: desk.ms,
      signature,
      fingerprint,
      identity: this.#identity,
    }
    this.#publish(this.#subjects.beat(name), beat)
  }

  get #everyMs(): number {
    return this.#options.beatMs ?? 500
  }

  #describeAll(message: NatsMessage): void {
    for (const post of this.#posts) this.#describe(post, message)
  }

  #describe({ name: id, worker, desk }: Post, { subject, reply }: NatsMessage): void {
    const verb = verbOf(subject)
    if (!verb || !reply) return
    const { fleet } = this.#options
    const stats = { ...desk.stats, open: desk.open, ms: desk.ms }
    const own = { fleet, id, subject: this.#subjects.worker(id), startedAt: this.#startedAt }
    this.#publish(reply, describe(verb, { ...own, fingerprint: worker.fingerprint, stats }))
  }

  #publish(subject: string, value: object): void {
    try {
      this.#connection.publish(subject, toJson(value))
    } catch {} // the connection is being closed
  }
}
