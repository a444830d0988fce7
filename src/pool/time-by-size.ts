/**
 * How service times depend on the size of a payload: they grow with a power of it, the same for all workers. The power is learned from successive
 * times of one worker; without it, workers with long payloads would count as slow.
 */

import { mean } from '../base/stats'

/** The resolution of some clocks is .1 ms: no time counts as shorter. */
export const LEAST_MS = 0.1
/** Pairs of times that are averaged over; with fewer than ENOUGH nothing is known. */
const WINDOW = 400
const ENOUGH = 16
/** A power within SURE standard errors of 0 counts as chance; others are shrunk towards 0 by as much. */
const SURE = 4
/** Attention grows with the square of a length; more is chance. */
const MOST = 2
/** Payloads share a run only if their times are within this factor: a short one would wait for a long one. */
const ALIKE = 2

interface Sized {
  readonly size: number
}

/** A worker's last time, for one payload alone. */
export interface LastTime {
  size: number
  ms: number
}

export class Scaling {
  /** 0: times do not depend on size. */
  #power = 0
  /** Logarithm of the size whose factor is 1: the geometric mean until the power is known, and fixed then, so that learned times stay comparable. */
  #typical = 0
  /** Moving averages of the squares and products of differences of logarithms. */
  readonly #means = { count: 0, size: 0, time: 0, both: 0 }

  /** The expected time of these payloads relative to one of typical size. @param payloads  one or more */
  factor(payloads: readonly Sized[]): number {
    return this.#power
      ? mean(payloads.map(({ size }) => Math.exp(this.#power * (Math.log(size || 1) - this.#typical))))
      : 1
  }

  /** Whether two payloads take about as long. */
  areAlike(a: Sized, b: Sized): boolean {
    return Math.abs(Math.log(this.factor([a]) / this.factor([b]))) <= Math.log(ALIKE)
  }

  /** @param last  the worker's last time; it is replaced @param payloads  in one run @param ms  what one of them would have taken alone */
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
