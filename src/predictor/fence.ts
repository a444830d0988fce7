/** Guards the user's own layers: one that throws costs its query and a warning. */

import { ApproxiferError, messageOf } from '../base/errors'
import type { Warn } from '../base/notices'
import type { Attempt } from '../pool/attempt'
import type { Call, Caller, Drop, Layer, Offer, Outcome, Service, Tried } from '../service'
import { Relay } from '../service'

export function fenced(layer: Layer, warn: Warn): Layer {
  return (next) => {
    const open = new WeakMap<Tried, FencedCall>()
    const beneath: Service = (query, caller) => {
      const call = open.get(query.tried)
      return call ? next(query, new FencedCaller(call, caller)) : next(query, caller)
    }
    const own = layer(beneath)
    return (query, caller) => {
      const call = new FencedCall(caller, warn)
      open.set(query.tried, call)
      call.start(() => own(query, call))
      return call
    }
  }
}

/** The call around a user's layer: nothing that the layer throws gets out. */
class FencedCall extends Relay implements Call {
  readonly #warn: Warn
  #call: Call | undefined
  /** Calls that the layer has made and that are not done. */
  #running = 0
  #isOpen = true
  #isDone = false
  #isBroken = false

  constructor(caller: Caller, warn: Warn) {
    super(caller)
    this.#warn = warn
  }

  start(ask: () => Call): void {
    this.try(() => {
      this.#call = ask()
    })
  }

  /** Runs code of the layer. */
  try(run: () => void): void {
    try {
      run()
    } catch (error) {
      this.#warn(`a layer of your own failed: ${messageOf(error)}`)
      if (this.#isBroken) return
      this.#isBroken = true
      void Promise.resolve().then(() => this.#fail(error)) // the caller may not know the call yet
    }
  }

  #fail(cause: unknown): void {
    const error = new ApproxiferError('WORKER', `a layer of your own failed: ${messageOf(cause)}`, { cause })
    this.settled({ kind: 'failure', error, blame: 'nobody' })
    this.try(() => this.#call?.drop('over'))
    this.#finish()
  }

  drop(why: Drop): void {
    this.#isOpen = false
    this.try(() => this.#call?.drop(why))
  }

  expire(): void {
    this.try(() => this.#call?.expire())
  }

  override settled(outcome: Outcome): void {
    if (!this.#isOpen) return
    this.#isOpen = false
    this.caller.settled(outcome)
  }

  override done(): void {
    if (this.#isDone) return
    this.#isDone = true
    this.caller.done?.()
  }

  /** A layer that has thrown cannot be relied on to say when it is done. */
  #finish(): void {
    if (this.#isBroken && !this.#running) this.done()
  }

  sent(): void {
    this.#running++
  }

  answered(): void {
    this.#running--
    this.#finish()
  }
}

/** Passes on to the layer what becomes of its own calls. */
class FencedCaller implements Caller {
  readonly #call: FencedCall
  readonly #caller: Caller

  constructor(call: FencedCall, caller: Caller) {
    this.#call = call
    this.#caller = caller
    call.sent()
  }

  began(attempt: Attempt): void {
    this.#call.try(() => this.#caller.began?.(attempt))
  }

  ended(attempt: Attempt): void {
    this.#call.try(() => this.#caller.ended?.(attempt))
  }

  offer(decode: () => Offer | undefined, isLost: boolean): void {
    this.#call.try(() => this.#caller.offer?.(decode, isLost))
  }

  settled(outcome: Outcome): void {
    this.#call.try(() => this.#caller.settled(outcome))
  }

  done(): void {
    this.#call.try(() => this.#caller.done?.())
    this.#call.answered()
  }
}
