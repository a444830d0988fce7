/** What a worker's machine does with the rows that come for it: one runs, a few wait, expired and unwanted ones are never run. */

import type { Clock } from '../../clock'
import { ApproxiferError, asError } from '../../errors'
import { median } from '../../stats'
import { rowLength } from '../../tensor'
import type { ModelWorker } from '../worker'
import { Assembly, DOWN, decode, encodeError, encodeValues, FOR_EVER, type Message } from './messages'

export interface DeskOptions {
  clock: Clock
  /** Calls that may wait, whoever asked. */
  maxPending: number
  /** How long an inference may take before its worker is restarted. */
  hangMs: number
  /** Bytes that a message may have. */
  most(): number
  /** To who asked. @throws where the connection is closed */
  reply(to: string, payload: Uint8Array): void
  /** Its state has changed. */
  changed(): void
}

/** One row that somebody asked for; `to` is where the answer goes, and what tells it from others. */
interface Job {
  readonly to: string
  readonly row: Assembly
  readonly expiresAt: number
  values: Float32Array | undefined
  running: boolean
  abort: AbortController | undefined
  wanted: boolean
  startedAt: number
}

/** Below this many milliseconds an inference takes less than to hand over the next row: the worker gets that meanwhile. */
const QUICK_MS = 5
/** Inferences by which the desk tells how long one takes. */
const REMEMBERED = 9

export interface DeskStats {
  requests: number
  errors: number
  lastError: string
  /** Milliseconds of all inferences. */
  busyMs: number
  cancelled: number
  expired: number
}

export class Desk {
  readonly stats: DeskStats = { requests: 0, errors: 0, lastError: '', busyMs: 0, cancelled: 0, expired: 0 }
  readonly #worker: ModelWorker
  readonly #options: DeskOptions
  readonly #jobs = new Map<string, Job>()
  readonly #waiting: Job[] = []
  readonly #running = new Set<Job>()
  readonly #times: number[] = []
  /** When the last inference ended: one that was handed over before begins then. */
  #endedAt = Number.NEGATIVE_INFINITY
  #unwatch: (() => void) | undefined
  #wasDown = false
  /** It is still at work on what was aborted. */
  #lingers = false
  #onEmpty: (() => void) | undefined
  #closed = false

  constructor(worker: ModelWorker, options: DeskOptions) {
    this.#worker = worker
    this.#options = options
    worker.onFree = () => this.#freed()
  }

  /** Calls that it has, in whatever state. */
  get open(): number {
    return this.#jobs.size
  }

  /** What an inference takes: the median of the last few, ms; 0 before the first. */
  get ms(): number {
    return median(this.#times) ?? 0
  }

  /** Whether what runs the model is not running. */
  get isDown(): boolean {
    return !this.#running.size && !this.#worker.free && !this.#lingers
  }

  /** A message from a coordinator. @param to  where answers go */
  receive(bytes: Uint8Array, to: string): void {
    try {
      const message = decode(bytes)
      if (message.kind === 'row') this.#row(message, to)
      else if (message.kind === 'cancel') this.#cancel(to)
    } catch (error) {
      const job = this.#jobs.get(to)
      if (job && !job.running) this.#drop(job)
      this.#fail(to, asError(error, 'PROTOCOL'))
    }
  }

  /** Resolves when nothing is left to do. */
  empty(): Promise<void> {
    return new Promise((resolve) => {
      if (this.#jobs.size) this.#onEmpty = resolve
      else resolve()
    })
  }

  /** Rejects what it has; the worker stays open. */
  close(): void {
    for (const job of [...this.#jobs.values()]) {
      this.#drop(job)
      this.#fail(job.to, new ApproxiferError('WORKER', 'was closed'))
    }
    this.#closed = true
    this.#unwatch?.()
    this.#worker.onFree = undefined
  }

  #row(message: Message, to: string): void {
    const job = this.#jobs.get(to) ?? this.#admit(message, to)
    if (!job || job.values) return // refused; or it was asked for again, and is here still
    job.values = job.row.add(message)
    if (!job.values) return
    this.#waiting.push(job)
    this.#next()
  }

  #admit({ budgetMs, offset }: Message, to: string): Job | undefined {
    if (offset) return undefined // the rest of one that was refused, or given up
    const { clock, maxPending } = this.#options
    this.stats.requests++
    this.#expire()
    if (this.isDown) return this.#fail(to, new ApproxiferError('WORKER', 'is not running'))
    if (this.#jobs.size > maxPending) {
      return this.#fail(to, new ApproxiferError('OVERLOADED', `${this.#jobs.size} calls are open already`))
    }
    const row = new Assembly(rowLength(this.#worker.signature.inputs))
    const expiresAt = budgetMs === FOR_EVER ? Number.POSITIVE_INFINITY : clock.now() + budgetMs
    const job = { to, row, expiresAt, values: undefined, running: false, abort: undefined, wanted: true, startedAt: 0 }
    this.#jobs.set(to, job)
    return job
  }

  /** Those that nobody wants any more leave, also ones of which a part was lost. */
  #expire(): void {
    const now = this.#options.clock.now()
    for (const job of this.#jobs.values()) {
      if (job.running || job.expiresAt > now) continue
      this.stats.expired++
      this.#drop(job)
      this.#fail(job.to, new ApproxiferError('DEADLINE', 'its time was over before the worker was free'))
    }
  }

  #cancel(to: string): void {
    const job = this.#jobs.get(to)
    if (!job?.wanted) return
    job.wanted = false
    job.abort?.abort()
    if (job.running) return // it is told when that is done: until then the worker is at work
    this.stats.cancelled++
    this.#drop(job)
    this.#fail(to, CANCELLED)
  }

  #next(): void {
    this.#expire()
    while (this.#waiting.length && !this.#closed) {
      const ahead = this.#worker.takesNext && this.ms > 0 && this.ms < QUICK_MS ? 2 : 1
      if (this.#running.size >= ahead || !this.#worker.free) return
      void this.#run(this.#waiting.shift() as Job)
    }
  }

  async #run(job: Job): Promise<void> {
    const { clock } = this.#options
    job.running = true
    job.startedAt = clock.now()
    if (this.#worker.interruptible !== false) job.abort = new AbortController()
    this.#running.add(job)
    this.#watch()
    let outcome: Float32Array | ApproxiferError
    try {
      outcome = await this.#worker.infer(job.values as Float32Array, job.abort && { signal: job.abort.signal })
      this.#timed(clock.now() - Math.max(job.startedAt, this.#endedAt))
    } catch (error) {
      outcome = asError(error, 'WORKER')
      this.#lingers = outcome.code === 'ABORTED' && !this.#worker.free
    }
    this.#endedAt = clock.now()
    this.#running.delete(job)
    this.#drop(job)
    this.#answer(job, outcome)
    this.#watch()
    if (this.isDown) this.#died()
    else this.#next()
  }

  #timed(ms: number): void {
    this.stats.busyMs += ms
    this.#times.push(ms)
    if (this.#times.length > REMEMBERED) this.#times.shift()
  }

  #answer({ to, wanted }: Job, outcome: Float32Array | ApproxiferError): void {
    if (this.#closed) return
    if (!wanted) {
      this.stats.cancelled++
      this.#fail(to, CANCELLED)
    } else if (outcome instanceof ApproxiferError) this.#fail(to, outcome)
    else for (const bytes of encodeValues('answer', outcome, this.#options.most())) this.#send(to, bytes)
  }

  #fail(to: string, error: ApproxiferError): undefined {
    if (error !== CANCELLED) {
      this.stats.errors++
      this.stats.lastError = error.message
    }
    this.#send(to, encodeError(error, this.isDown ? DOWN : 0))
  }

  #send(to: string, bytes: Uint8Array): void {
    if (this.#closed) return
    try {
      this.#options.reply(to, bytes)
    } catch {} // the connection is closed: who asked will notice
  }

  #drop(job: Job): void {
    this.#jobs.delete(job.to)
    const at = this.#waiting.indexOf(job)
    if (at >= 0) this.#waiting.splice(at, 1)
    if (!this.#jobs.size) this.#onEmpty?.()
  }

  /** What runs the model has died: what waits is for others. */
  #died(): void {
    const error = new ApproxiferError('WORKER', 'is not running')
    for (const job of [...this.#waiting]) {
      this.#drop(job)
      this.#fail(job.to, error)
    }
    if (this.#wasDown) return
    this.#wasDown = true
    this.#options.changed()
  }

  #freed(): void {
    if (this.#worker.free) this.#lingers = false
    if (this.isDown) return this.#died()
    if (this.#wasDown) {
      this.#wasDown = false
      this.#options.changed()
    }
    this.#next()
  }

  /** Restarts the worker once the inference that it is at takes too long. */
  #watch(): void {
    const { clock, hangMs } = this.#options
    this.#unwatch?.()
    const [first] = this.#running
    this.#unwatch =
      first && clock.after(hangMs, () => this.#worker.restart?.(`did not answer within ${hangMs} ms`), true)
  }
}

const CANCELLED = new ApproxiferError('ABORTED', 'nobody waits for it any more')
