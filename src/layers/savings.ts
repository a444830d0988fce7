/** Whether it pays to look queries up before they are asked: what that takes, beside what the answers that it spares would have taken. */

/** Queries that were looked up before the first judgement, and between two. */
const EVERY = 512
/** Where looks do not pay, one query in SELDOM is still looked up, since the memory may have become better. Fewer where that would take more than the share LITTLE of the answers' time. */
const SELDOM = 16
const LITTLE = 0.01
/** It has to pay by so much more to be taken up again. */
const CLEARLY = 1.1

/** A millisecond of a lookup has to spare so much of the workers' time: every query waits for it, and for the message that brings it. */
const WAITED = 2

export interface LookupCosts {
  lookupMs: number
  /** Of a worker's answer. */
  inferenceMs: number | undefined
  /** Part of the queries that are answered unasked. */
  share: number
}

/** What answers that were given unasked spared, and what looking for them took. */
export class Savings {
  /** Queries that were looked up, and the memory's time that it took, ms. */
  lookups = 0
  lookupMs = 0
  /** Inferences that were spared, and the workers' time that they would have taken, ms. */
  saved = 0
  savedMs = 0

  addLookup(ms: number): void {
    this.lookups++
    this.lookupMs += ms
  }

  /** @param inferenceMs  what an answer takes at that time; undefined while nobody knows */
  gave(inferenceMs = 0): void {
    this.saved++
    this.savedMs += inferenceMs
  }
}

/** Where `off`, looks do not pay for now: nothing is given unasked, and one query in 16 at most is looked up. */
export type SavingStats = Pick<Savings, 'lookups' | 'lookupMs' | 'saved' | 'savedMs'> & { off: boolean }

/**
 * What it takes to keep an answer for an equal query, ms: this much, and so much a byte of the query (`bench useless`: 20 to 40 us for 3 KB, copies
 * that the collector moves included).
 */
const KEEPING_MS = { each: 0.02, byte: 1.2e-6 }

/** Queries of which is known that they came: so many at least, twice as many at most. */
const KNOWN = 8192

/** Whether equal queries are so frequent that keeping answers for them pays: by whether they came before, which takes next to nothing. */
export class Repeats {
  /** Answers are kept. */
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

  /** One more query. @param bytes  of its values */
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
  /** Nothing is given unasked. */
  isOff = false
  readonly #costs: () => LookupCosts
  #queries = 0
  #seldom = SELDOM

  constructor(costs: () => LookupCosts) {
    this.#costs = costs
  }

  /** Whether one more query is looked up. */
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
