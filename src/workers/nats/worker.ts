/** One worker of a fleet as its coordinator sees it. */

import { aborted, onAbort } from '../../abort'
import { ApproxiferError, asError } from '../../errors'
import { checkAnswer, rowLength, type Signature } from '../../tensor'
import type { ModelWorker } from '../worker'
import { Assembly, type Beat, DOWN, decodeError, encode, encodeValues, type Message } from './messages'

/** What workers of one fleet share: a connection, and an inbox for answers. */
export interface Wire {
  /** Bytes that a message may have, as the server says. */
  readonly most: number
  /** Milliseconds within which an inference must begin, unless the call says otherwise. */
  readonly expireMs: number
  readonly maxPending: number
  now(): number
  /** A key that nobody guesses: whoever answers under it is believed. Answers to a call go to `receive` of its worker. */
  open(asked: Call | Ping): string
  forget(key: string): void
  /** To the worker; answers come under the key. @throws where the connection is closed */
  send(worker: string, payload: Uint8Array, key: string): void
  /** The worker was closed. */
  closed(worker: NatsWorker): void
}

/** A question to a worker whether it is there: its next heartbeat says so, or the server that nobody listens. */
export interface Ping {
  readonly worker: NatsWorker
  readonly row?: undefined
}

export interface Call {
  readonly worker: NatsWorker
  readonly row: Float32Array
  readonly expiresAt: number
  readonly answer: Assembly
  key: string
  /** Heartbeats without any call at the worker, since it was sent. */
  idle: number
  /** Whether somebody waits for it. One that nobody does keeps its place until the worker is done with it. */
  wanted: boolean
  resolve(answer: Float32Array): void
  reject(error: ApproxiferError): void
}

/** `away`: the way to it is interrupted, and its calls will be asked again; `lost`: it is silent, and they were rejected. */
type State = 'present' | 'away' | 'lost' | 'closed'

/** Heartbeats in which a worker has nothing to do, after which a call that it should have was lost. */
const IDLE_BEATS = 2

export class NatsWorker implements ModelWorker {
  readonly name: string
  readonly signature: Signature
  readonly fingerprint: string | undefined
  readonly identity: string | undefined
  onFree: (() => void) | undefined
  /** What it said last, and when. */
  beat: Beat
  heardAt: number
  /** What the question is known by whether it is there, where it was asked since. */
  asked: string | undefined
  readonly #wire: Wire
  readonly #calls = new Set<Call>()
  #state: State = 'present'
  #down: boolean

  constructor(beat: Beat, wire: Wire) {
    this.name = beat.name
    this.signature = beat.signature
    this.fingerprint = beat.fingerprint
    this.identity = beat.identity
    this.beat = beat
    this.heardAt = wire.now()
    this.#wire = wire
    this.#down = beat.state === 'down'
  }

  get free(): boolean {
    return this.#state === 'present' && !this.#down && this.#calls.size <= this.#wire.maxPending
  }

  /** One that is only `away` may be back in a moment. */
  get gone(): boolean {
    return this.#state === 'lost' || this.#state === 'closed'
  }

  get takesNext(): boolean {
    return true
  }

  /** Calls that it has, wanted or not. */
  get open(): number {
    return this.#calls.size
  }

  get state(): State {
    return this.#state
  }

  infer(row: Float32Array, { signal }: { signal?: AbortSignal } = {}): Promise<Float32Array> {
    return new Promise((resolve, reject) => {
      const refusal = this.#refusal(row, signal)
      if (refusal) return reject(refusal)
      const wire = this.#wire
      const rest = { worker: this, row, expiresAt: wire.now() + wire.expireMs, wanted: true, key: '', idle: 0 }
      const forget = onAbort(signal, () => this.#abort(call, signal as AbortSignal))
      const call: Call = {
        ...rest,
        answer: new Assembly(rowLength(this.signature.outputs)),
        resolve: (answer) => {
          forget()
          resolve(answer)
        },
        reject: (error) => {
          forget()
          reject(error)
        },
      }
      this.#calls.add(call)
      call.key = wire.open(call)
      this.#send(call)
    })
  }

  #refusal(row: Float32Array, signal: AbortSignal | undefined): Error | undefined {
    const { size } = this.#calls
    const length = rowLength(this.signature.inputs)
    if (this.#state === 'closed') return new ApproxiferError('CLOSED', `${this.name} is closed`)
    if (this.#state !== 'present') return new ApproxiferError('WORKER', `${this.name} cannot be reached`)
    if (this.#down) return new ApproxiferError('WORKER', `${this.name} is not running`)
    if (row.length !== length) return new RangeError(`row: expected ${length} values, got ${row.length}`)
    if (signal?.aborted) return aborted(signal)
    if (size > this.#wire.maxPending) return new ApproxiferError('OVERLOADED', `${size} calls are open already`)
  }

  /** A message to one of its calls. */
  receive(call: Call, message: Message): void {
    if (message.flags & DOWN) this.#down = true
    if (message.kind === 'error') {
      const { code, message: text } = decodeError(message)
      return this.#settle(call, new ApproxiferError(code, `${this.name}: ${text}`))
    }
    try {
      const answer = call.answer.add(message)
      if (answer) this.#settle(call, call.wanted ? checkAnswer(answer, answer.length, this.signature.outputs) : answer)
    } catch (error) {
      this.fail(call, asError(error, 'PROTOCOL'))
    }
  }

  /** One of its calls has failed. */
  fail(call: Call, error: ApproxiferError): void {
    this.#settle(call, error)
  }

  /** It is there. */
  hear(beat: Beat): void {
    const { connection } = this.beat
    const again = this.#state === 'away' || connection !== beat.connection
    this.beat = beat
    this.heardAt = this.#wire.now()
    this.#unask()
    if (this.#state === 'closed') return
    this.#state = 'present'
    this.#down = beat.state === 'down'
    for (const call of [...this.#calls]) {
      if (again) this.#resend(call)
      else if (beat.open) call.idle = 0
      else if (++call.idle > IDLE_BEATS) this.#settle(call, new ApproxiferError('WORKER', `${this.name} lost its call`))
    }
    if (this.free) this.onFree?.()
  }

  /** The way to the fleet is interrupted: whether it is there has yet to be heard. Its calls wait. */
  interrupt(): void {
    if (this.#state === 'present') this.#state = 'away'
  }

  /** It is not to be reached: its calls are for others. It may be heard again. */
  lose(why: string): void {
    if (this.gone) return
    this.#state = 'lost'
    this.#unask()
    this.#fail(new ApproxiferError('WORKER', `${this.name} ${why}`))
    this.onFree?.()
  }

  async close(): Promise<void> {
    if (this.#state === 'closed') return
    this.#state = 'closed'
    this.#unask()
    this.onFree = undefined
    for (const call of this.#calls) if (call.wanted) this.#cancel(call)
    this.#fail(new ApproxiferError('CLOSED', `${this.name} was closed`))
    this.#wire.closed(this)
  }

  /** Nothing is answered to that question any more. */
  #unask(): void {
    if (this.asked !== undefined) this.#wire.forget(this.asked)
    this.asked = undefined
  }

  #send(call: Call): void {
    const wire = this.#wire
    const budgetMs = Math.max(0, call.expiresAt - wire.now())
    try {
      for (const bytes of encodeValues('row', call.row, wire.most, budgetMs)) {
        wire.send(this.name, bytes, call.key)
      }
    } catch (error) {
      this.#settle(call, asError(error, 'WORKER', `${this.name}: `))
    }
  }

  /** As if it had been sent now for the first time. The worker may have it still: then it is done once. */
  #resend(call: Call): void {
    if (!call.wanted) return this.#settle(call, new ApproxiferError('WORKER', 'nobody waits for it any more'))
    call.idle = 0
    this.#send(call)
  }

  #abort(call: Call, signal: AbortSignal): void {
    call.wanted = false
    call.reject(aborted(signal))
    this.#cancel(call)
    if (this.#state !== 'present') this.#settle(call, aborted(signal))
  }

  /** What still waits at the worker is dropped there. */
  #cancel(call: Call): void {
    try {
      this.#wire.send(this.name, encode('cancel'), call.key)
    } catch {} // closed: nothing waits there
  }

  #settle(call: Call, outcome: Float32Array | ApproxiferError): void {
    if (!this.#calls.delete(call)) return
    this.#wire.forget(call.key)
    if (call.wanted) {
      if (outcome instanceof ApproxiferError) call.reject(outcome)
      else call.resolve(outcome)
    }
    this.onFree?.()
  }

  #fail(error: ApproxiferError): void {
    for (const call of [...this.#calls]) this.#settle(call, error)
  }
}
