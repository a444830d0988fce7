/** A worker that is slow, hangs, dies, lies or answers garbage on purpose. Never used in production. */

import { checkInteger, expected } from '../base/check'
import { ApproxiferError } from '../base/errors'
import { tensorsOf, vectorOf } from '../base/payload'
import { type Random, seeded } from '../base/random'
import type { TensorList } from '../base/tensor'
import { OpenCall } from '../workers/open-call'
import type { ModelWorker } from '../workers/worker'
import { checkFaults, drawFaults, type Faults } from './faults'

export class FaultyWorker implements ModelWorker {
  /** That of the wrapped worker, if it has one. */
  readonly restart?: (why: string) => void
  readonly #inner: ModelWorker
  readonly #random: Random
  #faults: Faults = {}
  /** Calls that a restart or `close` rejects. */
  readonly #open = new Set<OpenCall>()
  /** Calls that hang, are delayed, or wait for a delayed one. */
  #held = 0
  /** Settles after the last delayed call. */
  #last: Promise<unknown> = Promise.resolve()
  #closed = false

  constructor(inner: ModelWorker, faults: Faults, seed: number) {
    if (typeof inner?.infer !== 'function') throw new TypeError(expected('inner', 'a ModelWorker', inner))
    this.faults = faults
    this.#inner = inner
    this.#random = seeded(checkInteger('seed', seed, 0))
    if (!inner.restart) return
    this.restart = (why) => {
      inner.restart?.(why)
      this.#fail(new ApproxiferError('WORKER', `${this.name} ${why}`))
    }
  }

  get faults(): Faults {
    return this.#faults
  }

  /** May be changed at any time, for the calls that follow. @throws TypeError, RangeError for invalid ones */
  set faults(faults: Faults) {
    checkFaults(faults)
    this.#faults = faults
  }

  get name() {
    return this.#inner.name
  }

  get identity() {
    return this.#inner.identity
  }

  get signature() {
    return this.#inner.signature
  }

  get fingerprint() {
    return this.#inner.fingerprint
  }

  get hints() {
    return this.#inner.hints
  }

  get scales() {
    return this.#inner.scales
  }

  get gone() {
    return this.#inner.gone === true
  }

  get free() {
    return !this.#held && this.#inner.free
  }

  get onFree() {
    return this.#inner.onFree
  }

  set onFree(listener: (() => void) | undefined) {
    this.#inner.onFree = listener
  }

  async infer(query: TensorList, options: { signal?: AbortSignal } = {}): Promise<TensorList> {
    const { hangs, crashes, delayMs, answered } = drawFaults(this.faults, this.#random)
    if (hangs && !this.#closed) await this.#hold(this.#opened(query, options.signal).answer)
    const answering = delayMs > 0 ? this.#slowly(query, delayMs, options.signal) : this.#inner.infer(query, options)
    if (crashes) this.#crash(answering)
    return tensorsOf(answered(vectorOf(await answering)), this.signature.outputs)
  }

  /** A worker without `restart` cannot be killed: the call fails. */
  #crash(answering: Promise<unknown>): void {
    const why = 'was killed by a fault'
    if (this.restart) return this.restart(why)
    answering.catch(() => {}) // no caller waits for it
    throw new ApproxiferError('WORKER', `${this.name} ${why}`)
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#fail(new ApproxiferError('CLOSED', `${this.name} was closed`))
    await this.#inner.close()
  }

  #fail(error: ApproxiferError): void {
    for (const call of this.#open) call.settle(error)
  }

  /** Registers a call that an abort, a restart or a close rejects at once. */
  #opened(query: TensorList, signal?: AbortSignal): OpenCall {
    const call = new OpenCall(query, signal)
    const end = () => this.#open.delete(call)
    this.#open.add(call)
    call.answer.then(end, end)
    return call
  }

  /** A delayed call. After an abort the worker stays busy for as long as the call would have taken. */
  #slowly(query: TensorList, ms: number, signal: AbortSignal | undefined): Promise<TensorList> {
    const call = this.#opened(query, signal)
    if (call.settled) return call.answer
    const before = this.#last
    const work = async () => {
      await before
      if (call.settled) throw new ApproxiferError('ABORTED', 'nobody waits for it any more')
      return this.#later(await this.#inner.infer(query), ms)
    }
    const working = this.#hold(work())
    this.#last = working.catch(() => {})
    const settle = (outcome: TensorList | Error) => call.settle(outcome)
    working.then(settle, settle)
    return call.answer
  }

  /** The worker is not free until `work` settles. */
  async #hold(work: Promise<TensorList>): Promise<TensorList> {
    this.#held++
    try {
      return await work
    } finally {
      this.#held--
      this.onFree?.()
    }
  }

  /** The delayed answer. Only a restart or a close ends the delay. */
  #later(answer: TensorList, ms: number): Promise<TensorList> {
    const call = this.#opened(answer)
    const timer = setTimeout(() => call.settle(answer), ms)
    return call.answer.finally(() => clearTimeout(timer))
  }
}
