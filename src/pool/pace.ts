/** How long attempts keep a slot busy, and how much what they take differs: what tells whether one that waits can be answered in time. */

/** Attempts that are averaged over; with fewer than these nothing is known. */
const WINDOW = 100
const ENOUGH = 20
/** Times do not differ by less than this, in logarithms: they are not known better. */
const LEAST_DEVIATION = 0.03

export class Pace {
  readonly #busy = { count: 0, ms: 0 }
  /** How many go in one run. */
  rows = 1
  /** Logarithms of what attempts of typical size take at workers of typical speed. */
  readonly #law = { count: 0, mean: 0, variance: 0 }

  /** Milliseconds that an attempt keeps a slot busy; undefined while nobody knows. */
  get meanMs(): number | undefined {
    return this.#busy.count < ENOUGH ? undefined : this.#busy.ms
  }

  /** Attempts kept a slot busy for so long, each. */
  add(ms: number, count: number): void {
    const busy = this.#busy
    busy.count = Math.max(count, Math.min(WINDOW, busy.count + count))
    busy.ms += (count / busy.count) * (ms - busy.ms)
    this.rows += (count / busy.count) * (count - this.rows)
  }

  /** @param log  of the milliseconds that one took */
  see(log: number): void {
    const law = this.#law
    law.count = Math.min(WINDOW, law.count + 1)
    const off = log - law.mean
    law.mean += off / law.count
    law.variance += (off * (log - law.mean) - law.variance) / law.count
  }

  /** Share of attempts that are answered within so many milliseconds, were they lognormal. */
  chance(ms: number): number {
    const { count, mean, variance } = this.#law
    if (count < ENOUGH) return 1
    if (ms <= 0) return 0
    const z = (Math.log(ms) - mean) / Math.max(LEAST_DEVIATION, Math.sqrt(variance))
    return 1 / (1 + Math.exp(-z * (1.5976 + 0.07056 * z * z))) // the normal distribution, within .0002 (Bowling and others, 2009)
  }
}
