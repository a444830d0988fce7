/** What a worker's machine does with the rows that come for it: as many run as the worker answers at once, a few wait, the others are refused. */

import { CallOptions, Cancellation } from '../../base/abort'
import { ApproxiferError, asError } from '../../base/errors'
import { flawOf } from '../../base/payload'
import { median } from '../../base/stats'
import type { TensorList } from '../../base/tensor'
import type { ModelWorker } from '../worker'
import { DOWN, encode, encodeError, encodeValues, FOR_EVER, type Frame, markOf } from './frames'
import type { MachineSettings } from './options'
import { assemblyOf, pack, unpack } from './packing'
import type { Publisher } from './publisher'
import { Requests, type RowRequest } from './requests'

/** For models quicker than this the worker is sent its next row before it has answered the last, which hides the hand-over. */
const QUICK_MS = 5

/** Inferences by which it is told how long one takes. */
const REMEMBERED = 9

export class Responder {
  /** Calls that the worker takes at once, as was told when it joined. */
  readonly slots: number
  /** Of its last inferences, ms. */
  readonly #times: number[] = []
  readonly #requests = new Requests()
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
    return this.#requests.size
  }

  /** Whether what runs the model is not running. */
  get isDown(): boolean {
    return !this.#requests.running.size && !this.worker.free && this.#state !== 'lingers'
  }

  /** A frame from a gateway. @param to  where answers go */
  receive(frame: Frame, to: string): void {
    try {
      if (frame.kind === 'row') this.#receiveRow(frame, to)
      else if (frame.kind === 'cancel') this.#cancel(to)
      else if (frame.kind === 'ping') {
        this.beat()
        this.#send(to, encode('pong'))
      }
    } catch (error) {
      const request = this.#requests.get(to)
      if (request && !this.#requests.running.has(request)) this.#drop(request)
      this.#fail(to, asError(error, 'PROTOCOL'))
    }
  }

  empty(): Promise<void> {
    return new Promise((resolve) => {
      if (this.#requests.size) this.#onEmpty = resolve
      else resolve()
    })
  }

  /** Rejects what it has; the worker stays open. */
  close(): void {
    for (const request of this.#requests.all) {
      this.#drop(request)
      this.#fail(request.to, new ApproxiferError('WORKER', 'was closed'))
    }
    this.#state = 'closed'
    this.#unwatch?.()
    this.worker.onFree = undefined
  }

  #receiveRow(frame: Frame, to: string): void {
    const request = this.#requests.get(to) ?? this.#admit(frame, to)
    if (request?.state !== 'arriving') return // refused; or it was sent again, and is here still
    const values = request.parts.add(frame)
    if (!values) return
    request.row = unpack(values, this.worker.signature.inputs)
    request.state = 'waiting'
    this.#runNext()
  }

  #admit({ budgetMs, offset }: Frame, to: string): RowRequest | undefined {
    if (offset) return undefined // the rest of one that was refused, or dropped
    const { clock, maxPending } = this.settings
    this.#expire()
    if (this.isDown) return this.#fail(to, new ApproxiferError('WORKER', 'is not running'))
    if (this.open >= this.slots + maxPending) {
      return this.#fail(to, new ApproxiferError('OVERLOADED', `${this.open} calls are open already`))
    }
    const parts = assemblyOf(this.worker.signature.inputs)
    const expiresAt = budgetMs === FOR_EVER ? Number.POSITIVE_INFINITY : clock.now() + budgetMs
    const rest = { row: undefined, cancellation: undefined, startedAt: 0 }
    const request: RowRequest = { to, parts, expiresAt, state: 'arriving', ...rest }
    this.#requests.add(request)
    return request
  }

  /** Requests whose time is over leave, also ones of which a part was lost. */
  #expire(): void {
    for (const request of this.#requests.expired(this.settings.clock.now())) {
      this.#drop(request)
      this.#fail(request.to, new ApproxiferError('DEADLINE', 'its time was over before the worker was free'))
    }
  }

  /** Of one that runs it is told when the worker is done with it: until then that is at work. */
  #cancel(to: string): void {
    const request = this.#requests.get(to)
    if (request?.state === 'running') {
      request.state = 'cancelled'
      request.cancellation?.abort()
    } else if (request?.state !== 'cancelled') {
      if (request) this.#drop(request)
      this.#fail(to, CANCELLED) // also where its row was lost on its way: it takes no slot any more
    }
  }

  #runNext(): void {
    this.#expire()
    while (this.#state !== 'closed' && this.#requests.running.size < this.#atOnce && this.worker.free) {
      const { next } = this.#requests
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
    request.state = 'running'
    request.startedAt = this.settings.clock.now()
    if (this.worker.interruptible !== false) request.cancellation = new Cancellation()
    this.#requests.begin(request)
    this.#watch()
    this.#ran(request, await this.#outcome(request))
  }

  async #outcome({ row, cancellation }: RowRequest): Promise<TensorList | ApproxiferError> {
    const { signature } = this.worker
    try {
      const answer = await this.worker.infer(row as TensorList, cancellation && new CallOptions({ cancellation }))
      return flawOf(answer, signature.outputs, false) ?? answer
    } catch (error) {
      return asError(error, 'WORKER')
    }
  }

  #ran(request: RowRequest, outcome: TensorList | ApproxiferError): void {
    const now = this.settings.clock.now()
    this.#drop(request)
    const [next] = this.#requests.running
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

  #answer({ to, state }: RowRequest, outcome: TensorList | ApproxiferError): void {
    if (state === 'cancelled') this.#fail(to, CANCELLED)
    else if (outcome instanceof ApproxiferError) this.#fail(to, outcome)
    else {
      const values = pack(outcome, this.worker.signature.outputs)
      const mark = markOf(this.worker.fingerprint)
      for (const bytes of encodeValues('answer', values, this.publisher.most, mark)) this.#send(to, bytes)
    }
  }

  #fail(to: string, error: ApproxiferError): undefined {
    this.#send(to, encodeError(error, this.isDown ? DOWN : 0))
  }

  #send(to: string, bytes: Uint8Array): void {
    if (this.#state !== 'closed') this.publisher.frame(to, bytes)
  }

  #drop(request: RowRequest): void {
    this.#requests.remove(request)
    if (!this.#requests.size) this.#onEmpty?.()
  }

  /** What runs the model has died: what waits is for others. */
  #died(): void {
    const error = new ApproxiferError('WORKER', 'is not running')
    for (let { next } = this.#requests; next; next = this.#requests.next) {
      this.#drop(next)
      this.#fail(next.to, error)
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
    const [oldest] = this.#requests.running
    if (this.#unwatch || !oldest || this.#state === 'closed') return
    const left = oldest.startedAt + hangMs - clock.now()
    const look = () => {
      this.#unwatch = undefined
      const [first] = this.#requests.running
      if (!first || first.startedAt + hangMs > clock.now()) this.#watch()
      else this.worker.restart?.(`did not answer within ${hangMs} ms`)
    }
    this.#unwatch = clock.after(Math.max(0, left), look, true)
  }
}

const CANCELLED = new ApproxiferError('ABORTED', 'nobody waits for it any more')
