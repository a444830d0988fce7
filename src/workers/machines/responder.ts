/** Runs the queries that come for one worker: up to `slots` at once, a few wait, others are refused. */

import { CallOptions, Cancellation } from '../../base/abort'
import { ApproxiferError, asError } from '../../base/errors'
import { flawOf } from '../../base/payload'
import { afterRunning } from '../../base/standstill'
import { median } from '../../base/stats'
import type { TensorList } from '../../base/tensor'
import type { ModelWorker } from '../worker'
import { type Assembly, DOWN, encode, encodeError, encodeValues, type Frame, markOf, UNLIMITED } from './frames'
import type { MachineSettings } from './options'
import { assemblyOf, pack, unpack } from './packing'
import type { Publisher } from './publisher'

/** A worker whose inferences are shorter is given its next query in advance, which hides the time of the hand-over. */
const QUICK_MS = 5

/** Inferences whose times are remembered. */
const REMEMBERED = 9

interface RowRequest {
  /** The reply address, which identifies the call. */
  readonly call: string
  readonly parts: Assembly
  readonly expiresAt: number
  readonly traceparent: string | undefined
  /** Undefined until all frames have come. */
  row: TensorList | undefined
  cancellation: Cancellation | undefined
  startedAt: number
  /** True: the query runs, but was cancelled. */
  isCancelled: boolean
}

export class Responder {
  /** Calls that the worker takes at once, as announced when it joined. */
  readonly slots: number
  /** Times of the last inferences, in milliseconds. */
  readonly #times: number[] = []
  /**
   * Queries by reply address. The running ones are in the order in which they began; queued ones may be incomplete. They are kept apart
   * because searching hundreds of waiting queries for each new one took a tenth of its time.
   */
  readonly #running = new Map<string, RowRequest>()
  readonly #queued = new Map<string, RowRequest>()
  /** `lingers`: it has rejected an aborted call but still computes; `down`: it does not run, and a heartbeat has reported that. */
  #state: 'up' | 'lingers' | 'down' | 'closed' = 'up'
  #unwatch: (() => void) | undefined
  #onEmpty: (() => void) | undefined

  /** @param beat  sends a heartbeat; called after a ping, and when the worker starts or stops taking queries */
  constructor(
    private readonly worker: ModelWorker,
    private readonly settings: MachineSettings,
    private readonly publisher: Publisher,
    private readonly beat: () => void,
  ) {
    this.slots = worker.slots ?? 1
    worker.onFree = () => this.#freed()
  }

  /** Median time of the last inferences in milliseconds; 0 before the first. */
  get ms(): number {
    return median(this.#times) ?? 0
  }

  get open(): number {
    return this.#running.size + this.#queued.size
  }

  /** Whether the runtime under the worker is not running. */
  get isDown(): boolean {
    return !this.#running.size && !this.worker.free && this.#state !== 'lingers'
  }

  /** Handles a gateway's frame. @param call  the reply address */
  receive(frame: Frame, call: string): void {
    try {
      if (frame.kind === 'row') this.#receiveRow(frame, call)
      else if (frame.kind === 'cancel') this.#cancel(call)
      else if (frame.kind === 'ping') {
        this.beat()
        this.#send(call, encode('pong'))
      }
    } catch (error) {
      this.#drop(this.#queued, call)
      this.#fail(call, asError(error, 'PROTOCOL'))
    }
  }

  empty(): Promise<void> {
    return new Promise((resolve) => {
      if (this.open) this.#onEmpty = resolve
      else resolve()
    })
  }

  /** Rejects all open calls; the worker stays open. */
  close(): void {
    for (const requests of [this.#running, this.#queued]) {
      for (const call of requests.keys()) {
        this.#drop(requests, call)
        this.#fail(call, new ApproxiferError('WORKER', 'was closed'))
      }
    }
    this.#state = 'closed'
    this.#unwatch?.()
    this.worker.onFree = undefined
  }

  #receiveRow(frame: Frame, call: string): void {
    if (this.#running.has(call)) return // it was sent again
    const request = this.#queued.get(call) ?? this.#admit(frame, call)
    if (!request || request.row) return // it was refused, or is complete
    const values = request.parts.add(frame)
    if (!values) return
    request.row = unpack(values, this.worker.signature.inputs)
    this.#runNext()
  }

  #admit({ budgetOrMark: budgetMs, offset, traceparent }: Frame, call: string): RowRequest | undefined {
    if (offset) return undefined // the rest of a query that was refused or dropped
    const { clock, maxPending } = this.settings
    this.#expire()
    if (this.isDown) return this.#fail(call, new ApproxiferError('WORKER', 'is not running'))
    if (this.open >= this.slots + maxPending) {
      return this.#fail(call, new ApproxiferError('OVERLOADED', `${this.open} calls are open already`))
    }
    const parts = assemblyOf(this.worker.signature.inputs)
    const expiresAt = budgetMs === UNLIMITED ? Number.POSITIVE_INFINITY : clock.now() + budgetMs
    const rest = { row: undefined, cancellation: undefined, startedAt: 0, isCancelled: false }
    const request: RowRequest = { call, parts, expiresAt, traceparent, ...rest }
    this.#queued.set(call, request)
    return request
  }

  /** Rejects queries whose time limit has passed before they ran. */
  #expire(): void {
    const now = this.settings.clock.now()
    for (const { call, expiresAt } of this.#queued.values()) {
      if (expiresAt > now) continue
      this.#drop(this.#queued, call)
      this.#fail(call, new ApproxiferError('DEADLINE', 'its time was over before the worker was free'))
    }
  }

  /** Cancels a query. A running one is reported as cancelled when the worker is done with it, since it is busy until then. */
  #cancel(call: string): void {
    const running = this.#running.get(call)
    if (running) {
      running.isCancelled = true
      running.cancellation?.abort()
    } else {
      this.#drop(this.#queued, call)
      this.#fail(call, CANCELLED) // reported even if its query never arrived, so that the gateway frees its slot
    }
  }

  /** The first complete query in the queue. */
  get #next(): RowRequest | undefined {
    for (const request of this.#queued.values()) if (request.row) return request
    return undefined
  }

  #runNext(): void {
    this.#expire()
    while (this.#state !== 'closed' && this.#running.size < this.#atOnce && this.worker.free) {
      const next = this.#next
      if (!next) return
      void this.#run(next)
    }
  }

  get #atOnce(): number {
    const { slots, ms } = this
    if (slots > 1 || !this.worker.takesNext) return slots
    return ms > 0 && ms < QUICK_MS ? 2 : slots
  }

  async #run(request: RowRequest): Promise<void> {
    request.startedAt = this.settings.clock.now()
    if (this.worker.interruptible !== false) request.cancellation = new Cancellation()
    this.#queued.delete(request.call)
    this.#running.set(request.call, request)
    this.#watch()
    this.#ran(request, await this.#outcome(request))
  }

  async #outcome({ row, cancellation, traceparent }: RowRequest): Promise<TensorList | ApproxiferError> {
    const { signature } = this.worker
    try {
      const options = cancellation ? new CallOptions({ cancellation }, traceparent) : traceparent && { traceparent }
      const answer = await this.worker.infer(row as TensorList, options || undefined)
      return flawOf(answer, signature.outputs, false) ?? answer
    } catch (error) {
      return asError(error, 'WORKER')
    }
  }

  #ran(request: RowRequest, outcome: TensorList | ApproxiferError): void {
    const now = this.settings.clock.now()
    this.#drop(this.#running, request.call)
    const [next] = this.#running.values()
    if (next && this.slots === 1) next.startedAt = now // the next one was handed over in advance and begins now
    if (!(outcome instanceof ApproxiferError)) {
      this.#times.push(now - request.startedAt)
      if (this.#times.length > REMEMBERED) this.#times.shift()
    } else if (this.#state !== 'closed') {
      this.#state = outcome.code === 'ABORTED' && !this.worker.free ? 'lingers' : 'up'
    }
    this.#answer(request, outcome)
    this.#watch()
    if (this.isDown) this.#died()
    else this.#runNext()
  }

  #answer({ call, isCancelled }: RowRequest, outcome: TensorList | ApproxiferError): void {
    if (isCancelled) this.#fail(call, CANCELLED)
    else if (outcome instanceof ApproxiferError) this.#fail(call, outcome)
    else {
      const values = pack(outcome, this.worker.signature.outputs)
      const mark = markOf(this.worker.fingerprint)
      for (const bytes of encodeValues('answer', values, this.publisher.link.most, mark)) this.#send(call, bytes)
    }
  }

  #fail(call: string, error: ApproxiferError): undefined {
    this.#send(call, encodeError(error, this.isDown ? DOWN : 0))
  }

  #send(call: string, bytes: Uint8Array): void {
    if (this.#state !== 'closed') this.publisher.frame(call, bytes)
  }

  #drop(from: Map<string, RowRequest>, call: string): void {
    from.delete(call)
    if (!this.open) this.#onEmpty?.()
  }

  /** The runtime under the worker has died: waiting queries are rejected, to be sent to other workers. */
  #died(): void {
    const error = new ApproxiferError('WORKER', 'is not running')
    for (const { call, row } of this.#queued.values()) {
      if (!row) continue
      this.#drop(this.#queued, call)
      this.#fail(call, error)
    }
    if (this.#state === 'down' || this.#state === 'closed') return
    this.#state = 'down'
    this.beat()
  }

  #freed(): void {
    if (this.worker.free && this.#state === 'lingers') this.#state = 'up'
    if (this.isDown) return this.#died()
    if (this.#state === 'down') {
      this.#state = 'up'
      this.beat()
    }
    this.#runNext()
  }

  /**
   * Restarts the worker when the oldest running inference takes longer than `hangMs`. One timer serves all: when it fires, it is set anew
   * for the oldest one then.
   */
  #watch(stoodMs = 0): void {
    const { clock, hangMs } = this.settings
    const [oldest] = this.#running.values()
    if (this.#unwatch || !oldest || this.#state === 'closed') return
    const left = oldest.startedAt + hangMs + stoodMs - clock.now()
    const look = (stoodMs: number) => {
      this.#unwatch = undefined
      const [first] = this.#running.values()
      if (!first || first.startedAt + hangMs + stoodMs > clock.now()) this.#watch(stoodMs)
      else this.worker.restart?.(`did not answer within ${hangMs} ms`)
    }
    this.#unwatch = afterRunning(clock, Math.max(1, left), look, true) // what rounding leaves of the time is none for a clock
  }
}

const CANCELLED = new ApproxiferError('ABORTED', 'the call was cancelled')
