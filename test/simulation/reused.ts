/** Of a history: what is promised of answers that equal queries have had before, or at the same time: of one tenant, of the model that serves, none that is forgotten. Knows nothing of the code. */

import type { Entry } from './entries'

/** An answer that somebody was asked for. */
interface Source {
  at: number
  status: string
  told: string
}

interface Promised {
  /** Whether a memory answers some queries, and is audited. */
  isRemembered: boolean
  /** Whether a model that is new is asked what the serving one answers: it keeps its own answers, which nobody was given. */
  isCompared: boolean
  /** Of a turn, in which several callers have one answer, at most. */
  turnMs: number
}

export class Reused {
  /** Of equal queries of one tenant; of the model that serves, and since they were forgotten last. */
  #sources = new Map<string, Source[]>()
  readonly #keys = new Map<number, string>()
  /** How many queries have each. */
  readonly #times = new Map<string, number>()
  /** Of queries that failed: an audit of a memory goes on when its caller has left. */
  readonly #failed = new Set<string>()

  constructor(
    private readonly promised: Promised,
    private readonly breaks: (at: number, line: string, why: string) => void,
  ) {}

  asked({ query, like, tenant = '' }: Entry & { what: 'asked' }): void {
    if (like === undefined) return
    const key = `${like} ${tenant}`
    this.#times.set(key, (this.#times.get(key) ?? 0) + 1)
    this.#keys.set(query, key)
  }

  answered({ at, query, status, reused, told = '' }: Entry & { what: 'answered' }): void {
    const key = this.#keys.get(query)
    if (key === undefined) return
    const sources = this.#sources.get(key) ?? []
    this.#sources.set(key, sources)
    if (!reused) return void sources.push({ at, status, told })
    // Those that are under way at once share whatever it is; only the model's own answers are kept.
    const { isRemembered, isCompared, turnMs } = this.promised
    const isOf = (source: Source) =>
      source.told === told && source.status === status && (status === 'exact' || source.at >= at - turnMs)
    const isAudited = isRemembered && status === 'exact' && this.#failed.has(key)
    const isOfNew = isCompared && status === 'exact' && (this.#times.get(key) ?? 0) > 1
    if (!isAudited && !isOfNew && !sources.some(isOf))
      this.breaks(at, 'a reused answer is the answer to an equal query', `query ${query} (${key}), ${status}: ${told}`)
  }

  failed(query: number): void {
    this.#failed.add(this.#keys.get(query) ?? '')
  }

  forgets(tenant: string): void {
    for (const key of this.#sources.keys()) if (key.slice(key.indexOf(' ') + 1) === tenant) this.#sources.delete(key)
  }

  /** What serves has another model, or began anew. */
  renews(): void {
    this.#sources.clear()
  }
}
