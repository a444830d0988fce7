/** A worker that is slow, hangs, dies, lies or talks rubbish on purpose. Never on the production path. */

import { aborted, onAbort } from '../abort'
import { checkInteger, checkNames, checkShare, checkString, expected, MOST_MS } from '../check'
import { ApproxiferError } from '../errors'
import { type Random, seeded } from '../random'
import type { ModelWorker } from '../workers/worker'
import { type Attack, parseAttack } from './attacks'

/** What goes wrong. Shares are probabilities per call, 0 by default. */
export interface Faults {
  /** Added to every answer; a pair is a range to draw from. The worker is at work meanwhile, on one call at a time. */
  delayMs?: number | readonly [number, number]
  /** Share of calls that never settle (until aborted, or the worker is restarted). */
  hang?: number
  /** Share of calls in which the worker is killed: it dies and starts again as after a real crash; without `restart` they fail. */
  crash?: number
  /** Share of answers that are NaN throughout. */
  garbage?: number
  /** Share of answers that are lies, told by `attack`. */
  lie?: number
  /** See `attackForms`. Default 'gauss:10'. */
  attack?: string
}

/** The longest that a timer can wait. */
const MOST_DELAY_MS = MOST_MS
const shares = ['hang', 'crash', 'garbage', 'lie'] as const

export class FaultyWorker implements ModelWorker {
  #faults: Faults = {}
  /** As the wrapped worker's; absent where that has none. */
  readonly restart?: (why: string) => void
  readonly #inner: ModelWorker
  readonly #random: Random
  readonly #open = new Set<(error: ApproxiferError) => void>()
  #hung = 0
  /** Calls that are delayed, or wait behind one that is. */
  #slow = 0
  /** Settles when the last of them has. */
  #line: Promise<unknown> = Promise.resolve()
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
    checkNames('faults', faults, [...shares, 'delayMs', 'attack'])
    for (const name of shares) checkShare(`faults.${name}`, faults[name] ?? 0, 'a share')
    const { delayMs = 0, attack = 'flip' } = faults
    const range = typeof delayMs === 'number' ? [delayMs, delayMs] : Array.isArray(delayMs) ? delayMs : []
    if (range.length !== 2 || !range.every((ms) => ms >= 0 && ms <= MOST_DELAY_MS) || range[0] > range[1]) {
      throw new RangeError(expected('faults.delayMs', 'milliseconds, or the least and the most of a range', delayMs))
    }
    parseAttack(checkString('faults.attack', attack))
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
    return !this.#hung && !this.#slow && this.#inner.free
  }

  get onFree() {
    return this.#inner.onFree
  }

  set onFree(listener: (() => void) | undefined) {
    this.#inner.onFree = listener
  }

  async infer(row: Float32Array, options: { signal?: AbortSignal } = {}): Promise<Float32Array> {
    const { delayMs = 0, hang = 0, crash = 0, garbage = 0, lie = 0, attack = 'gauss:10' } = this.faults
    const random = this.#random
    // Drawn before anything is awaited, so that a seed means the same whatever the timing.
    const draw = [random.next(), random.next(), random.next(), random.next(), random.next()]
    const told: Attack = parseAttack(attack)
    if (draw[0] < hang && !this.#closed) await this.#hang(options.signal)
    const wait = typeof delayMs === 'number' ? delayMs : delayMs[0] + draw[2] * (delayMs[1] - delayMs[0])
    const answering = wait > 0 ? this.#slowly(row, wait, options.signal) : this.#inner.infer(row, options)
    if (draw[1] < crash) this.#crash(answering)
    const answer = await answering
    if (draw[3] < garbage) return answer.fill(Number.NaN)
    return draw[4] < lie ? told([answer], random)[0] : answer
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
  #slowly(row: Float32Array, ms: number, signal: AbortSignal | undefined): Promise<Float32Array> {
    if (signal?.aborted) return Promise.reject(aborted(signal))
    this.#slow++
    const before = this.#line
    let gone = false
    const work = async () => {
      await before
      if (gone) throw new ApproxiferError('ABORTED', 'nobody waits for it any more')
      const answer = await this.#inner.infer(row)
      await this.#pause(ms)
      return answer
    }
    const working = work().finally(() => {
      this.#slow--
      this.onFree?.()
    })
    this.#line = working.catch(() => {})
    return new Promise((resolve, reject) => {
      const fail = (error: ApproxiferError) => {
        gone = true
        reject(error)
      }
      this.#open.add(fail)
      const forget = onAbort(signal, () => fail(aborted(signal as AbortSignal)))
      const settled = () => {
        this.#open.delete(fail)
        forget()
      }
      working.then(resolve, reject).finally(settled)
    })
  }

  async #hang(signal?: AbortSignal): Promise<void> {
    this.#hung++
    try {
      await this.#pause(undefined, signal)
    } finally {
      this.#hung--
      this.onFree?.()
    }
  }

  /** Resolves after `ms`, or never; rejects on abort, restart and close. */
  #pause(ms: number | undefined, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const settle = () => {
        clearTimeout(timer)
        this.#open.delete(fail)
        forget()
      }
      const fail = (error: ApproxiferError) => {
        settle()
        reject(error)
      }
      const abort = () => fail(aborted(signal as AbortSignal))
      const done = () => {
        settle()
        resolve()
      }
      const timer = ms === undefined ? undefined : setTimeout(done, ms)
      this.#open.add(fail)
      const forget = onAbort(signal, abort)
      if (signal?.aborted) abort()
    })
  }
}
