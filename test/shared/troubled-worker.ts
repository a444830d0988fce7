/** A worker whose mood changes, in made time; restarted, it is well again. Its answers are twice the row. */

import type { ModelWorker } from 'approxifer'
import { vectorOf } from '../../src/base/payload'
import type { Random } from '../../src/base/random'
import type { TensorList } from '../../src/base/tensor'
import type { VirtualClock } from '../../src/testing/virtual-clock'
import { listOf } from './vectors'

export const moods = [
  'slow',
  'silent',
  'dead',
  'nan',
  'short',
  'rubbish',
  'rejects',
  'throws',
  'changed',
  'babbles',
  'reuses',
  'aborts',
] as const
export type Mood = 'well' | (typeof moods)[number]

const signature = { inputs: [{ name: 'x', shape: [2] }], outputs: [{ name: 'y', shape: [2] }] }
/** What a model with one output less would say of itself. */
const changed = { inputs: signature.inputs, outputs: [{ name: 'y', shape: [1] }] }

export class MoodyWorker implements ModelWorker {
  onFree: (() => void) | undefined
  /** Called once, from inside of the next call. */
  onCall: (() => void) | undefined
  mood: Mood = 'well'
  /** Every other one has a second call behind the one that it is at work on. */
  readonly takesNext: boolean
  /** When it will have done with all that it has. */
  #doneAt = 0
  readonly name: string
  readonly #clock: VirtualClock
  readonly #random: Random
  readonly #open = new Set<(error: Error) => void>()
  readonly #buffer = new Float32Array(2)

  constructor(index: number, clock: VirtualClock, random: Random) {
    this.name = `w${index}`
    this.takesNext = index % 2 === 1
    this.#clock = clock
    this.#random = random
  }

  get signature() {
    return this.mood === 'changed' ? changed : signature
  }

  get free(): boolean {
    return this.mood !== 'dead' && this.#open.size < (this.takesNext ? 2 : 1)
  }

  infer(query: TensorList): Promise<TensorList> {
    const row = vectorOf(query)
    const { mood } = this
    const called = this.onCall
    this.onCall = undefined
    called?.()
    if (mood === 'throws') throw new Error('thrown')
    if (mood === 'dead' || mood === 'rejects') return Promise.reject(new Error('no'))
    if (mood === 'aborts') return Promise.reject(Object.assign(new Error('not I'), { code: 'ABORTED' }))
    return new Promise((resolve, reject) => {
      const fail = (error: Error) => {
        this.#open.delete(fail)
        reject(error)
      }
      this.#open.add(fail)
      if (mood === 'babbles') this.onFree?.() // it has a call
      if (mood === 'silent') this.#doneAt = Number.POSITIVE_INFINITY
      if (this.#doneAt === Number.POSITIVE_INFINITY) return
      const ms = (mood === 'slow' ? 80 : 5) * (0.5 + this.#random.next())
      this.#doneAt = Math.max(this.#doneAt, this.#clock.now()) + ms
      this.#clock.after(this.#doneAt - this.#clock.now(), () => {
        if (mood === 'babbles') this.onFree?.()
        if (!this.#open.delete(fail)) return
        resolve(listOf(this.#answer(mood, row)))
        this.onFree?.()
        if (mood === 'babbles') this.#clock.after(1, () => this.onFree?.())
      })
    })
  }

  #answer(mood: Mood, row: Float32Array): Float32Array {
    if (mood === 'nan') return row.map(() => Number.NaN)
    if (mood === 'short' || mood === 'changed') return row.subarray(1)
    if (mood === 'rubbish') return this.#random.next() < 0.5 ? (null as never) : ('?' as never)
    const answer = row.map((x) => 2 * x)
    if (mood !== 'reuses') return answer
    this.#buffer.set(answer)
    return this.#buffer
  }

  restart(why: string): void {
    this.mood = 'dead'
    this.#doneAt = 0
    for (const fail of [...this.#open]) fail(new Error(why))
    this.#clock.after(20, () => {
      this.mood = 'well'
      this.onFree?.()
    })
  }

  async close(): Promise<void> {
    this.mood = 'dead'
    for (const fail of [...this.#open]) fail(new Error('closed'))
  }
}
