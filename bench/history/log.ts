/** What happened, as the checker of histories wants it: compact, and only where it is asked for. */

import { labelAt } from '../../src/base/criterion'
import type { Entry } from '../../test/simulation/history'

/** This thread looks so often whether it had its turn; it had none for longer. */
const BEAT_MS = 10
const STALL_MS = 15

type Noted = Entry extends infer Each ? (Each extends Entry ? Omit<Each, 'at'> : never) : never

/** One caller's query: an image whose first value is like no other's, and what the bare model says of it. */
export interface Question {
  query: number
  image: Float32Array
  own: Float32Array
}

export const labelOf = (answer: ArrayLike<number>) => labelAt(answer, { classes: answer.length })

/** How far an answer is from the model's own, and whether it has its label. */
export function compared(told: ArrayLike<number>, { own }: Question): { off: number; label: boolean; says: number } {
  const isOwn = own.every((value, i) => Object.is(value, told[i]))
  const off = isOwn ? 0 : Math.max(...own.map((value, i) => Math.abs(value - told[i])))
  return { off: isOwn ? 0 : off || Number.MIN_VALUE, label: labelOf(own) === labelOf(told), says: labelOf(told) }
}

export class Log {
  readonly entries: Entry[] = []
  readonly #open = new Map<number, Question>()
  readonly #beat = setInterval(() => this.#look(), BEAT_MS)
  #lookedAt = performance.now()
  #turn: number | undefined

  /** When this turn began: what ends within one ends at once, though callers hear of it one after the other. */
  get now(): number {
    if (this.#turn === undefined) setImmediate(() => (this.#turn = undefined))
    return (this.#turn ??= performance.now())
  }

  end(): void {
    clearInterval(this.#beat)
  }

  /** Before anything else is noted, so that what is late after a stall is known to be. */
  #look(): void {
    const at = performance.now()
    const ms = at - this.#lookedAt
    this.#lookedAt = at
    if (ms > STALL_MS) this.entries.push({ at, what: 'stalled', ms })
  }

  note(entry: Noted, at = this.now): void {
    this.#look()
    this.entries.push({ at, ...entry } as Entry)
  }

  opens(question: Question): void {
    this.#open.set(question.image[0], question)
  }

  /** @param lateMs  for which answers may still come */
  closes({ image }: Question, lateMs: number): void {
    setTimeout(() => this.#open.delete(image[0]), lateMs).unref()
  }

  /** Whose row it is; undefined: it was mixed of several. */
  queryOf(row: Float32Array): number | undefined {
    const question = this.#open.get(row[0])
    return question?.image.every((value, i) => value === row[i]) ? question.query : undefined
  }
}
