/** What a worker's machine does with the rows that come for it: as many run as the worker answers at once, a few wait, the others are refused. */

import { CallOptions, Cancellation } from '../../base/abort'
import { ApproxiferError, asError } from '../../base/errors'
import { flawOf } from '../../base/payload'
import { median } from '../../base/stats'
import type { TensorList } from '../../base/tensor'
import type { ModelWorker } from '../worker'
import { type Assembly, DOWN, encode, encodeError, encodeValues, FOR_EVER, type Frame, markOf } from './frames'
import type { MachineSettings } from './options'
import { assemblyOf, pack, unpack } from './packing'
import type { Publisher } from './publisher'

/** For models quicker than this the worker is sent its next row before it has answered the last, which hides the hand-over. */
const QUICK_MS = 5

/** Inferences by which it is told how long one takes. */
const REMEMBERED = 9

interface RowRequest {
  /** The address of its answer, which tells it from others. */
  readonly call: string
  readonly parts: Assembly
  readonly expiresAt: number
  readonly traceparent: string | undefined
  /** Once all of it is here. */
  row: TensorList | undefined
  cancellation: Cancellation | undefined
  startedAt: number
  /** It runs, and nobody waits for the answer. */
  isCancelled: boolean
}

export class Responder {
  /** Calls that the worker takes at once, as was told when it joined. */
  readonly slots: number
  /** Of its last inferences, ms. */
  readonly #times: number[] = []
  /**
   * By their calls: those that run, in the order in which they began, and those that do not yet, of which only a part may have arrived.
   * With hundreds of them, to look through all for each row took a tenth of its time.
   */
  readonly #running = new Map<string, RowRequest>()
  readonly #queued = new Map<string, RowRequest>()
  /** `lingers`: it has rejected what was aborted, and is still at work on it; `down`: it does not run, and that was told. */
  #state: 'up' | 'lingers' | 'down' | 'closed' = 'up'
  #unwatch: (() => void) | undefined
  #onEmpty: (() => void) | undefined

  /** @param beat  sends a heartbeat: one was asked for, or the worker begins or ceases to take rows */
  constructor(
    private readonly worker: ModelWorker,
    private readonly settings: MachineSettings,
    private readonly publisher: Publisher,
    private readonly beat: () => void,
  ) {
    this.slots = worker.slots ?? 1
    worker.onFree = () => this.#freed()
  }

  /** What an inference takes: the median of the last few, ms; 0 before the first. */
  get ms(): number {
    return median(this.#times) ?? 0
  }

  get open(): number {
    return this.#running.size + this.#queued.size
  }

  /** Whether what runs the model is not running. */
  get isDown(): boolean {
    return !this.#running.size && !this.worker.free && this.#state !== 'lingers'
  }

  /** A frame from a gateway. @param call  the address of answers */
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

  /** Rejects what it has; the worker stays open. */
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
    if (!request || request.row) return // refused; or it is here in full
    const values = request.parts.add(frame)
    if (!values) return
    request.row = unpack(values, this.worker.signature.inputs)
    this.#runNext()
  }

  #admit({ about: budgetMs, offset, traceparent }: Frame, call: string): RowRequest | undefined {
    if (offset) return undefined // the rest of one that was refused, or dropped
    const { clock, maxPending } = this.settings
    this.#expire()
    if (this.isDown) return this.#fail(call, new ApproxiferError('WORKER', 'is not running'))
    if (this.open >= this.slots + maxPending) {
      return this.#fail(call, new ApproxiferError('OVERLOADED', `${this.open} calls are open already`))
    }
    const parts = assemblyOf(this.worker.signature.inputs)
    const expiresAt = budgetMs === FOR_EVER ? Number.POSITIVE_INFINITY : clock.now() + budgetMs
    const rest = { row: undefined, cancellation: undefined, startedAt: 0, isCancelled: false }
    const request: RowRequest = { call, parts, expiresAt, traceparent, ...rest }
    this.#queued.set(call, request)
    return request
  }

  /** Requests whose time is over leave before they run. */
  #expire(): void {
    const now = this.settings.clock.now()
    for (const { call, expiresAt } of this.#queued.values()) {
      if (expiresAt > now) continue
      this.#drop(this.#queued, call)
      this.#fail(call, new ApproxiferError('DEADLINE', 'its time was over before the worker was free'))
    }
  }

  /** Of one that runs it is told when the worker is done with it: until then that is at work. */
  #cancel(call: string): void {
    const running = this.#running.get(call)
    if (running) {
      running.isCancelled = true
      running.cancellation?.abort()
    } else {
      this.#drop(this.#queued, call)
      this.#fail(call, CANCELLED) // also where its row was lost on its way: it takes no slot any more
    }
  }

  /** The first that is here in full. */
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
    if (next && this.slots === 1) next.startedAt = now // one that was handed over before begins now
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

  /** What runs the model has died: what waits is for others. */
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

  /** Restarts the worker once the inference that it has been at longest takes too long. The timer looks which that is when its time has come. */
  #watch(): void {
    const { clock, hangMs } = this.settings
    const [oldest] = this.#running.values()
    if (this.#unwatch || !oldest || this.#state === 'closed') return
    const left = oldest.startedAt + hangMs - clock.now()
    const look = () => {
      this.#unwatch = undefined
      const [first] = this.#running.values()
      if (!first || first.startedAt + hangMs > clock.now()) this.#watch()
      else this.worker.restart?.(`did not answer within ${hangMs} ms`)
    }
    this.#unwatch = clock.after(Math.max(0, left), look, true)
  }
}

const CANCELLED = new ApproxiferError('ABORTED', 'nobody waits for it any more')
