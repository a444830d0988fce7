/** Decides whether a server gets calls, and when it is checked: a state machine of four states, each with one timer; none while nobody asks. */

import { Cancellation, orAborted } from '../../base/abort'
import { ApproxiferError, asError } from '../../base/errors'
import { faultOf, type OipServer, ServerError } from './oip-server'
import type { HttpSettings } from './options'
import type { ServedModel } from './served-model'

/** Exponential backoff while a server is down: 100 ms, 200 ms, ... up to 10 s, each times a random factor of 0.5 to 1. */
const LEAST_BACKOFF_MS = 100
const MOST_BACKOFF_MS = 10_000
/** Time limit for the readiness request, which is slow only where a server still computes an aborted call. */
const READY_MS = 5000
/**
 * First time limit of a server that is down, doubled with each try, where the runtime limits connections: a server that hangs holds the
 * connection of its check for so long.
 */
const FIRST_TRY_MS = 1000
/** Failed calls in a row after which a server is examined. */
const MOST_FAILURES = 3
/** Shortest time between examinations that are due to closed connections, for a server that closes nearly every connection. */
const CALM_MS = 1000
/**
 * A busy server under examination is asked again after `leastMs`, doubled up to `mostMs`. A server that refuses everything for `downMs`
 * is down, unless two refusals were more than `gapMs` apart.
 */
const BUSY = { leastMs: 10, mostMs: 160, downMs: 30_000, gapMs: 5000 }
/**
 * A server that refuses calls with 503 is busy, not down, while it reports that it is ready. Readiness is requested if the server has not
 * answered anything for `silentMs`, and at the latest after `mostMs`. Asking at each refusal would be too often: with 1,145 answers two
 * gateways were refused 247 times.
 */
const READY = { silentMs: 1000, mostMs: 10_000 }

/** Gets no calls: the server cannot be reached, or has the wrong model. Timer: the next try. */
interface Down {
  readonly is: 'down'
  readonly why: ApproxiferError
  readonly since: number
  readonly tries: number
  /** As in `Checking`: the fleet is about to take its model. */
  isAwaited: boolean
}

/** Gets no calls until the check has ended. Timer: the time limit of the check, or its next try if the server was busy. */
interface Checking {
  readonly is: 'checking'
  /** True: an examination, which also checks the server's model. False: only readiness is checked. */
  whole: boolean
  /** Set if the server was down before the check: it counts as down until the check has passed. */
  down: Down | undefined
  /** It may be usable in a moment, and does not count as gone before the check has ended. */
  isAwaited: boolean
  /** The failed call that caused the check, if it indicates that the server is down. */
  why: ApproxiferError | undefined
  /** Aborts the current try. */
  cut: Cancellation
  done: Promise<ApproxiferError | undefined>
}

type HealthState =
  | Down
  | Checking
  /** Gets calls. Timer: the next check. */
  | { readonly is: 'ready' }
  | { readonly is: 'closed' }

export interface ServerEvents {
  /** The server is down. @param wasWell  it has passed an examination before */
  failed(error: ApproxiferError, wasWell: boolean): void
  /** An examination has ended; `error` is undefined if it has passed. */
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
  /** When the next examination is due; it starts once no call is open. */
  #dueAt = Number.POSITIVE_INFINITY
  #failures = 0
  /** Times of the last answer or successful readiness check, and of the last readiness check alone. */
  #heardAt = Number.NEGATIVE_INFINITY
  #readyAt = Number.NEGATIVE_INFINITY
  /** Times of the first and the last refusal since the last answer. */
  #refused: { since: number; at: number } | undefined
  #isAsleep = false

  constructor(
    private readonly server: OipServer,
    private readonly model: ServedModel,
    private readonly settings: HttpSettings,
    private readonly worker: WorkerOfServer,
  ) {
    const why = new ApproxiferError('WORKER', `${server.name} has not been reached yet`)
    this.#state = { is: 'down', why, since: settings.clock.now(), tries: 0, isAwaited: false }
  }

  get takesCalls(): boolean {
    return this.#state.is === 'ready' && !this.isDue
  }

  get isGone(): boolean {
    const state = this.#state
    return this.#down !== undefined && !((state.is === 'down' || state.is === 'checking') && state.isAwaited)
  }

  /** Whether the server could be reached at the last check, even with the wrong model. */
  get isThere(): boolean {
    return this.#state.is !== 'closed' && (!this.#down || this.#down.why.code === 'MODEL')
  }

  /** Milliseconds since the server was last usable; 0 while it is. */
  get downMs(): number {
    return this.#down ? this.settings.clock.now() - this.#down.since : 0
  }

  get isDue(): boolean {
    return this.settings.clock.now() >= this.#dueAt
  }

  /** The error for calls while the server cannot take any; undefined if it can, or may soon. */
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

  /** Checks that the server is ready, has the expected model, and answers. Never rejects. @returns the error, if any */
  examine(): Promise<ApproxiferError | undefined> {
    return this.#check(true)
  }

  /** Examines the server before an answer from it is accepted, if it is down or due for an examination: it may have another model. */
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

  /** Records a failed call. @param since  when it was sent */
  failed(error: ApproxiferError, since: number): void {
    const { busy, down, replaced } = faultOf(error)
    const state = this.#state
    if (this.#down || state.is === 'closed') return
    if (error.code === 'ABORTED') {
      // The call's connection was dropped: the server may still compute it, or be gone, unless it has answered another call since.
      if (state.is !== 'ready' || this.#heardAt <= since) void this.#check(false)
    } else if (busy) {
      // The worker gives a busy server a pause. It is checked only if it was busy for too long, or may be down.
      const isDown = this.#refuses()
      if (isDown || (busy === 'perhaps' && this.#isReadyDoubtful)) void this.#check(isDown)
    } else if (down) {
      // An examination decides whether it is down: behind one address there may be several servers, of which another takes the next call.
      void this.#check(true, error)
    } else if (++this.#failures >= MOST_FAILURES || replaced) this.#dueAt = Number.NEGATIVE_INFINITY
  }

  /** Records a refusal. @returns whether the server has refused everything for so long that it is down */
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

  /** Called when no call is open any more; starts an examination that is due. */
  settled(): void {
    if (this.#state.is === 'ready' && this.isDue && this.worker.isIdle() && !this.#isAsleep) void this.#check(true)
  }

  /**
   * Asleep no check begins by itself; one that runs ends first. On waking the server is checked if it has been silent, and at once if it is
   * down: the query that woke it waits for the outcome.
   */
  sleep(isAsleep: boolean): void {
    const { is } = this.#state
    if (isAsleep === this.#isAsleep || is === 'closed') return
    this.#isAsleep = isAsleep
    if (is === 'checking') return
    if (isAsleep) this.#cancel?.()
    else if (is === 'ready') this.#checkNow()
    else {
      void this.#check(true)
      this.awaited()
    }
  }

  /** A server that is down may be usable in a moment: queries wait for it instead of failing. */
  awaited(): void {
    const state = this.#state
    if (state.is !== 'down' && state.is !== 'checking') return
    state.isAwaited = true
    this.worker.changed()
  }

  /** The server closed a connection, perhaps because it restarts with another model. @param isUsual  it closes nearly every connection */
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

  /** The server's model is now the expected one. If it was refused before it is examined at once, and does not count as gone meanwhile. */
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

  /** Starts a check, or joins the one that is running. */
  #check(whole: boolean, why?: ApproxiferError): Promise<ApproxiferError | undefined> {
    const state = this.#state
    if (state.is === 'closed') return Promise.resolve(this.refusal)
    if (whole) this.#dueAt = Number.POSITIVE_INFINITY
    if (state.is === 'checking') {
      state.whole ||= whole
      state.why ??= why
      return state.done
    }
    const isAwaited = state.is === 'down' && state.isAwaited
    const check = { is: 'checking', whole, down: this.#down, isAwaited, why, cut: new Cancellation() } as Checking
    this.#state = check
    check.done = this.#run(check)
    return check.done
  }

  async #run(check: Checking): Promise<ApproxiferError | undefined> {
    let error = await this.#ask(check)
    // A server that was up and is too busy for the check does not count as down, unless that lasts.
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
    if (this.#state !== check) return error // it was closed meanwhile
    if (error) this.#fall(error)
    else this.#pass(check)
    if (check.whole) this.worker.examined(error)
    return error
  }

  async #ask(check: Checking): Promise<ApproxiferError | undefined> {
    const { clock, connections, timeoutMs } = this.settings
    const mostMs = connections && check.down ? FIRST_TRY_MS * 2 ** check.down.tries : Number.POSITIVE_INFINITY
    try {
      await this.#within(Math.min(READY_MS, mostMs), check, async (abort) => {
        await this.server.ready(abort)
        this.#readyAt = clock.now()
      })
      if (check.whole) await this.#within(Math.min(timeoutMs, mostMs), check, (abort) => this.model.inspect(abort))
    } catch (thrown) {
      return asError(thrown, 'WORKER', `${this.server.name}: `)
    }
  }

  async #within(ms: number, { cut }: Checking, ask: (abort: Cancellation) => Promise<void>): Promise<void> {
    const { connections } = this.settings
    const release = connections && (await connections.acquireForCheck(cut))
    const text = `${this.server.name} has not answered for ${ms} ms`
    this.#after(ms, () => cut.abort(new ServerError('WORKER', text, { down: true })))
    const asked = ask(cut)
    if (release) asked.then(release, release)
    await orAborted(cut, asked)
  }

  #pass({ whole }: Checking): void {
    const { clock, healthMs, probe } = this.settings
    const now = clock.now()
    this.#heardAt = now
    if (whole) {
      this.#failures = 0
      this.#refused = undefined
      this.#examinedAt = now
      this.#dueAt = Math.min(this.#dueAt, now + probe.everyMs + healthMs * Math.random()) // so that not all servers are examined at once
    }
    this.#state = { is: 'ready' }
    this.#checkLater()
    this.settled()
    this.worker.changed()
  }

  /** Marks the server as down until an examination passes. */
  #fall(why: ApproxiferError): void {
    const { since = this.settings.clock.now(), tries = 0 } = this.#down ?? {}
    this.#state = { is: 'down', why, since, tries: tries + 1, isAwaited: false }
    const backoff = Math.min(LEAST_BACKOFF_MS * 2 ** tries, MOST_BACKOFF_MS)
    const { retryMs } = faultOf(why)
    const ms = retryMs === undefined ? backoff * (0.5 + 0.5 * Math.random()) : Math.max(LEAST_BACKOFF_MS, retryMs)
    this.#later(ms, () => void this.#check(true))
    this.model.forgetFormat()
    this.worker.failed(why, this.#examinedAt > Number.NEGATIVE_INFINITY) // the fleet may take its model, and await it
    this.worker.changed()
  }

  /** Sets the timer for the next check of an idle server. */
  #checkLater(): void {
    const ms = this.settings.healthMs * (0.8 + 0.2 * Math.random())
    const dueMs = this.#dueAt - this.settings.clock.now()
    this.#later(dueMs > 0 ? Math.min(ms, dueMs) : ms, () => this.#checkNow())
  }

  #checkNow(): void {
    this.#checkLater()
    this.settled()
    const { clock, healthMs } = this.settings
    const state = this.#state
    const isSilent = state.is === 'ready' && clock.now() - this.#heardAt >= healthMs / 2
    if (isSilent && this.worker.isIdle()) void this.#check(false)
  }

  /** Sets the timer of the next check; none while nobody asks. */
  #later(ms: number, f: () => void): void {
    this.#cancel?.()
    if (!this.#isAsleep) this.#after(ms, f)
  }

  /** Sets the state's timer, which does not keep the process alive. */
  #after(ms: number, f: () => void): void {
    this.#cancel?.()
    this.#cancel = this.settings.clock.after(ms, f, true)
  }
}
