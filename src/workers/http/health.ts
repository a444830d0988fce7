/** Whether a server gets calls, and when it is checked: a machine of four states, of which each has one timer. */

import { Cancellation, orAborted } from '../../base/abort'
import { ApproxiferError, asError } from '../../base/errors'
import { faultOf, type OipServer, ServerError } from './oip-server'
import type { HttpSettings } from './options'
import type { ServedModel } from './served-model'

/** Waits before a server that is down is tried again: 100 ms, 200 ms, ... up to the most, each times 0.5 to 1. */
const LEAST_BACKOFF_MS = 100
const MOST_BACKOFF_MS = 10_000
/** For the answer whether it is ready, which takes long only where a server is at work on a row that was given up. */
const READY_MS = 5000
/** Failed calls in a row after which a server is examined. */
const MOST_FAILURES = 3
/** Between an examination and the next because the server closed a connection, where it closes nearly every one. */
const CALM_MS = 1000
/**
 * A busy server that is being examined is asked again after `leastMs`, doubling to `mostMs`. One that has refused everything for `downMs` is
 * down, if it was asked that often: what lies further apart than `gapMs` is no sequence.
 */
const BUSY = { leastMs: 10, mostMs: 160, downMs: 30_000, gapMs: 5000 }
/**
 * A server that refuses calls with 503 is busy while it says that it is ready. It is asked where it has neither said that nor answered for
 * `silentMs`, and at the latest after `mostMs`: beside 1,145 answers two gateways were refused 247 times, and a question for each would be a fifth more requests.
 */
const READY = { silentMs: 1000, mostMs: 10_000 }

/** It gets no calls: it cannot be reached, or is not what it should be. Timer: the next try. */
interface Down {
  readonly is: 'down'
  readonly why: ApproxiferError
  readonly since: number
  readonly tries: number
}

/** It gets no calls until it has answered. Timer: how long it may take; where it was too busy to answer, when it is asked again. */
interface Checking {
  readonly is: 'checking'
  /** An examination: besides whether it is ready, whether it has the model that it should have, and answers. */
  whole: boolean
  /** It was down, and counts as down until a check has passed. */
  down: Down | undefined
  /** Of a call: what the server is suspected for, which may be down. */
  why: ApproxiferError | undefined
  /** Of each try, a new one. */
  cut: Cancellation
  done: Promise<ApproxiferError | undefined>
}

type HealthState =
  | Down
  | Checking
  /** It gets calls. Timer: the next check. */
  | { readonly is: 'ready' }
  | { readonly is: 'closed' }

export interface ServerEvents {
  /** It is down. @param wasWell  it has passed an examination before */
  failed(error: ApproxiferError, wasWell: boolean): void
  /** An examination has ended, with an error unless it was passed. */
  examined(error?: ApproxiferError): void
}

interface WorkerOfServer extends ServerEvents {
  isIdle(): boolean
  /** `takesCalls` or `isGone` may have changed. */
  changed(): void
}

export class Health {
  #state: HealthState
  #cancel: (() => void) | undefined
  #examinedAt = Number.NEGATIVE_INFINITY
  /** When it is to be examined again, as soon as no call is open. */
  #dueAt = Number.POSITIVE_INFINITY
  #failures = 0
  /** When it last answered a call or said that it is ready; and when it said the latter. */
  #heardAt = Number.NEGATIVE_INFINITY
  #readyAt = Number.NEGATIVE_INFINITY
  /** When it refused the first and the last of the calls since it answered one. */
  #refused: { since: number; at: number } | undefined

  constructor(
    private readonly server: OipServer,
    private readonly model: ServedModel,
    private readonly settings: HttpSettings,
    private readonly worker: WorkerOfServer,
  ) {
    const why = new ApproxiferError('WORKER', `${server.name} has not been reached yet`)
    this.#state = { is: 'down', why, since: settings.clock.now(), tries: 0 }
  }

  get takesCalls(): boolean {
    return this.#state.is === 'ready' && !this.isDue
  }

  get isGone(): boolean {
    return this.#down !== undefined
  }

  /** Whether it was there when it was asked last, if with another model than it should have. */
  get isThere(): boolean {
    return this.#state.is !== 'closed' && (!this.#down || this.#down.why.code === 'MODEL')
  }

  /** Milliseconds since it was as it should be. */
  get downMs(): number {
    return this.#down ? this.settings.clock.now() - this.#down.since : 0
  }

  get isDue(): boolean {
    return this.settings.clock.now() >= this.#dueAt
  }

  /** Why it cannot take calls; undefined where it can, or may in a moment. */
  get refusal(): ApproxiferError | undefined {
    const state = this.#state
    if (state.is === 'closed') return new ApproxiferError('CLOSED', `${this.server.name} is closed`)
    const why = this.#down?.why ?? (state.is === 'checking' ? state.why : undefined)
    return why && new ApproxiferError('WORKER', why.message)
  }

  get #down(): Down | undefined {
    const state = this.#state
    if (state.is === 'down') return state
    return state.is === 'checking' ? state.down : undefined
  }

  /** Whether it is ready, has the model that it should have, and answers. Never rejects. @returns what is wrong with it */
  examine(): Promise<ApproxiferError | undefined> {
    return this.#check(true)
  }

  /** Whether an answer that has come is the model's, which it may not be where the server is gone, or about to be examined. */
  verify(): Promise<ApproxiferError | undefined> | undefined {
    const state = this.#state
    const isDoubtful = this.isDue || this.#down || (state.is === 'checking' && state.whole)
    return isDoubtful ? this.examine() : undefined
  }

  answered(): void {
    this.#failures = 0
    this.#refused = undefined
    this.#heardAt = this.settings.clock.now()
  }

  /** A call failed. @param since  when it was sent */
  failed(error: ApproxiferError, since: number): void {
    const { busy, down, replaced } = faultOf(error)
    const state = this.#state
    if (this.#down || state.is === 'closed') return
    if (error.code === 'ABORTED') {
      // Its connection was dropped: the server may be at work on it all the same, or be gone, unless it has answered another call since.
      if (state.is !== 'ready' || this.#heardAt <= since) void this.#check(false)
    } else if (busy) {
      // Whoever asks leaves it alone for a while, as the error says: it is neither gone nor checked for that.
      const isDown = this.#refuses()
      if (isDown || (busy === 'perhaps' && this.#isReadyDoubtful)) void this.#check(isDown)
    } else if (down) {
      // It is examined before it counts as gone: one address may stand for many servers, of which another takes the next call.
      void this.#check(true, error)
    } else if (++this.#failures >= MOST_FAILURES || replaced) this.#dueAt = Number.NEGATIVE_INFINITY
  }

  /** It has refused one more. @returns whether it has refused all for so long that it is down */
  #refuses(): boolean {
    const at = this.settings.clock.now()
    const isNext = this.#refused && at - this.#refused.at <= BUSY.gapMs
    const since = isNext && this.#refused ? this.#refused.since : at
    this.#refused = { since, at }
    return at - since >= BUSY.downMs
  }

  get #isReadyDoubtful(): boolean {
    const now = this.settings.clock.now()
    return now - this.#heardAt >= READY.silentMs || now - this.#readyAt >= READY.mostMs
  }

  /** No call is open any more. */
  settled(): void {
    if (this.#state.is === 'ready' && this.isDue && this.worker.isIdle()) void this.#check(true)
  }

  /** The server closed a connection: that may have been the last of this model. @param isUsual  it closes nearly every one */
  dropped(isUsual: boolean): void {
    const state = this.#state
    if (state.is === 'checking' && state.whole && this.worker.isIdle()) return
    this.#dueAt = Math.min(this.#dueAt, isUsual ? this.#examinedAt + CALM_MS : Number.NEGATIVE_INFINITY)
    if (state.is === 'ready') this.#checkLater()
    this.settled()
  }

  refuse(why: ApproxiferError): void {
    const state = this.#state
    if (state.is === 'checking') state.whole = true
    else if (state.is === 'ready') this.#fall(why)
  }

  /** Its model is the one that it should have. If it was refused it is examined at once, and is not gone meanwhile. */
  accept(): void {
    if (this.#down?.why.code !== 'MODEL') return
    void this.#check(true)
    if (this.#state.is === 'checking') this.#state.down = undefined
    this.worker.changed()
  }

  close(): void {
    const state = this.#state
    this.#state = { is: 'closed' }
    this.#cancel?.()
    if (state.is === 'checking') state.cut.abort(new ApproxiferError('CLOSED', `${this.server.name} was closed`))
  }

  /** One check at a time: a second request meanwhile gets the outcome of the first. */
  #check(whole: boolean, why?: ApproxiferError): Promise<ApproxiferError | undefined> {
    const state = this.#state
    if (state.is === 'closed') return Promise.resolve(this.refusal)
    if (whole) this.#dueAt = Number.POSITIVE_INFINITY
    if (state.is === 'checking') {
      state.whole ||= whole
      state.why ??= why
      return state.done
    }
    const check = { is: 'checking', whole, down: this.#down, why, cut: new Cancellation() } as Checking
    this.#state = check
    check.done = this.#run(check)
    return check.done
  }

  async #run(check: Checking): Promise<ApproxiferError | undefined> {
    let error = await this.#ask(check)
    // It was well, and has no time to show that it is: that is no reason to be gone, unless it lasts.
    for (
      let ms = BUSY.leastMs;
      faultOf(error).busy && !check.down && !this.#refuses();
      ms = Math.min(2 * ms, BUSY.mostMs)
    ) {
      await orAborted(check.cut, new Promise<void>((resolve) => this.#after(ms, resolve))).catch(() => {})
      if (this.#state !== check) break
      check.cut = new Cancellation()
      error = await this.#ask(check)
    }
    if (this.#state !== check) return error // it was closed
    if (error) this.#fall(error)
    else this.#pass(check)
    if (check.whole) this.worker.examined(error)
    return error
  }

  async #ask(check: Checking): Promise<ApproxiferError | undefined> {
    try {
      await this.#within(READY_MS, check, async (abort) => {
        await this.server.ready(abort)
        this.#readyAt = this.settings.clock.now()
      })
      if (check.whole) await this.#within(this.settings.timeoutMs, check, (abort) => this.model.inspect(abort))
    } catch (thrown) {
      return asError(thrown, 'WORKER', `${this.server.name}: `)
    }
  }

  async #within(ms: number, { cut }: Checking, ask: (abort: Cancellation) => Promise<void>): Promise<void> {
    const text = `${this.server.name} has not answered for ${ms} ms`
    this.#after(ms, () => cut.abort(new ServerError('WORKER', text, { down: true })))
    await orAborted(cut, ask(cut))
  }

  #pass({ whole }: Checking): void {
    const { clock, healthMs, probe } = this.settings
    const now = clock.now()
    this.#heardAt = now
    if (whole) {
      this.#failures = 0
      this.#refused = undefined
      this.#examinedAt = now
      this.#dueAt = Math.min(this.#dueAt, now + probe.everyMs + healthMs * Math.random()) // not all servers at once
    }
    this.#state = { is: 'ready' }
    this.#checkLater()
    this.settled()
    this.worker.changed()
  }

  /** It is down until an examination finds otherwise. */
  #fall(why: ApproxiferError): void {
    const { since = this.settings.clock.now(), tries = 0 } = this.#down ?? {}
    this.#state = { is: 'down', why, since, tries: tries + 1 }
    const backoff = Math.min(LEAST_BACKOFF_MS * 2 ** tries, MOST_BACKOFF_MS)
    const { retryMs } = faultOf(why)
    const ms = retryMs === undefined ? backoff * (0.5 + 0.5 * Math.random()) : Math.max(LEAST_BACKOFF_MS, retryMs)
    this.#after(ms, () => void this.#check(true))
    this.model.forgetFormat()
    this.worker.changed()
    this.worker.failed(why, this.#examinedAt > Number.NEGATIVE_INFINITY)
  }

  /** While it is ready: an idle server is asked now and then whether it is there. */
  #checkLater(): void {
    const ms = this.settings.healthMs * (0.8 + 0.2 * Math.random())
    const dueMs = this.#dueAt - this.settings.clock.now()
    this.#after(dueMs > 0 ? Math.min(ms, dueMs) : ms, () => this.#checkNow())
  }

  #checkNow(): void {
    this.#checkLater()
    this.settled()
    const { clock, healthMs } = this.settings
    const state = this.#state
    const isSilent = state.is === 'ready' && clock.now() - this.#heardAt >= healthMs / 2
    if (isSilent && this.worker.isIdle()) void this.#check(false)
  }

  /** Sets its timer, which keeps no process alive. */
  #after(ms: number, f: () => void): void {
    this.#cancel?.()
    this.#cancel = this.settings.clock.after(ms, f, true)
  }
}
