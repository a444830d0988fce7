/** How fast workers are, so that rows go to those that answer first and a slow one is passed over, but not forgotten. */

/** A worker's last answers of which the median counts: one that was slow once (2 % of calls may be) is not a slow worker. */
const RECENT = 3
/** A row is kept from workers that fail for so many times what the fastest takes, in case another gets free. */
const FAILURE = 20
/** Workers that answer within so many times the time of another are as fast as it: their times differ by chance. */
const ALIKE = 2

/** Clocks tick, some of them in steps of .1 ms: nothing counts as faster than this. */
const LEAST_MS = 0.1

/** One worker's recent times. */
export class Pace {
  readonly #recent: number[] = []
  #ms: number | undefined

  /** What its next answer will take: Infinity for a worker that fails, undefined before the first outcome. */
  get ms(): number | undefined {
    return this.#ms
  }

  /** The last outcome alone; undefined before the first. */
  get lastMs(): number | undefined {
    return this.#recent.at(-1)
  }

  /** @param ms  Infinity for a failure: failing fast is not being fast */
  see(ms: number): void {
    this.#recent.push(ms)
    if (this.#recent.length > RECENT) this.#recent.shift()
    const sorted = [...this.#recent].sort((a, b) => a - b)
    this.#ms = sorted[(sorted.length - 1) >> 1]
  }
}

/** What all workers take, put in order now and then, so that to rank one costs a search and no look at the others. */
export class Speeds {
  readonly #paces: readonly Pace[]
  /** Ascending. */
  #ms: number[] = []
  /** Answers per millisecond of the first 0, 1, 2, ... of them together. */
  #rates: number[] = [0]
  #seen = 0

  constructor(paces: readonly Pace[]) {
    this.#paces = paces
  }

  /** Counts a worker's answer, which took so long, or its failure: Infinity. */
  see(pace: Pace, ms: number): void {
    const before = pace.ms ?? 0
    pace.see(ms)
    const after = pace.ms as number
    const changed = Math.max(before, LEAST_MS) * ALIKE < after || Math.max(after, LEAST_MS) * ALIKE < before
    if (!changed && ++this.#seen < this.#paces.length) return
    this.#seen = 0
    this.#ms = this.#paces.flatMap((each) => each.ms ?? []).sort((a, b) => a - b)
    this.#rates = [0]
    for (const each of this.#ms) this.#rates.push((this.#rates.at(-1) as number) + 1 / Math.max(each, LEAST_MS))
  }

  /**
   * How many rows have to wait before a worker of this pace is of use: the F faster ones together take R rows per
   * millisecond, so that a row with q others before it gets an answer from one of them in (q + 1 + F) / R.
   */
  patience({ ms = 0 }: Pace): number {
    const faster = below(this.#ms, this.#ms.length, Math.max(ms, LEAST_MS) / ALIKE)
    return faster ? Math.max(0, Math.ceil(ms * this.#rates[faster] - faster - 1)) : 0
  }

  /** How long a row waits for faster workers at most, whatever was expected of them, while one of this pace is idle. */
  patienceMs({ ms = 0 }: Pace): number {
    return Number.isFinite(ms) ? ms : FAILURE * Math.min(this.#ms[0] ?? 1, 1e3)
  }
}

/** How many of the first `size` numbers, which ascend, are below a value. */
export function below(sorted: ArrayLike<number>, size: number, value: number): number {
  let [from, to] = [0, size]
  while (from < to) {
    const middle = (from + to) >> 1
    if (sorted[middle] < value) from = middle + 1
    else to = middle
  }
  return from
}
