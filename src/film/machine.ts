/** A machine of the film: it gives the answers that the model has given, each after a while, unless something is wrong with it. */

import { aborted, abortOf, onAbort } from '../base/abort'
import type { Clock } from '../base/clock'
import { ApproxiferError } from '../base/errors'
import { tensorsOf, vectorOf } from '../base/payload'
import type { Random } from '../base/random'
import type { Signature, TensorList } from '../base/tensor'
import { parseAttack } from '../testing/faults'
import type { ModelWorker } from '../workers/worker'
import { labelOf } from './digits'
import type { Fault } from './script'

/** One inference. Times are milliseconds of the film. */
export interface FilmCall {
  readonly machine: number
  /** Numbers of the digits in the query: several where it is a mixture; none where it was drawn by hand. */
  readonly digits: readonly number[]
  readonly began: number
  ended?: number
  /** `given up`: nobody waited for it any more. */
  outcome?: 'answered' | 'lie' | 'failed' | 'given up'
  label?: number
}

/** What the model has answered to a query, and which digits the query shows. */
export type RecordedAnswer = (query: Float32Array) => {
  readonly digits: readonly number[]
  readonly answer: Float32Array
}

export interface FilmMachineOptions {
  readonly clock: Clock
  /** Milliseconds of the film. */
  readonly now: () => number
  readonly signature: Signature
  readonly recorded: RecordedAnswer
  /** The machine's own: with the same seed another one takes the same times for its first, second, third answer. */
  readonly random: Random
  /** Every inference is added when it begins. */
  readonly calls: FilmCall[]
}

/** Milliseconds an answer; the share of answers that take STRAGGLE times as long by nature; and how much longer a slow machine takes. */
const [LEAST_MS, MOST_MS] = [200, 320]
const [STRAGGLERS, STRAGGLE] = [0.02, 3]
const SLOW = 6

const swap = parseAttack('swap')

export class FilmMachine implements ModelWorker {
  readonly name: string
  readonly interruptible = true
  /** It is never asked how large its answers are: it knows no answers but the recorded ones. */
  readonly scales = []
  onFree: (() => void) | undefined
  readonly #index: number
  readonly #options: FilmMachineOptions
  #fault: Fault | undefined
  /** Settles the call that it is at. */
  #settle: ((error?: Error) => void) | undefined
  #cancel: () => void = () => {}

  constructor(index: number, options: FilmMachineOptions) {
    this.name = `machine ${index + 1}`
    this.#index = index
    this.#options = options
  }

  get signature(): Signature {
    return this.#options.signature
  }

  get free(): boolean {
    return !this.#settle
  }

  get fault(): Fault | undefined {
    return this.#fault
  }

  set fault(fault: Fault | undefined) {
    const wasHung = this.#fault === 'hung'
    this.#fault = fault
    if (fault === 'hung') this.#cancel()
    else if (fault === 'dead') this.#settle?.(this.#refusal())
    else if (wasHung) this.#settle?.()
  }

  async infer(query: TensorList, options: { signal?: AbortSignal } = {}): Promise<TensorList> {
    if (!this.free) throw new ApproxiferError('OVERLOADED', `${this.name} is at work`)
    const { now, recorded, random, calls, signature } = this.#options
    const ms = (LEAST_MS + random.next() * (MOST_MS - LEAST_MS)) * (random.next() < STRAGGLERS ? STRAGGLE : 1)
    const { digits, answer } = recorded(vectorOf(query))
    const call: FilmCall = { machine: this.#index, digits, began: now() }
    calls.push(call)
    try {
      await this.#work(this.#fault === 'slow' ? SLOW * ms : ms, options)
      const lies = this.#fault === 'lying'
      const given = lies ? swap([answer.slice()], random)[0] : answer.slice()
      call.outcome = lies ? 'lie' : 'answered'
      call.label = labelOf(given)
      return tensorsOf(given, signature.outputs)
    } catch (error) {
      call.outcome = this.#fault === 'dead' ? 'failed' : 'given up'
      throw error
    } finally {
      call.ended = now()
      this.#settle = undefined
      queueMicrotask(() => this.onFree?.())
    }
  }

  /** Until the answer is ready, the call is aborted, or the machine dies. */
  #work(ms: number, options: { signal?: AbortSignal }): Promise<void> {
    return new Promise((resolve, reject) => {
      const abort = abortOf(options)
      const forget = abort ? onAbort(abort, () => this.#settle?.(aborted(abort))) : () => {}
      this.#settle = (error) => {
        this.#cancel()
        forget()
        if (error) reject(error)
        else resolve()
      }
      if (this.#fault === 'dead') this.#settle(this.#refusal())
      else if (this.#fault !== 'hung') this.#cancel = this.#options.clock.after(ms, () => this.#settle?.())
    })
  }

  #refusal(): ApproxiferError {
    return new ApproxiferError('WORKER', `${this.name} refused the connection`)
  }

  async close(): Promise<void> {}
}
