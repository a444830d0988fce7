/** A worker that is slow, hangs, dies, lies or answers garbage on purpose. Never on the production path. */

import { aborted, onAbort } from '../abort'
import { checkInteger, expected } from '../check'
import { ApproxiferError } from '../errors'
import { type Random, seeded } from '../random'
import type { ModelWorker } from '../workers/worker'
import { checkFaults, drawFaults, type Faults } from './faults'

export type { Faults } from './faults'

export class FaultyWorker implements ModelWorker {
  /** As the wrapped worker's; absent where that has none. */
  readonly restart?: (why: string) => void
  readonly #inner: ModelWorker
  readonly #random: Random
  #faults: Faults = {}
  /** Rejects what a restart or `close` ends. */
  readonly #open = new Set<(error: ApproxiferError) => void>()
  /** Calls that hang, are delayed, or wait behind one that is delayed. */
  #held = 0
  /** Settles when the last delayed call has. */
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

  /** Change it at any time; it holds for the calls that follow. @throws TypeError, RangeError for a wrong one */
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

  async infer(row: Float32Array, options: { signal?: AbortSignal } = {}): Promise<Float32Array> {
    const { hangs, crashes, delayMs, told } = drawFaults(this.faults, this.#random)
    if (hangs && !this.#closed) await this.#hold(this.#unlessEnded(new Promise<never>(() => {}), options.signal))
    const answering = delayMs > 0 ? this.#slowly(row, delayMs, options.signal) : this.#inner.infer(row, options)
    if (crashes) this.#crash(answering)
    return told(await answering)
  }

  /** A worker that nobody can restart cannot be killed either: the call fails. */
  #crash(answering: Promise<unknown>): void {
    const why = 'was killed by a fault'
    if (this.restart) return this.restart(why)
    answering.catch(() => {}) // nobody waits for it
    throw new ApproxiferError('WORKER', `${this.name} ${why}`)
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#fail(new ApproxiferError('CLOSED', `${this.name} was closed`))
    await this.#inner.close()
  }

  #fail(error: ApproxiferError): void {
    for (const reject of this.#open) reject(error)
  }

  /**
   * An abort, a restart or a close rejects at once, waiting calls too; after an abort the worker stays at work for as
   * long as it would have taken.
   */
  async #slowly(row: Float32Array, ms: number, signal: AbortSignal | undefined): Promise<Float32Array> {
    if (signal?.aborted) throw aborted(signal)
    const before = this.#last
    let isWanted = true
    const work = async () => {
      await before
      if (!isWanted) throw new ApproxiferError('ABORTED', 'nobody waits for it any more')
      const answer = await this.#inner.infer(row)
      await this.#pause(ms)
      return answer
    }
    const working = this.#hold(work())
    this.#last = working.catch(() => {})
    try {
      return await this.#unlessEnded(working, signal)
    } finally {
      isWanted = false
    }
  }

  /** The worker is not free until this settles. */
  async #hold<T>(work: Promise<T>): Promise<T> {
    this.#held++
    try {
      return await work
    } finally {
      this.#held--
      this.onFree?.()
    }
  }

  async #pause(ms: number): Promise<void> {
    let timer: ReturnType<typeof setTimeout> | undefined
    const over = new Promise((resolve) => {
      timer = setTimeout(resolve, ms)
    })
    await this.#unlessEnded(over).finally(() => clearTimeout(timer))
  }

  /** What this gives, unless an abort, a restart or a close comes first. */
  #unlessEnded<T>(work: Promise<T>, signal?: AbortSignal): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const abort = () => settle(() => reject(aborted(signal as AbortSignal)))
      const fail = (error: ApproxiferError) => settle(() => reject(error))
      const forget = onAbort(signal, abort)
      const settle = (how: () => void) => {
        this.#open.delete(fail)
        forget()
        how()
      }
      this.#open.add(fail)
      work.then(
        (value) => settle(() => resolve(value)),
        (error) => settle(() => reject(error)),
      )
      if (signal?.aborted) abort()
    })
  }
}
