/** Of a history: what is promised where answers are given as they come, and some are audited. Knows nothing of the code. */

import type { Entry } from './entries'

/** Who is so far from the model's answer is convicted by any audit. */
const FAR = 0.5
/** Blocks of answers of which one each is audited, after which one is; some audits are given up, since anchors fail on them. */
const BLOCKS = 4

/** An answer that was given, and may have to be taken back. */
interface Given {
  at: number
  query: number
  identities: string[]
  /** Whether it has to be recalled when one of them is convicted. */
  isDoubtful: boolean
}

export class Audited {
  readonly #given = new Map<number, Given>()
  readonly #recalled = new Map<string, Set<number>>()
  readonly #convicts = new Map<string, number>()
  /** Answers of each that were audited and far off, without another between. */
  readonly #lies = new Map<string, number>()

  constructor(
    /** Undefined: none are. */
    private readonly promised: { rate: number; rounding: number; tick: number } | undefined,
    private readonly breaks: (at: number, line: string, why: string) => void,
  ) {}

  answered(entry: Entry & { what: 'answered' }, identities: string[]): void {
    const { at, query, status, id, off, reused } = entry
    if (status === 'audited') this.#word(entry, identities)
    if (!this.promised || id === undefined || reused) return
    // One that an anchor shares is proven; a recovery is not.
    const isDoubtful = status === 'recovered' || off > this.promised.rounding
    this.#given.set(id, { at, query, identities, isDoubtful })
    const [identity] = identities
    if (status === 'audited') this.#lies.set(identity, off > FAR ? (this.#lies.get(identity) ?? 0) + 1 : 0)
  }

  /** One worker's, as it came; of one that is a convict by then it is not given. */
  #word({ at, query, workers, confidence }: Entry & { what: 'answered' }, identities: string[]): void {
    if (!this.promised) this.breaks(at, 'only sampled verification gives audited answers', `query ${query} is`)
    const isOnes = workers.length === 1 && confidence === undefined
    if (!isOnes) this.breaks(at, 'an audited answer is one worker’s', `query ${query} is of ${workers.length}`)
    const { tick = 0 } = this.promised ?? {}
    const convict = identities.find((identity) => at > (this.#convicts.get(identity) ?? at) + tick)
    if (convict)
      this.breaks(at, 'an ejected worker’s answers are not given', `query ${query} is answered by ${convict}`)
  }

  convicted(at: number, identity: string): void {
    if (!this.#convicts.has(identity)) this.#convicts.set(identity, at)
  }

  recalled({ identity, ids }: Entry & { what: 'recalled' }): void {
    const others = this.#recalled.get(identity) ?? [] // each tenant's are told by themselves
    this.#recalled.set(identity, new Set([...others, ...ids]))
  }

  /** What was not audited of the model before is not any more. */
  renews(): void {
    this.#lies.clear()
  }

  /** Answers that were given in the moment of a verdict may be heard of after it. */
  over(at: number): void {
    if (!this.promised) return
    for (const [identity, convictedAt] of this.#convicts) {
      const ids = this.#recalled.get(identity) ?? new Set<number>()
      for (const [id, each] of this.#given) {
        const isTheirs = each.identities.includes(identity)
        if (isTheirs && each.at <= convictedAt && each.isDoubtful && !ids.has(id))
          this.breaks(at, 'wrong answers of an ejected worker are recalled', `query ${each.query}, by ${identity}`)
        if (!isTheirs && ids.has(id))
          this.breaks(at, 'only an ejected worker’s answers are recalled', `query ${each.query}, not by ${identity}`)
      }
    }
    for (const [identity, lies] of this.#lies) {
      const isLong = lies > BLOCKS * (1 + 1 / this.promised.rate)
      if (isLong && !this.#convicts.has(identity)) this.breaks(at, 'a worker that always lies is ejected', `${identity}, of ${lies} lies`) // biome-ignore format: one line
    }
  }
}
