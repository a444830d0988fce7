/** Decides whether reuse pays: compares the time that lookups and caching take with the workers' time that they save. */

/** Queries before the first decision, and between two decisions. */
const EVERY = 512
/**
 * While lookups do not pay, one query in SELDOM is looked up, since the memory may have become better; fewer if lookups would then take
 * more than the share LITTLE of the answers' time.
 */
const SELDOM = 16
const LITTLE = 0.01
/** Factor by which lookups must pay to be taken up again. */
const CLEARLY = 1.1

/** Worker time that a millisecond of lookup has to save: each query waits for the lookup and for its message. */
const WAITED = 2

export interface LookupCosts {
  lookupMs: number
  /** Mean time of a worker's answer. */
  inferenceMs: number | undefined
  /** Share of the queries that the memory answers. */
  share: number
}

/** Time that lookups took, and that their answers saved. */
export class Savings {
  /** Queries that were looked up, and the memory's time for them, ms. */
  lookups = 0
  lookupMs = 0
  /** Inferences saved, and the workers' time that they would have taken, ms. */
  saved = 0
  savedMs = 0

  addLookup(ms: number): void {
    this.lookups++
    this.lookupMs += ms
  }

  /** @param inferenceMs  mean time of an answer then; undefined while unknown */
  gave(inferenceMs = 0): void {
    this.saved++
    this.savedMs += inferenceMs
  }
}

/** `off`: lookups do not pay at present, so nothing is given without asking a worker, and at most one query in 16 is looked up. */
export type SavingStats = Pick<Savings, 'lookups' | 'lookupMs' | 'saved' | 'savedMs'> & { off: boolean }

/**
 * Time that it takes to cache an answer, ms: a constant, and a part for each byte of the query (`bench useless`: 20 to 40 us for 3 KB,
 * including copies that the garbage collector moves).
 */
const KEEPING_MS = { each: 0.02, byte: 1.2e-6 }

/** Number of recent queries whose hashes are known: at least this many, at most twice as many. */
const KNOWN = 8192

/** Decides whether equal queries are frequent enough for a cache to pay, by hashes of recent queries, which cost next to nothing. */
export class Repeats {
  /** Whether answers are cached. */
  isOn = true
  readonly #inferenceMs: () => number | undefined
  #known = new Set<number>()
  #before = new Set<number>()
  #queries = 0
  #found = 0
  #bytes = 0

  constructor(inferenceMs: () => number | undefined) {
    this.#inferenceMs = inferenceMs
  }

  /** Counts a query. @param bytes  of its values */
  saw(key: string, bytes: number): void {
    let hash = 0
    for (let i = 0; i < key.length; i++) hash = (Math.imul(31, hash) + key.charCodeAt(i)) | 0
    this.#found += Number(this.#known.has(hash) || this.#before.has(hash))
    this.#bytes += bytes
    if (this.#known.add(hash).size === KNOWN) [this.#known, this.#before] = [new Set(), this.#known]
    if (++this.#queries < EVERY) return
    const inferenceMs = this.#inferenceMs()
    const tookMs = EVERY * KEEPING_MS.each + this.#bytes * KEEPING_MS.byte
    if (inferenceMs !== undefined) this.isOn = this.#found * inferenceMs >= tookMs * WAITED
    this.#queries = this.#found = this.#bytes = 0
  }
}

export class Payoff {
  /** Whether nothing is given without asking a worker. */
  isOff = false
  readonly #costs: () => LookupCosts
  #queries = 0
  #seldom = SELDOM

  constructor(costs: () => LookupCosts) {
    this.#costs = costs
  }

  /** Counts a query. @returns whether it is looked up */
  mayLookUp(): boolean {
    if (++this.#queries % EVERY === 0) this.#judge()
    return !this.isOff || this.#queries % this.#seldom === 0
  }

  #judge(): void {
    const { lookupMs, inferenceMs, share } = this.#costs()
    if (inferenceMs === undefined || !Number.isFinite(lookupMs)) return
    this.#seldom = Math.max(SELDOM, Math.ceil(lookupMs / (LITTLE * inferenceMs)))
    this.isOff = share * inferenceMs <= lookupMs * WAITED * (this.isOff ? CLEARLY : 1)
  }
}
