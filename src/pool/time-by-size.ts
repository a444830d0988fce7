/**
 * What the size of a payload tells of how long it takes: times grow with a power of it, the same for all workers. That is learned from pairs
 * of times in a row of one worker, since long payloads would else be taken for slow workers.
 */

import { mean } from '../base/stats'

/** Clocks tick, some of them in steps of .1 ms: nothing counts as faster than this. */
export const LEAST_MS = 0.1
/** Pairs of times that are averaged over; with fewer than these nothing is known. */
const WINDOW = 400
const ENOUGH = 16
/** A power within SURE standard errors of 0 is taken for chance; others are shrunk towards 0 by as much. */
const SURE = 4
/** Attention takes the square of a length; what is beyond is chance, too. */
const MOST = 2
/** Payloads whose times are within this factor of another share a run: a short one would wait for a long one. */
const ALIKE = 2

/** Values in a payload. */
interface Sized {
  readonly size: number
}

/** A worker's last time, for one payload alone. */
export interface LastTime {
  size: number
  ms: number
}

export class Scaling {
  /** 0: sizes tell nothing. */
  #power = 0
  /** Logarithm of the size that counts as 1: the geometric mean until there is a power, so that what was learned of times still holds. */
  #typical = 0
  /** Moving averages, of differences of logarithms: their squares, and the product of both. */
  readonly #means = { count: 0, size: 0, time: 0, both: 0 }

  /** How many times as long as one of typical size these take, each. @param payloads  one or more */
  factor(payloads: readonly Sized[]): number {
    return this.#power
      ? mean(payloads.map(({ size }) => Math.exp(this.#power * (Math.log(size || 1) - this.#typical))))
      : 1
  }

  /** Whether two take about as long. */
  areAlike(a: Sized, b: Sized): boolean {
    return Math.abs(Math.log(this.factor([a]) / this.factor([b]))) <= Math.log(ALIKE)
  }

  /** @param last  of the worker; it is replaced @param payloads  in one run @param ms  that one of them would have taken alone */
  add(last: LastTime, payloads: readonly Sized[], ms: number): void {
    const before = last.size
    const took = Math.max(LEAST_MS, ms)
    last.size = payloads.length === 1 ? payloads[0].size : mean(payloads.map(({ size }) => size))
    if (last.size !== before && before && last.size)
      this.#learn(last.size, Math.log(last.size / before), Math.log(took / last.ms))
    last.ms = took
  }

  #learn(own: number, size: number, time: number): void {
    const means = this.#means
    means.count = Math.min(WINDOW, means.count + 1)
    const rate = 1 / means.count
    means.size += rate * (size * size - means.size)
    means.time += rate * (time * time - means.time)
    means.both += rate * (size * time - means.both)
    if (!this.#power) this.#typical += rate * (Math.log(own) - this.#typical)
    const power = means.both / means.size
    const chance = (SURE ** 2 * (means.time - power * means.both)) / (means.count * means.size * power ** 2)
    this.#power = power > 0 && means.count >= ENOUGH ? Math.min(MOST, power * Math.max(0, 1 - chance)) : 0
  }
}
