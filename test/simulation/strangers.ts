/** What strangers answer where anybody may join: a word counts once it is earned, and few of those that are given are wrong. */

import type { Entry } from './entries'

/** Wrong answers beyond what is expected at most. */
const CHANCE = 40
const TICK = 1e-6

export class Strangers {
  /** Right answers of each identity, within rounding. */
  readonly #earned = new Map<string, number>()
  #wrong = 0

  constructor(private readonly breaks: (at: number, line: string, why: string) => void) {}

  replied(identity: string, lied: boolean): void {
    this.#earned.set(identity, (this.#earned.get(identity) ?? 0) + Number(!lied))
  }

  answered(
    { at, query, off, status, confidence = 0, id }: Entry & { what: 'answered' },
    identity: string,
    { integrity, own, rounding, queries }: { integrity: number; own: string; rounding: number; queries: number },
  ): void {
    const isEarned = (this.#earned.get(identity) ?? 0) * (1 - integrity) > 1 - TICK
    const isWrong = identity === own ? off > 0 : !isEarned
    if (isWrong)
      this.breaks(at, 'a worker without trust gives no answer', `query ${query}, by ${identity}, off by ${off}`)
    const isTold = identity === own ? status === 'exact' : status === 'audited' && confidence < 1 && id !== undefined
    if (!isTold)
      this.breaks(at, 'an untrusted worker’s answer is audited', `query ${query}, by ${identity}, is ${status}`)
    this.#wrong += Number(off > rounding)
    if (this.#wrong > (1 - integrity) * queries + CHANCE) this.breaks(at, 'few answers of untrusted workers are wrong', `${this.#wrong}`) // biome-ignore format: one line
  }
}
