/** A memory in a thread of its own: lookups and lessons are messages, and the loop is left to the queries. */

import type { Clock } from '../base/clock'
import { ApproxiferError } from '../base/errors'
import type { DeviationState } from '../base/stats'
import type { Thread } from '../platform/platform'
import type { Graded } from './calibration'
import type { Spread } from './confidence'
import { averaged, type MemoryHost, type Rated, type Taken, type TrainingStep, WAITING } from './host'
import { type Envelope, type MemoryPlan, type MemorySnapshot, type Order, ordersIn, type Report } from './messages'

/** Of queries and answers that are on their way or wait there; one is always sent. */
const MOST_BYTES = 2 ** 24
/** Nobody waits longer for a lookup than it is of use: at least a moment, since timers are that coarse, and not for ever, also where there is no deadline. */
const ofUse = (withinMs: number) => Math.min(Math.max(withinMs, 2), 10_000)
/**
 * A lookup waits for others for a part of the time that it is of use: whoever it has nothing for goes on so much later (`bench overload-memory`: 40 %
 * of the queries remembered with .12, .25 and .5, and 1 % with 1, since nearly all came too late).
 */
const QUEUED = 0.25
/** A script that is there at all has answered by then. */
const START_MS = 10_000

/** To learn what waits and to pack all of it. */
const TAKE_MS = 30_000

/** Starts a thread that runs the worker's script, and listens to how it ends. */
export type Spawn = (onDeath: (why: string) => void) => Thread

/** One thread, started when there is something to keep, for all memories of a predictor. */
export class MemoryThread {
  lookMs = Number.POSITIVE_INFINITY
  readonly #clock: Clock
  readonly #spawn: Spawn
  #thread: Thread | undefined
  /** It has died, or cannot be had. */
  isLost = false
  readonly #memories = new Map<number, ThreadMemory>()
  #opened = 0
  #orders: Order[] = []
  #ids = 0
  /** Promises that are open. */
  #waited = 0
  readonly #lookups = new Map<number, Lookup>()
  /** Moving average of what each lookup under way adds to the next one's wait, ms: messages and lessons included. */
  #paceMs = Number.POSITIVE_INFINITY
  #lookupBytes = 0
  readonly #takes = new Map<number, { resolve(taken: Taken): void; reject(error: ApproxiferError): void }>()
  readonly #forgotten = new Map<number, (left: DeviationState[]) => void>()
  #stopStart: (() => void) | undefined

  constructor(clock: Clock, spawn: Spawn) {
    this.#clock = clock
    this.#spawn = spawn
  }

  /** @param lost  told why, once, where the thread is no more  @param warn  told what the memory has to say */
  open(plan: MemoryPlan, lost: (why: string) => void, warn: (text: string) => void): ThreadMemory {
    const memory = new ThreadMemory(this, this.#opened++, plan, { lost, warn })
    this.#memories.set(memory.of, memory)
    return memory
  }

  /** Resolves when all that were opened with something saved have read it, or the thread is no more. */
  async ready(): Promise<void> {
    this.#hold(1)
    await Promise.all([...this.#memories.values()].map((memory) => memory.ready()))
    this.#hold(-1)
  }

  /** It keeps the process alive while somebody waits for it. */
  #hold(more: number): void {
    this.#waited += more
    this.#thread?.hold(this.#waited > 0)
  }

  /** Sends it with all others of this turn. */
  order(order: Order): void {
    if (this.isLost) return
    if (this.#orders.push(order) === 1) queueMicrotask(() => this.#flush())
  }

  recall(
    { of, forgets }: ThreadMemory,
    query: () => Float32Array,
    spread: Spread,
    withinMs: number,
    done: OnFound,
  ): void {
    const size = this.#lookups.size
    if (this.isLost || (size > 0 && size * this.#paceMs > QUEUED * withinMs)) return done(undefined, undefined)
    const compared = query()
    const { byteLength: bytes } = compared
    if (!bytes || (size > 0 && this.#lookupBytes + bytes > MOST_BYTES)) return done(undefined, undefined)
    const id = this.#ids++
    const stop = this.#clock.after(ofUse(withinMs), () => tell(lookup))
    const lookup: Lookup = { done, bytes, since: this.#clock.now(), ahead: size, stop }
    this.#lookups.set(id, lookup)
    this.#lookupBytes += bytes
    this.order({ is: 'recall', of, id, query: unshared(compared), spread, forgets })
  }

  take(of: number): Promise<Taken> {
    if (this.isLost) return Promise.reject(this.#error('is no more'))
    const id = this.#ids++
    const taken = new Promise<Taken>((resolve, reject) => this.#takes.set(id, { resolve, reject }))
    const stop = this.#clock.after(TAKE_MS, () => this.#fail(`has not saved within ${TAKE_MS} ms`), true)
    this.order({ is: 'take', of, id })
    this.#hold(1)
    return taken.finally(() => {
      stop()
      this.#hold(-1)
    })
  }

  forget(of: number, from: string, done: (left: DeviationState[]) => void): void {
    const id = this.#ids++
    this.#forgotten.set(id, done)
    this.order({ is: 'forget', of, id, from })
  }

  close(of: number): void {
    this.#memories.delete(of)
    if (this.#memories.size) return this.order({ is: 'close', of })
    this.#end(new ApproxiferError('CLOSED', 'the memory was closed')) // a new thread is started when there is something to remember again
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
    thread.hold(this.#waited > 0)
    this.#stopStart = this.#clock.after(START_MS, () => this.#fail(`said nothing within ${START_MS} ms`), true)
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
    if (report.is === 'found') {
      const lookup = this.#lookups.get(report.id)
      if (!lookup) return
      this.#lookups.delete(report.id)
      this.#lookupBytes -= lookup.bytes
      this.#paceMs = averaged(this.#paceMs, (this.#clock.now() - lookup.since) / (1 + lookup.ahead))
      if (report.found) this.lookMs = averaged(this.lookMs, report.ms)
      tell(lookup, report.found, report.ms)
    } else if (report.is === 'taken') {
      this.#takes.get(report.id)?.resolve(report.taken)
      this.#takes.delete(report.id)
    } else if (report.is === 'forgotten') {
      this.#forgotten.get(report.id)?.(report.left)
      this.#forgotten.delete(report.id)
    } else if (report.is === 'state') memory?.tell(report.state)
    else memory?.warn(report.text)
  }

  /** Whoever waits is told that there is nothing; each memory goes on elsewhere. */
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
    const lookups = [...this.#lookups.values()]
    this.#lookups.clear()
    for (const lookup of lookups) tell(lookup)
    for (const { reject } of this.#takes.values()) reject(error)
    this.#takes.clear()
    this.#forgotten.clear()
    void this.#thread?.terminate()
    this.#thread = undefined
  }

  #error(why: string): ApproxiferError {
    return new ApproxiferError('WORKER', `the thread of the memory ${why}`)
  }
}

type OnFound = (found: Rated | undefined, ms: number | undefined) => void

interface Lookup {
  /** Undefined once it was told. */
  done: OnFound | undefined
  readonly bytes: number
  readonly since: number
  /** Lookups that were under way before it. */
  readonly ahead: number
  /** Of the timer that tells it where the thread does not. */
  readonly stop: () => void
}

function tell(lookup: Lookup, found?: Rated, ms?: number): void {
  const { done } = lookup
  lookup.done = undefined
  lookup.stop()
  done?.(found, ms)
}

export class ThreadMemory implements MemoryHost {
  isWarm = false
  pairs = 0
  readonly lost: (why: string) => void
  readonly warn: (text: string) => void
  forgets = 0
  readonly #thread: MemoryThread
  readonly #plan: MemoryPlan
  #isOpen = false
  /** Lessons that were sent, those that came there, and those of them that wait. */
  #sent = 0
  #came = 0
  #waiting = 0
  #told: (() => void) | undefined
  readonly #isTold: Promise<void>

  constructor(
    thread: MemoryThread,
    readonly of: number,
    plan: MemoryPlan,
    { lost, warn }: { lost(why: string): void; warn(text: string): void },
  ) {
    this.#thread = thread
    this.#plan = plan
    this.warn = warn
    this.#isTold = new Promise((resolve) => {
      this.#told = resolve
    })
    this.lost = (why) => {
      this.#told?.()
      lost(why)
    }
    if (plan.learned) this.#order({ is: 'open', of, plan })
  }

  get lookupMs(): number {
    return this.#thread.lookMs
  }

  /** The thread is started when there is something to remember. */
  #order(order: Order): void {
    if (!this.#isOpen && order.is !== 'open') this.#thread.order({ is: 'open', of: this.of, plan: this.#plan })
    this.#isOpen = true
    this.#thread.order(order)
  }

  tell({ isWarm, pairs, came, waiting }: MemorySnapshot): void {
    this.isWarm = isWarm
    this.pairs = pairs
    this.#came = came
    this.#waiting = waiting
    this.#told?.()
  }

  recall(query: () => Float32Array, spread: Spread, withinMs: number, done: OnFound): void {
    if (this.isWarm) this.#thread.recall(this, query, spread, withinMs, done)
    else done(undefined, undefined)
  }

  get mayLearn(): boolean {
    return this.#unlearned < WAITING[this.isWarm ? 'warm' : 'cold']
  }

  /** Lessons that are on their way, or wait there. */
  get #unlearned(): number {
    return this.#sent - this.#came + this.#waiting
  }

  learn({ query, own, from, spread }: TrainingStep<() => Float32Array>): boolean {
    if (!this.mayLearn) return false
    const compared = query()
    const bytes = compared.byteLength + own.byteLength
    if (!compared.length || (this.#unlearned > 0 && (this.#unlearned + 1) * bytes > MOST_BYTES)) return false
    this.#sent++
    const step = { query: unshared(compared), own: unshared(own), from, spread }
    this.#order({ is: 'learn', of: this.of, step })
    return true
  }

  grade(graded: Graded): void {
    this.#order({ is: 'grade', of: this.of, graded })
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
    this.#order({ is: 'renew', of: this.of })
  }

  async take(): Promise<Taken> {
    return this.#isOpen ? this.#thread.take(this.of) : { memory: undefined, graded: [] }
  }

  async ready(): Promise<void> {
    if (this.#plan.learned) await this.#isTold
  }

  close(): void {
    this.#told?.()
    this.#thread.close(this.of)
  }
}

/** A message takes the whole buffer with it that a vector is a view of; what is shared is copied, since its owner may write to it before the thread reads. */
function unshared(vector: Float32Array): Float32Array {
  const isOwn = vector.byteLength === vector.buffer.byteLength && vector.buffer instanceof ArrayBuffer
  return isOwn ? vector : vector.slice()
}
