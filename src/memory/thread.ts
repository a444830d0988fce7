/** A memory in a thread of its own: lookups and answers to learn are messages, so that they hold up no query. */

import type { Clock } from '../base/clock'
import { ApproxiferError } from '../base/errors'
import { afterRunning } from '../base/standstill'
import type { DeviationState } from '../base/stats'
import type { Thread } from '../platform/platform'
import type { Graded } from './calibration'
import type { Spread } from './confidence'
import { averaged, type MemoryHost, type OnFound, type Taken, type TrainingStep, WAITING } from './host'
import {
  type Envelope,
  type MemoryPlan,
  type MemorySnapshot,
  type Order,
  ordersIn,
  type Replies,
  type Report,
} from './messages'

/** The most bytes of queries and answers that are on their way to the thread or wait there; a single one is always sent. */
const MOST_BYTES = 2 ** 24
/** Bounds of the time after which a lookup without a reply is given up, ms: timers are no finer, and a thread may hang. */
const LEAST_MS = 2
const MOST_MS = 10_000
/**
 * A lookup may wait for earlier lookups for this share of the time within which it is useful, since a query that gets nothing is delayed by that wait
 * (`bench overload-memory`: 40 % of the queries are remembered with .12, .25 and .5, and 1 % with 1, where nearly all lookups are too late).
 */
const QUEUED = 0.25
/** A thread that has said nothing after this time has no working script. */
const START_MS = 10_000
/** The most time for learning what waits and saving everything. */
const TAKE_MS = 30_000

/** Starts a thread that runs the worker's script. @param onDeath  called when the thread ends */
export type Spawn = (onDeath: (why: string) => void) => Thread

/** One thread for all memories of a predictor. It is started when there is something to remember. */
export class MemoryThread {
  /** Moving average of the time of a lookup, ms. */
  lookupMs = Number.POSITIVE_INFINITY
  /** Whether the thread has died or could not be started. */
  isLost = false
  readonly #clock: Clock
  readonly #spawn: Spawn
  #thread: Thread | undefined
  readonly #memories = new Map<number, ThreadMemory>()
  #opened = 0
  /** Orders that are sent at the end of this turn. */
  #orders: Order[] = []
  #ids = 0
  /** Called with the reply to an order, or with nothing if the thread ends first. */
  readonly #replies = new Map<number, (reply: unknown, error?: ApproxiferError) => void>()
  /** The number of promises that wait for the thread; meanwhile it keeps the process alive. */
  #waiting = 0
  /** Lookups without a reply, and the bytes of their queries. */
  #lookups = 0
  #lookupBytes = 0
  /** Moving average of how much each unfinished lookup delays the next one, ms; messages and training included. */
  #paceMs = Number.POSITIVE_INFINITY
  #stopStart: (() => void) | undefined

  constructor(clock: Clock, spawn: Spawn) {
    this.#clock = clock
    this.#spawn = spawn
  }

  /** @param lost  called once if the thread is lost  @param warn  called with the memory's warnings */
  open(plan: MemoryPlan, lost: (why: string) => void, warn: (text: string) => void): ThreadMemory {
    const memory = new ThreadMemory(this, this.#opened++, plan, { lost, warn })
    this.#memories.set(memory.of, memory)
    return memory
  }

  /** Resolves when all memories have read their saved states, or the thread is lost. */
  async ready(): Promise<void> {
    this.#hold(1)
    await Promise.all([...this.#memories.values()].map((memory) => memory.ready()))
    this.#hold(-1)
  }

  #hold(more: number): void {
    this.#waiting += more
    this.#thread?.hold(this.#waiting > 0)
  }

  /** Sends an order, with all others of this turn. */
  order(order: Order): void {
    if (this.isLost) return
    if (this.#orders.push(order) === 1) queueMicrotask(() => this.#flush())
  }

  /** A new id. @param done  called once with the reply to it, or with an error */
  #expect<K extends keyof Replies>(done: (reply: Replies[K] | undefined, error?: ApproxiferError) => void): number {
    const id = this.#ids++
    this.#replies.set(id, done as (reply: unknown, error?: ApproxiferError) => void)
    return id
  }

  recall(
    { of, forgets }: ThreadMemory,
    query: () => Float32Array,
    spread: Spread,
    withinMs: number,
    done: OnFound,
  ): void {
    const ahead = this.#lookups
    if (this.isLost || (ahead > 0 && ahead * this.#paceMs > QUEUED * withinMs)) return done(undefined, undefined)
    const compared = query()
    const { byteLength: bytes } = compared
    if (!bytes || (ahead > 0 && this.#lookupBytes + bytes > MOST_BYTES)) return done(undefined, undefined)
    const since = this.#clock.now()
    let isDone = false
    const settle: OnFound = (found, ms) => {
      if (isDone) return
      isDone = true
      stop()
      done(found, ms)
    }
    const usefulMs = Math.min(Math.max(withinMs, LEAST_MS), MOST_MS)
    const stop = this.#clock.after(usefulMs, () => settle(undefined, undefined))
    const id = this.#expect<'found'>((reply) => {
      this.#lookups--
      this.#lookupBytes -= bytes
      if (reply) this.#paceMs = averaged(this.#paceMs, (this.#clock.now() - since) / (1 + ahead))
      if (reply?.found) this.lookupMs = averaged(this.lookupMs, reply.ms)
      settle(reply?.found, reply?.ms)
    })
    this.#lookups++
    this.#lookupBytes += bytes
    this.order({ is: 'recall', of, id, query: unshared(compared), spread, forgets })
  }

  take(of: number): Promise<Taken> {
    if (this.isLost) return Promise.reject(this.#error('is no more'))
    const taken = new Promise<Taken>((resolve, reject) => {
      const id = this.#expect<'taken'>((reply, error) => (reply ? resolve(reply.taken) : reject(error)))
      this.order({ is: 'take', of, id })
    })
    const stop = afterRunning(this.#clock, TAKE_MS, () => this.#fail(`has not saved within ${TAKE_MS} ms`), true)
    this.#hold(1)
    return taken.finally(() => {
      stop()
      this.#hold(-1)
    })
  }

  forget(of: number, from: string, done: (left: DeviationState[]) => void): void {
    const id = this.#expect<'forgotten'>((reply) => reply && done(reply.left))
    this.order({ is: 'forget', of, id, from })
  }

  /** Closes a memory; the last one ends the thread. A new thread is started when there is something to remember again. */
  close(of: number): void {
    this.#memories.delete(of)
    if (this.#memories.size) return this.order({ is: 'close', of })
    this.#end(new ApproxiferError('CLOSED', 'the memory was closed'))
  }

  #flush(): void {
    const orders = this.#orders
    this.#orders = []
    if (this.isLost || !orders.length) return
    try {
      this.#thread ??= this.#start()
      this.#thread.endpoint.postMessage({ memory: orders } satisfies Envelope<Order>)
    } catch (error) {
      this.#fail(`could not be asked: ${(error as Error)?.message ?? error}`)
    }
  }

  #start(): Thread {
    const thread = this.#spawn((why) => this.#fail(why))
    thread.hold(this.#waiting > 0)
    this.#stopStart = afterRunning(this.#clock, START_MS, () => this.#fail(`said nothing within ${START_MS} ms`), true)
    thread.endpoint.addEventListener('message', (event) => {
      const reports = ordersIn<Report>((event as MessageEvent).data)
      if (!reports) return
      this.#stopStart?.()
      for (const report of reports) this.#read(report)
    })
    return thread
  }

  #read(report: Report): void {
    const memory = this.#memories.get(report.of)
    if (report.is === 'state') memory?.update(report.state)
    else if (report.is === 'warning') memory?.warn(report.text)
    else {
      const reply = this.#replies.get(report.id)
      this.#replies.delete(report.id)
      reply?.(report)
    }
  }

  /** Gives the thread up, and tells each memory why. */
  #fail(why: string): void {
    if (this.isLost) return
    this.isLost = true
    const memories = [...this.#memories.values()]
    this.#memories.clear()
    this.#end(this.#error(why))
    for (const memory of memories) memory.lost(why)
  }

  #end(error: ApproxiferError): void {
    this.#stopStart?.()
    this.#orders = []
    const replies = [...this.#replies.values()]
    this.#replies.clear()
    for (const reply of replies) reply(undefined, error)
    void this.#thread?.terminate()
    this.#thread = undefined
  }

  #error(why: string): ApproxiferError {
    return new ApproxiferError('WORKER', `the thread of the memory ${why}`)
  }
}

/** A memory in a `MemoryThread`. */
export class ThreadMemory implements MemoryHost {
  isWarm = false
  pairs = 0
  /** How many orders to forget or renew were sent. */
  forgets = 0
  readonly lost: (why: string) => void
  readonly warn: (text: string) => void
  readonly #thread: MemoryThread
  readonly #plan: MemoryPlan
  #isOpen = false
  /** Answers to learn that were sent, and how many of them have arrived. */
  #sent = 0
  #came = 0
  /** Answers that wait in the thread to be learned. */
  #waiting = 0
  /** Resolves with the first report, or when the memory is lost or closed. */
  readonly #isReady: Promise<void>
  #onReady!: () => void

  constructor(
    thread: MemoryThread,
    readonly of: number,
    plan: MemoryPlan,
    { lost, warn }: { lost(why: string): void; warn(text: string): void },
  ) {
    this.#thread = thread
    this.#plan = plan
    this.warn = warn
    this.#isReady = new Promise((resolve) => {
      this.#onReady = resolve
    })
    this.lost = (why) => {
      this.#onReady()
      lost(why)
    }
    if (plan.learned) this.#open()
  }

  get lookupMs(): number {
    return this.#thread.lookupMs
  }

  #open(): void {
    if (!this.#isOpen) this.#thread.order({ is: 'open', of: this.of, plan: this.#plan })
    this.#isOpen = true
  }

  update({ isWarm, pairs, came, waiting }: MemorySnapshot): void {
    this.isWarm = isWarm
    this.pairs = pairs
    this.#came = came
    this.#waiting = waiting
    this.#onReady()
  }

  recall(query: () => Float32Array, spread: Spread, withinMs: number, done: OnFound): void {
    if (this.isWarm) this.#thread.recall(this, query, spread, withinMs, done)
    else done(undefined, undefined)
  }

  get mayLearn(): boolean {
    return this.#unlearned < WAITING[this.isWarm ? 'warm' : 'cold']
  }

  /** Answers that are on their way to the thread or wait there to be learned. */
  get #unlearned(): number {
    return this.#sent - this.#came + this.#waiting
  }

  learn({ query, own, from, spread }: TrainingStep<() => Float32Array>): boolean {
    if (!this.mayLearn) return false
    const compared = query()
    const bytes = compared.byteLength + own.byteLength
    if (!compared.length || (this.#unlearned > 0 && (this.#unlearned + 1) * bytes > MOST_BYTES)) return false
    this.#sent++
    this.#open()
    const step = { query: unshared(compared), own: unshared(own), from, spread }
    this.#thread.order({ is: 'learn', of: this.of, step })
    return true
  }

  grade(graded: Graded): void {
    this.#open()
    this.#thread.order({ is: 'grade', of: this.of, graded })
  }

  forget(from: string, done: (left: DeviationState[]) => void): void {
    if (!this.#isOpen) return
    this.forgets++
    this.#thread.forget(this.of, from, done)
  }

  renew(): void {
    this.isWarm = false
    this.pairs = 0
    if (!this.#isOpen) return
    this.forgets++
    this.#thread.order({ is: 'renew', of: this.of })
  }

  async take(): Promise<Taken> {
    return this.#isOpen ? this.#thread.take(this.of) : { memory: undefined, graded: [] }
  }

  async ready(): Promise<void> {
    if (this.#plan.learned) await this.#isReady
  }

  close(): void {
    this.#onReady()
    this.#thread.close(this.of)
  }
}

/** The vector, or a copy of it: a message takes along the whole buffer of a view, and the owner of shared memory may write to it before the thread reads it. */
function unshared(vector: Float32Array): Float32Array {
  const isOwn = vector.byteLength === vector.buffer.byteLength && vector.buffer instanceof ArrayBuffer
  return isOwn ? vector : vector.slice()
}
