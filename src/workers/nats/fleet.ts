/**
 * Workers behind a NATS server, found by their heartbeats: machines behind other people's routers, browser tabs, the edge. Each has a
 * subject of its own, so that the predictor says who gets which row; `serveNats` answers at the other end.
 */

import { checkInteger, checkNames, checkString, expected, MOST_MS } from '../../check'
import { checksum } from '../../checksum'
import { type Clock, systemClock } from '../../clock'
import { ApproxiferError, asError } from '../../errors'
import { guarded, warnOnce } from '../../notices'
import { readModel } from '../onnx/model-file'
import { type Sighting, successor } from '../remote/succession'
import type { Change } from '../worker'
import {
  checkServer,
  followConnection,
  type NatsConnection,
  type NatsMessage,
  type NatsServer,
  openConnection,
} from './connection'
import { type Beat, checkFleet, decode, decodeBeat, encode, subjects } from './messages'
import { randomToken } from './token'
import { type Call, NatsWorker, type Ping, type Wire } from './worker'

export interface NatsOptions {
  /** Name of the fleet, as `serveNats` and `approxifer work --fleet` have it: letters, digits, `-` and `_`. */
  fleet: string
  /**
   * The model that workers must have, a path, a URL or its bytes. Default: that of the first worker, and where nobody that is there
   * has it any more, that of most of those that are, with a warning.
   */
  model?: string | URL | Uint8Array
  /** In place of `model`, what the workers say of theirs (`approxifer work` prints it). */
  fingerprint?: string
  /** Heartbeats that may be missed before a worker counts as lost, and its calls go to others. Default 3. */
  missed?: number
  /** After how long without a heartbeat a worker is removed. One that is heard again joins again. Default 10,000 ms. */
  forgetMs?: number
  /** Milliseconds within which an inference must begin at the worker; later nobody wants it. Default 10,000. */
  expireMs?: number
  /** Calls that may wait at a worker behind the one that runs, of this coordinator. Default 2. */
  maxPending?: number
  /** What answers are addressed to, where the server's permissions ask for a certain prefix. Default '_INBOX'. */
  inboxPrefix?: string
  /** Told once per thing worth knowing: a worker with another model, what the server refuses. Default: console.warn. */
  onWarning?: (text: string) => void
  /** Time, for tests. Default: the system's. */
  clock?: Clock
}

export const natsOptions = [
  ...['fleet', 'model', 'fingerprint', 'missed', 'forgetMs', 'expireMs', 'maxPending', 'inboxPrefix', 'onWarning'],
  'clock',
]

/**
 * The workers of a fleet, for a predictor's option `workers`: they join, drain and leave as they are heard. Connects when it is
 * first asked; `return` ends it, closes the workers and the connection, if that was made here.
 *
 * A server that restarts costs time: open calls wait, and are asked again when their workers are heard again.
 *
 * @throws TypeError, RangeError for a wrong option; the iteration throws ApproxiferError WORKER where no server answers or the client
 *   library is missing, MODEL where the model cannot be read
 */
export function natsWorkers(server: NatsServer, options: NatsOptions): AsyncIterableIterator<Change> {
  checkServer(server)
  checkNames('', options, natsOptions)
  const { fleet, model, fingerprint, missed, forgetMs, expireMs, maxPending, inboxPrefix } = options
  checkFleet(fleet)
  if (model !== undefined && fingerprint !== undefined) throw new TypeError('fingerprint: expected none beside model')
  if (fingerprint !== undefined) checkString('fingerprint', fingerprint)
  checkInteger('missed', missed ?? 1, 1)
  checkInteger('forgetMs', forgetMs ?? 1, 1, MOST_MS)
  checkInteger('expireMs', expireMs ?? 1, 1, MOST_MS)
  checkInteger('maxPending', maxPending ?? 0, 0)
  if (inboxPrefix !== undefined && !/^[\w-]+(\.[\w-]+)*$/.test(inboxPrefix)) {
    throw new TypeError(expected('inboxPrefix', 'tokens with dots between them', inboxPrefix))
  }
  return new Fleet(server, options)
}

/** Workers of a fleet, and others that were refused: whoever may write to the server can invent any number. */
const MOST = 10_000
/** How often it is looked who was silent for long. */
const SWEEP_MS = 100
/** How long one that was lost has to be there before it is told that it is back: some come and go all the time. */
const STEADY_MS = 1000
/** Beats after which a worker with open calls is asked whether it is there. */
const ASK_AFTER = 1.3

class Fleet implements AsyncIterableIterator<Change>, Wire {
  readonly expireMs: number
  readonly maxPending: number
  readonly #server: NatsServer
  readonly #options: NatsOptions
  readonly #clock: Clock
  readonly #subjects: ReturnType<typeof subjects>
  readonly #inbox: string
  /** By name. Closed ones stay for as long as they are heard, so that they do not join again. */
  readonly #workers = new Map<string, NatsWorker>()
  /** What workers with another model said last, and when. */
  readonly #refused = new Map<string, { beat: Beat; heardAt: number }>()
  /** Workers that were told to be lost, and when they were so last. */
  readonly #lost = new Map<string, number>()
  /** What waits for an answer, by what that is addressed to. */
  readonly #asked = new Map<string, Call | Ping>()
  readonly #changes: Change[] = []
  readonly #waiting: ((result: IteratorResult<Change>) => void)[] = []
  /** Each text once, and however often. */
  readonly #warn: (text: string) => void
  readonly #report: (text: string) => void
  #started: Promise<void> | undefined
  #connection: NatsConnection | undefined
  #owned = false
  /** Of the fleet's model, once that is known; and whether the caller said it, so that there can be no other. */
  #fingerprint: string | undefined
  readonly #isFixed: boolean
  #unsweep: (() => void) | undefined
  /** When the connection was lost; undefined while there is one. And when it was back. */
  #lostAt: number | undefined
  #backAt = Number.NEGATIVE_INFINITY
  #ended = false

  constructor(server: NatsServer, options: NatsOptions) {
    const { fleet, expireMs = 10_000, maxPending = 2, clock = systemClock, inboxPrefix = '_INBOX' } = options
    this.#server = server
    this.#options = options
    this.#isFixed = options.model !== undefined || options.fingerprint !== undefined
    this.#clock = clock
    this.#warn = warnOnce(options.onWarning)
    this.#report = guarded(options.onWarning ?? console.warn)
    this.#subjects = subjects(fleet)
    this.#inbox = `${inboxPrefix}.${randomToken()}`
    this.expireMs = expireMs
    this.maxPending = maxPending
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  async next(): Promise<IteratorResult<Change>> {
    this.#started ??= this.#start()
    try {
      await this.#started
    } catch (error) {
      await this.return()
      throw error
    }
    const change = this.#changes.shift()
    if (change) return { value: change, done: false }
    if (this.#ended) return { value: undefined, done: true }
    return new Promise((resolve) => this.#waiting.push(resolve))
  }

  /** Ends it. May be called twice, and while `next` waits. */
  async return(): Promise<IteratorResult<Change>> {
    this.#end()
    await this.#started?.catch(() => {})
    if (this.#owned) await this.#connection?.close()
    return { value: undefined, done: true }
  }

  async #start(): Promise<void> {
    const { model, fingerprint } = this.#options
    this.#fingerprint = model === undefined ? fingerprint : checksum(await readModel(model))
    const { connection, owned } = await openConnection(this.#server)
    this.#connection = connection
    this.#owned = owned
    if (this.#ended) return
    this.#listen(`${this.#inbox}.*`, (message) => this.#received(message))
    this.#listen(this.#subjects.beats, (message) => this.#heard(message))
    void followConnection(connection, {
      lost: () => this.#interrupted(),
      back: () => this.#resumed(),
      ended: () => this.#end('the connection to NATS was closed'),
      warn: (text) => this.#warn(text),
    })
    connection.publish(this.#subjects.rollCall)
    this.#sweepLater()
  }

  #unlisten: (() => void)[] = []

  #listen(subject: string, f: (message: NatsMessage) => void): void {
    const callback = (error: Error | null, message: NatsMessage) => {
      if (error) this.#warn(`NATS: ${error.message}`)
      else f(message)
    }
    const subscription = (this.#connection as NatsConnection).subscribe(subject, { callback })
    this.#unlisten.push(() => subscription.unsubscribe())
  }

  /** @param why  it ends by itself: for who has the workers, they are gone */
  #end(why?: string): void {
    if (this.#ended) return
    this.#ended = true
    this.#unsweep?.()
    if (why !== undefined) this.#report(why)
    for (const worker of [...this.#workers.values()]) {
      if (why === undefined) void worker.close()
      else this.#remove(worker, why)
    }
    if (!this.#connection?.isClosed()) for (const unlisten of this.#unlisten) unlisten()
    for (const resolve of this.#waiting.splice(0)) resolve({ value: undefined, done: true })
  }

  #tell(change: Change): void {
    const waiting = this.#waiting.shift()
    if (waiting) waiting({ value: change, done: false })
    else this.#changes.push(change)
  }

  // What workers say.

  #heard({ subject, data }: NatsMessage): void {
    let beat: Beat
    try {
      beat = decodeBeat(data)
      if (this.#subjects.beat(beat.name) !== subject)
        throw new ApproxiferError('PROTOCOL', 'heartbeat: of another worker')
    } catch (error) {
      return this.#warn(`${subject}: ${(error as Error).message}`)
    }
    const known = this.#workers.get(beat.name)
    if (known) this.#heardAgain(known, beat)
    else if (isThere(beat)) this.#join(beat)
    else this.#refused.delete(beat.name)
    this.#reconsider()
  }

  #heardAgain(worker: NatsWorker, beat: Beat): void {
    if (beat.fingerprint !== worker.fingerprint) return this.#remove(worker, 'has another model now') // and may join with that
    const before = worker.beat.state
    const wasClosed = worker.state === 'closed'
    worker.hear(beat)
    if (beat.state === 'gone') {
      if (wasClosed) this.#workers.delete(worker.name)
      else this.#remove(worker, 'has left')
    } else if (beat.state === 'draining' && before !== 'draining' && !wasClosed) this.#tell({ drain: worker.name })
  }

  #join(beat: Beat): void {
    if (!this.#isOurs(beat)) return this.#refuse(beat)
    if (this.#workers.size >= MOST) return this.#warn(`${beat.name} is one worker too many: ${MOST} are known`)
    this.#fingerprint ??= beat.fingerprint
    const worker = new NatsWorker(beat, this)
    this.#workers.set(beat.name, worker)
    this.#tell({ add: worker })
  }

  /** Whether its model is the fleet's; of one that does not say its model that is believed, unless the caller wants to know. */
  #isOurs({ fingerprint }: Pick<Beat, 'fingerprint'>): boolean {
    if (this.#fingerprint === undefined || fingerprint === this.#fingerprint) return true
    return fingerprint === undefined && !this.#isFixed
  }

  #refuse(beat: Beat): void {
    const { name, fingerprint = 'unknown' } = beat
    if (!this.#refused.has(name)) {
      this.#warn(`${name} was refused: its model is another (${fingerprint}, not ${this.#fingerprint})`)
    }
    if (this.#refused.size < MOST || this.#refused.has(name)) {
      this.#refused.set(name, { beat, heardAt: this.#clock.now() })
    }
  }

  /** Where nobody is left with the fleet's model, that of most others is: those join, and the lost ones leave. */
  #reconsider(): void {
    if (this.#isFixed || this.#fingerprint === undefined || this.#ended) return
    const next = successor<string | undefined>(this.#fingerprint, this.#seen(), (one, other) => one === other)
    if (next === undefined) return
    this.#fingerprint = next
    for (const worker of [...this.#workers.values()]) {
      if (worker.gone && worker.state !== 'closed')
        this.#remove(worker, 'was lost, and most of the others have another model')
    }
    for (const [name, { beat }] of this.#refused) {
      if (!this.#isOurs(beat)) continue
      this.#refused.delete(name)
      this.#join(beat)
    }
  }

  /** What is known of the workers' models. After an interruption all have a few heartbeats' time to be heard. */
  *#seen(): Generator<Sighting<string | undefined>> {
    const now = this.#clock.now()
    const isBack = this.#lostAt === undefined
    for (const worker of this.#workers.values()) {
      if (worker.state === 'closed' || worker.beat.state === 'draining') continue
      const isWaitedFor = !isBack || now - this.#backAt <= this.#missed * worker.beat.everyMs
      yield { model: this.#fingerprint, there: !worker.gone || isWaitedFor }
    }
    for (const { beat, heardAt } of this.#refused.values()) {
      yield { model: beat.fingerprint, there: now - heardAt <= this.#missed * beat.everyMs }
    }
  }

  #remove(worker: NatsWorker, why: string): void {
    worker.lose(why)
    this.#workers.delete(worker.name)
    this.#tell({ remove: worker.name })
  }

  /** Its calls are for others. It is told once, until it was there for a while. */
  #lose(worker: NatsWorker, why: string): void {
    const { name } = worker
    const [oldest] = this.#lost.keys()
    worker.lose(why)
    if (!this.#lost.has(name)) this.#report(`${name} was lost: it ${why}`)
    this.#lost.set(name, this.#clock.now())
    if (this.#lost.size > MOST) this.#lost.delete(oldest)
  }

  #received({ subject, data, headers }: NatsMessage): void {
    const asked = this.#asked.get(subject.slice(this.#inbox.length + 1))
    if (!asked) return // it is settled, or somebody guesses
    const { worker } = asked
    if (headers?.code === 503 && !data.length) {
      if (worker.state === 'present') this.#lose(worker, 'is gone: nobody listens to its subject')
      this.#reconsider()
    } else if (asked.row) {
      try {
        worker.receive(asked, decode(data))
      } catch (error) {
        worker.fail(asked, asError(error, 'PROTOCOL'))
      }
    }
  }

  // Who is silent.

  #sweepLater(): void {
    const due = this.#clock.now() + SWEEP_MS
    this.#unsweep = this.#clock.after(SWEEP_MS, () => this.#sweep(due), true)
  }

  #sweep(due: number): void {
    const now = this.#clock.now()
    const late = now - due
    // This thread had no time to read, or the machine slept: who could have been heard?
    const unheard = late > SWEEP_MS ? late : 0
    if (this.#lostAt === undefined) for (const worker of [...this.#workers.values()]) this.#look(worker, now, unheard)
    else if (now - this.#lostAt > this.expireMs) for (const worker of this.#workers.values()) worker.lose(OFFLINE)
    for (const [name, { heardAt }] of this.#refused) if (now - heardAt > this.#forgetMs) this.#refused.delete(name)
    this.#reconsider()
    this.#sweepLater()
  }

  #look(worker: NatsWorker, now: number, unheard: number): void {
    worker.heardAt += unheard
    const silence = now - worker.heardAt
    const { everyMs } = worker.beat
    if (silence > this.#forgetMs) {
      const why = `was not heard for ${this.#forgetMs} ms`
      if (worker.state === 'closed') return void this.#workers.delete(worker.name)
      this.#lose(worker, why)
      this.#remove(worker, why)
    } else if (worker.state === 'closed' || worker.state === 'lost') return
    else if (silence > this.#missed * everyMs) this.#lose(worker, `missed ${this.#missed} heartbeats`)
    else if (silence > ASK_AFTER * everyMs && worker.open && worker.asked === undefined) this.#ask(worker)
    const lostAt = this.#lost.get(worker.name)
    if (lostAt === undefined || worker.gone || now - lostAt < STEADY_MS) return
    this.#lost.delete(worker.name)
    this.#report(`${worker.name} is back`)
  }

  /** Asks for a sign of life: where nobody listens any more, the server says so at once. */
  #ask(worker: NatsWorker): void {
    worker.asked = this.open({ worker })
    try {
      this.send(worker.name, encode('ping'), worker.asked)
    } catch {} // the connection is being closed
  }

  get #missed(): number {
    return this.#options.missed ?? 3
  }

  get #forgetMs(): number {
    return this.#options.forgetMs ?? 10_000
  }

  #interrupted(): void {
    if (this.#ended || this.#lostAt !== undefined) return
    this.#lostAt = this.#clock.now()
    this.#report('the connection to NATS was lost: it is tried again for ever')
    for (const worker of this.#workers.values()) worker.interrupt()
  }

  #resumed(): void {
    if (this.#lostAt !== undefined) this.#report('the connection to NATS is back')
    this.#lostAt = undefined
    this.#backAt = this.#clock.now()
    for (const worker of this.#workers.values()) worker.heardAt = this.#clock.now() // they could not be heard before
    this.#connection?.publish(this.#subjects.rollCall)
  }

  // The wire of its workers.

  get most(): number {
    return this.#connection?.info?.max_payload ?? 1_048_576
  }

  now(): number {
    return this.#clock.now()
  }

  open(asked: Call | Ping): string {
    const key = randomToken()
    this.#asked.set(key, asked)
    return key
  }

  forget(key: string): void {
    this.#asked.delete(key)
  }

  send(worker: string, payload: Uint8Array, key: string): void {
    this.#connection?.publish(this.#subjects.worker(worker), payload, { reply: `${this.#inbox}.${key}` })
  }

  closed(worker: NatsWorker): void {
    if (this.#ended) this.#workers.delete(worker.name)
  }
}

/** Whether it takes rows, now or in a moment. */
const isThere = ({ state }: Beat) => state === 'up' || state === 'down'

const OFFLINE = 'cannot be reached: there is no connection to NATS'
