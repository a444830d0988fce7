/**
 * A worker of the simulation: takes its time by its law, has its moods, and may lie. What it draws depends on the row that it gets, and on nothing
 * that happened before: what befalls a query is the same where other events are left out.
 */

import type { ModelWorker } from 'approxifer'
import { checksum } from '../../src/base/checksum'
import { ROUNDING } from '../../src/base/criterion'
import { ApproxiferError } from '../../src/base/errors'
import { type Random, seeded } from '../../src/base/random'
import type { Signature, TensorList } from '../../src/base/tensor'
import type { VirtualClock } from '../../src/testing/virtual-clock'
import { listOf } from '../shared/vectors'
import { type Other, signatureOf, turned } from './elements'
import { ownAnswer, strategies } from './model'
import type { Machine, Mood } from './schedule'

export const moods = ['slow', 'silent', 'dead', 'nan', 'short', 'rejects', 'throws', 'aborts', 'babbles', 'reuses', 'busy'] as const // biome-ignore format: one line

/** Told by and to all who share an identity. */
export interface Lying {
  strategy: string | undefined
  share: number
}

/** What an actor tells of its calls. */
export interface Witnessed {
  /** Which model all have now. */
  readonly model: number
  /** Whether a worker that runs it goes down. */
  isDeadly(row: Float32Array): boolean
  killed(actor: Actor, row: Float32Array): void
  /** @param fits  whether it takes one more */
  given(actor: Actor, row: Float32Array, fits: boolean): void
  /** @param how  whether the answer is another than its model's, and within rounding of that */
  replied(actor: Actor, row: Float32Array, told: Float32Array, how: { lied: boolean; isNear: boolean }): void
  /** It has done with a call, or was made to. @param ms  that it was at work on nothing else */
  ended(actor: Actor, ms: number): void
}

interface Call {
  /** When the worker began with it, as far as can be told. */
  startedAt: number
  isWanted: boolean
  settle(outcome: TensorList | Error): void
  cancel(): void
}

export class Actor implements ModelWorker {
  readonly signature: Signature
  readonly name: string
  readonly identity: string
  readonly trusted: boolean
  readonly slots: number
  readonly takesNext: boolean
  readonly maxBatch: number
  readonly restart?: (why: string) => void
  onFree: (() => void) | undefined
  mood: Mood = 'well'
  /** What tells its model from others, where that is told. */
  fingerprint: string | undefined
  isClosed = false
  /** Calls that it is at work on, also where nobody waits for them. */
  readonly #open = new Set<Call>()
  /** When it will have done with all that it has, where it does one after the other. */
  #doneAt = 0
  readonly #seed: number
  /** Moods that it has fallen into. */
  #falls = 0
  /** Used again and again: one for each row of a call. */
  readonly #buffers: Float32Array[] = []

  constructor(
    readonly machine: Machine,
    readonly lying: Lying,
    readonly clock: VirtualClock,
    readonly witnessed: Witnessed,
    seed: number,
    element?: Other,
  ) {
    this.signature = signatureOf(element)
    const { name, identity, slots, takesNext, batch, restarts, trusted = false } = machine
    this.name = name
    this.identity = identity
    this.trusted = trusted
    this.slots = slots
    this.maxBatch = batch
    this.takesNext = takesNext && slots === 1
    this.#seed = seed
    if (restarts) this.restart = (why) => this.#restart(why)
  }

  get scales(): readonly number[] | undefined {
    const { scale } = this.machine
    return scale === undefined ? undefined : this.signature.outputs.map(() => scale)
  }

  get open(): number {
    return this.#open.size
  }

  get free(): boolean {
    return this.mood !== 'dead' && this.#hasRoom
  }

  get #hasRoom(): boolean {
    return this.#open.size < (this.takesNext ? 2 : this.slots)
  }

  get gone(): boolean {
    return this.mood === 'dead' && !this.machine.restarts
  }

  infer(query: TensorList, { signal }: { signal?: AbortSignal } = {}): Promise<TensorList> {
    if (this.mood === 'throws') throw new Error('thrown')
    return this.#run([query], [signal])[0]
  }

  inferBatch(queries: readonly TensorList[], { signals = [] }: { signals?: readonly AbortSignal[] } = {}) {
    return this.#run(queries, signals)
  }

  #run(queries: readonly TensorList[], signals: readonly (AbortSignal | undefined)[]): Promise<TensorList>[] {
    const { mood } = this
    const rows = queries.map(([{ data }]) => (data as Float32Array).slice())
    for (const row of rows) this.witnessed.given(this, row, this.#hasRoom)
    const refusal =
      mood === 'busy'
        ? new ApproxiferError('OVERLOADED', 'its queue is full')
        : mood === 'aborts'
          ? Object.assign(new Error('not I'), { code: 'ABORTED' })
          : new Error('it takes none')
    if (['dead', 'rejects', 'throws', 'aborts', 'busy'].includes(mood) || !this.free)
      return rows.map(() => Promise.reject(refusal))
    const settles: Call['settle'][] = []
    const answers = rows.map(
      (_, i) =>
        new Promise<TensorList>((resolve, reject) => {
          const more = queries[i].slice(1).map((tensor) => ({ ...tensor, data: turned(tensor.data) }))
          settles.push((outcome) => (outcome instanceof Error ? reject(outcome) : resolve([...outcome, ...more])))
        }),
    )
    const call = this.#begin(rows, settles)
    if (mood === 'babbles') this.onFree?.() // it has a call
    for (const [i, signal] of signals.entries()) {
      signal?.addEventListener('abort', () => {
        settles[i](new DOMException('aborted', 'AbortError')) // as `fetch` says it
        call.isWanted = signals.some((each) => !each?.aborted)
        if (this.machine.stops && !call.isWanted) this.#end(call)
      })
    }
    return answers
  }

  #begin(rows: readonly Float32Array[], settles: readonly Call['settle'][]): Call {
    const { mood, clock } = this
    let cancel = () => {}
    const call: Call = {
      startedAt: clock.now(),
      isWanted: true,
      settle: (outcome) => {
        for (const settle of settles) settle(outcome)
      },
      cancel: () => cancel(),
    }
    this.#open.add(call)
    if (mood === 'silent') this.#doneAt = Number.POSITIVE_INFINITY
    const from = this.slots > 1 ? clock.now() : Math.max(this.#doneAt, clock.now())
    const ms = from - clock.now() + this.#ms(rows)
    if (mood === 'silent' || !Number.isFinite(ms)) return call
    this.#doneAt = clock.now() + ms
    cancel = clock.after(ms, () => {
      if (!this.#open.has(call)) return
      const deadly = rows.find((row) => this.witnessed.isDeadly(row))
      if (deadly) return this.#crash(deadly)
      for (const [i, row] of rows.entries()) this.#tell(mood, row, i, settles[i])
      this.#end(call)
    })
    return call
  }

  #end(call: Call): void {
    if (!this.#done(call)) return
    this.onFree?.()
    if (this.mood === 'babbles') this.clock.after(1, () => this.onFree?.())
  }

  /** @returns whether it had it */
  #done(call: Call): boolean {
    if (!this.#open.delete(call)) return false
    call.cancel()
    const now = this.clock.now()
    // Who says that it takes more has done, as far as can be seen, with what it has rejected.
    if (call.isWanted || (this.slots === 1 && !this.takesNext)) this.witnessed.ended(this, now - call.startedAt)
    if (this.slots === 1) for (const next of this.#open) next.startedAt = now
    if (!this.#open.size && this.#doneAt < Number.POSITIVE_INFINITY) this.#doneAt = Math.min(this.#doneAt, now) // it stopped
    return true
  }

  #ms(rows: readonly Float32Array[]): number {
    const { medianMs, deviation } = this.machine
    const slow = this.mood === 'slow' ? 16 : 1
    return slow * medianMs * Math.exp(deviation * this.#drawn('time', rows[0]).gauss()) * (1 + 0.5 * (rows.length - 1))
  }

  /** What it draws for a row. */
  #drawn(what: string, row: Float32Array): Random {
    const whose = new TextEncoder().encode(`${what} ${this.identity} ${row.join()}`)
    return seeded(this.#seed ^ Number.parseInt(checksum(whose).slice(0, 8), 16))
  }

  #tell(mood: Mood, row: Float32Array, place: number, settle: Call['settle']): void {
    if (mood === 'nan') return settle(listOf(row.map(() => Number.NaN)))
    if (mood === 'short') return settle(listOf(row.subarray(1)))
    const own = ownAnswer(row, this.witnessed.model).map((value) => value * (1 + this.machine.rounding))
    const { strategy, share } = this.lying
    const random = this.#drawn('lie', row)
    const lies = strategy !== undefined && random.next() < share
    const told = lies ? strategies[strategy](own, random, row) : own
    if (!told) return // it says nothing
    const lied = lies && told.some((value, i) => value !== own[i])
    this.witnessed.replied(this, row, told, { lied, isNear: isNear(told, own) })
    if (mood !== 'reuses') return settle(listOf(told))
    this.#buffers[place] ??= new Float32Array(2)
    this.#buffers[place].set(told)
    settle(listOf(this.#buffers[place]))
  }

  /** It goes down with what it runs, and is started again. */
  #crash(row: Float32Array): void {
    this.witnessed.killed(this, row)
    this.#restart('it went down with the query')
    this.onFree?.()
  }

  #restart(why: string): void {
    this.mood = 'dead'
    this.#fail(why)
    this.clock.after(20, () => {
      this.mood = 'well'
      this.onFree?.()
    })
  }

  #fail(why: string): void {
    this.#doneAt = 0
    for (const call of [...this.#open]) {
      this.#done(call)
      call.settle(new Error(why))
    }
  }

  async close(): Promise<void> {
    this.isClosed = true
    this.mood = 'dead'
    this.#fail('closed')
  }

  /** Its next calls are like this for a while, unless it falls into another mood meanwhile. */
  fall(mood: Mood, forMs: number): void {
    const fall = ++this.#falls
    this.change(mood)
    this.clock.after(forMs, () => {
      if (this.#falls === fall) this.change('well')
    })
  }

  /** One that was dead is well again or the other way round. */
  change(mood: Mood): void {
    if (this.mood === mood) return
    const wasSilent = this.mood === 'silent'
    this.mood = mood
    if (mood === 'dead' || wasSilent) this.#fail('it went down')
    this.onFree?.()
  }
}

/** By `verify.rounding`, over the size of the smaller one. */
function isNear(told: Float32Array, own: Float32Array): boolean {
  const size = Math.min(...[told, own].map((values) => Math.hypot(...values) / Math.sqrt(values.length)))
  return told.every((value, i) => Math.abs(value - own[i]) <= ROUNDING * size)
}
