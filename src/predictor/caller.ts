/** Who asked a query: its promise, its deadline and its signal. It settles once. */

import { aborted, onAbort } from '../base/abort'
import type { Choices, OwnChoices } from '../base/choices'
import type { ApproxiferError } from '../base/errors'
import type { Ending, Prediction } from '../base/prediction'
import type { Trace } from '../events'
import { NORMAL, type Turn } from '../pool/attempt'

/** Told how a query ended, and whose it was: `caller.ending` is known then. */
export type Ended = (caller: WaitingCaller, outcome: Prediction | ApproxiferError) => void

const NOTHING: OwnChoices = Object.freeze({})

export class WaitingCaller {
  readonly since: number
  readonly dueAt: number
  readonly choices: Required<Choices>
  readonly turn: Turn
  readonly said: OwnChoices
  /** Of its events. */
  readonly query: number
  readonly trace: Trace | undefined
  readonly traceparent: string | undefined
  #resolve: ((prediction: Prediction) => void) | undefined
  #reject: ((error: ApproxiferError) => void) | undefined
  #unlisten: (() => void) | undefined
  #leave: ((error: ApproxiferError) => void) | undefined
  /** How it ended; undefined while it waits. Written here alone. */
  ending: Ending | undefined

  /**
   * @param since       now
   * @param deadlineMs  how long it waits at most
   * @param turn        whose query it is, and before which others it goes
   * @param said        of the choices what the caller said of this query
   */
  constructor(
    choices: Required<Choices>,
    since: number,
    deadlineMs: number,
    resolve: (prediction: Prediction) => void,
    reject: (error: ApproxiferError) => void,
    turn = NORMAL,
    said: OwnChoices & { traceparent?: string } = NOTHING,
    query = 0,
    trace?: Trace,
  ) {
    this.said = said
    this.query = query
    this.trace = trace
    this.traceparent = said.traceparent
    this.choices = choices
    this.turn = turn
    this.since = since
    this.dueAt = since + deadlineMs
    this.#resolve = resolve
    this.#reject = reject
  }

  get isOpen(): boolean {
    return this.ending === undefined
  }

  /** @param leave  told once if it leaves: its signal fires, also where it has by now, or who asks for others says so */
  listen(signal: AbortSignal | undefined, leave: (error: ApproxiferError) => void): void {
    this.relisten(leave)
    this.#unlisten?.()
    if (!signal) return
    const abort = () => this.leave(aborted(signal))
    this.#unlisten = onAbort(signal, abort)
    if (signal.aborted) abort() // while it was being sent
  }

  /** Another query is asked for it: that is told if it leaves. */
  relisten(leave: (error: ApproxiferError) => void): void {
    this.#leave = leave
  }

  /** It wants no answer any more: what is asked for it by now is told. */
  leave(error: ApproxiferError): void {
    this.#leave?.(error)
  }

  /** Settles the promise. @param ended  told before the promise is */
  answer(prediction: Prediction, ended: Ended): void {
    const resolve = this.#resolve
    this.#end(prediction.status, prediction, ended)
    resolve?.(prediction)
  }

  fail(error: ApproxiferError, ended: Ended): void {
    const reject = this.#reject
    this.#end(error.code, error, ended)
    reject?.(error)
  }

  #end(ending: Ending, outcome: Prediction | ApproxiferError, ended: Ended): void {
    this.ending = ending
    this.#resolve = this.#reject = undefined
    this.#unlisten?.()
    this.#unlisten = this.#leave = undefined
    ended(this, outcome)
  }
}

const nobody = () => {}

/** Who asks in the place of others, as of several callers that have the same query: it is told how that ends, and tells them. */
export class SharedCaller extends WaitingCaller {
  /** @param first  whose choices and deadline it has @param since  now */
  constructor(
    first: Pick<WaitingCaller, 'choices' | 'dueAt' | 'turn'> & Partial<Pick<WaitingCaller, 'said' | 'query' | 'trace'>>,
    since: number,
    resolve: (prediction: Prediction) => void,
    reject: (error: ApproxiferError) => void,
  ) {
    const { choices, dueAt, turn, said, query, trace } = first
    super(choices, since, dueAt - since, resolve, reject, turn, said, query, trace)
  }

  /** Those that it asks for are counted, not it. */
  override answer(prediction: Prediction): void {
    super.answer(prediction, nobody)
  }

  override fail(error: ApproxiferError): void {
    super.fail(error, nobody)
  }
}
