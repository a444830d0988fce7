/** The caller of a query: its promise, deadline and signal. It settles once. */

import { aborted, onAbort } from '../base/abort'
import type { Choices, OwnChoices } from '../base/choices'
import type { ApproxiferError } from '../base/errors'
import type { Ending, Prediction } from '../base/prediction'
import type { Trace } from '../events'
import { NORMAL, type Turn } from '../pool/attempt'

/** Called with how a query ended, and whose it was: `caller.ending` is known then. */
export type Ended = (caller: WaitingCaller, outcome: Prediction | ApproxiferError) => void

const NOTHING: OwnChoices = Object.freeze({})

export class WaitingCaller {
  readonly since: number
  readonly dueAt: number
  readonly choices: Required<Choices>
  readonly turn: Turn
  readonly said: OwnChoices
  /** Number of the query in events. */
  readonly query: number
  readonly trace: Trace | undefined
  readonly traceparent: string | undefined
  #resolve: ((prediction: Prediction) => void) | undefined
  #reject: ((error: ApproxiferError) => void) | undefined
  #unlisten: (() => void) | undefined
  #leave: ((error: ApproxiferError) => void) | undefined
  /** How it ended; undefined while it waits. Set here only. */
  ending: Ending | undefined

  /**
   * @param since       now
   * @param deadlineMs  how long it waits at most
   * @param turn        its tenant or caller, and its priority
   * @param said        the choices of this query alone
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

  /** @param leave  called once when its signal fires, at once if it has already */
  listen(signal: AbortSignal | undefined, leave: (error: ApproxiferError) => void): void {
    this.relisten(leave)
    this.#unlisten?.()
    if (!signal) return
    const abort = () => this.leave(aborted(signal))
    this.#unlisten = onAbort(signal, abort)
    if (signal.aborted) abort() // the signal fired while the query was being sent
  }

  /** Another call was made for it: `leave` ends that one from now on. */
  relisten(leave: (error: ApproxiferError) => void): void {
    this.#leave = leave
  }

  /** It does not want an answer any more: its call is dropped. */
  leave(error: ApproxiferError): void {
    this.#leave?.(error)
  }

  /** Settles the promise. @param ended  called first */
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

/** A caller that stands for others, for instance for several callers with the same query: it passes the outcome on to them. */
export class SharedCaller extends WaitingCaller {
  /** @param first  the caller whose choices and deadline it takes @param since  now */
  constructor(
    first: Pick<WaitingCaller, 'choices' | 'dueAt' | 'turn'> & Partial<Pick<WaitingCaller, 'said' | 'query' | 'trace'>>,
    since: number,
    resolve: (prediction: Prediction) => void,
    reject: (error: ApproxiferError) => void,
  ) {
    const { choices, dueAt, turn, said, query, trace } = first
    super(choices, since, dueAt - since, resolve, reject, turn, said, query, trace)
  }

  /** The callers that it stands for are counted, not this one. */
  override answer(prediction: Prediction): void {
    super.answer(prediction, nobody)
  }

  override fail(error: ApproxiferError): void {
    super.fail(error, nobody)
  }
}
