/** Of a history: what is promised of requests to a gateway, whose model may be loaded and unloaded meanwhile. Knows nothing of the code. */

import type { Entry } from './entries'

type Of<What extends Entry['what']> = Extract<Entry, { what: What }>

/** What may become of a request that is right, and of one whose body stops. */
const RIGHT = [200, 429, 499, 503, 504]
const STOPPED = [400, 499]
/** What becomes of those that come while there is no model, or none yet. */
const UNSERVED = { none: 404, loading: 503 }

interface Asked {
  kind: string
  isTold: boolean
  /** Of the model that was served when it came, or why there was none. */
  served: { version: string } | keyof typeof UNSERVED
  /** Whether the gateway began to close before it was told, and when that was done. */
  isClosed: boolean
  closedAt: number
  /** When its model had been unloaded. */
  endedAt: number
}

export class Exchanges {
  readonly #asked = new Map<number, Asked>()
  /** Those that had no response yet, by what unloads the model. */
  readonly #unloading = new Map<number, Asked[]>()
  #served: Asked['served'] = { version: '1' }

  constructor(private readonly breaks: (at: number, line: string, why: string) => void) {}

  take(entry: Of<'sent' | 'told' | 'loads' | 'loaded' | 'unloads' | 'unloaded' | 'closes' | 'closed'>): void {
    switch (entry.what) {
      case 'sent':
        return this.#sent(entry)
      case 'told':
        return this.#told(entry)
      case 'loads':
        if (this.#served === 'none') this.#served = 'loading'
        return
      case 'loaded':
        if (this.#served === 'none') this.breaks(entry.at, 'a model that is unloaded is not served', `it is again, as ${entry.version}`) // biome-ignore format: one line
        this.#served = { version: entry.version }
        return
      case 'unloads':
        this.#unloading.set(
          entry.unload,
          this.#open.filter(({ isClosed }) => !isClosed),
        )
        this.#served = 'none'
        return
      case 'unloaded':
        return this.#unloaded(entry)
      case 'closes':
        for (const asked of this.#open) asked.isClosed = true
        this.#served = 'loading'
        return
      case 'closed':
        for (const asked of this.#open) asked.closedAt = Math.min(asked.closedAt, entry.at)
    }
  }

  get #open(): Asked[] {
    return [...this.#asked.values()].filter(({ isTold }) => !isTold)
  }

  #sent({ exchange, kind }: Of<'sent'>): void {
    const [closedAt, endedAt] = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY]
    this.#asked.set(exchange, { kind, isTold: false, served: this.#served, isClosed: false, closedAt, endedAt })
  }

  #told({ at, exchange, status, why, version }: Of<'told'>): void {
    const asked = this.#asked.get(exchange)
    if (!asked) return this.breaks(at, 'the history', `request ${exchange} was never sent`)
    const { kind, served, isTold, isClosed, closedAt, endedAt } = asked
    const who = `request ${exchange} (${why || kind})`
    if (isTold) this.breaks(at, 'every request has one response', `${who} has two`)
    asked.isTold = true
    const refused = typeof served === 'string' ? UNSERVED[served] : undefined
    if (kind === 'nonsense') {
      if ((status < 400 || status > 415) && status !== refused)
        this.breaks(at, 'an invalid request gets a status 4xx', `${who}: ${status}`)
    } else if (typeof served === 'string') {
      if (status !== refused) this.breaks(at, 'a model that is unloaded is not served', `${who}: ${status}`)
    } else {
      const known = kind === 'stopped' || why === 'cut' ? STOPPED : RIGHT
      const isRight = known.includes(status) || (status === 500 && why === 'query')
      if (!isRight) this.breaks(at, 'a response has the status of its cause', `${who}: ${status}`)
      if (version !== undefined && version !== served.version)
        this.breaks(at, 'a request is answered by the model that was served when it came', `${who}: ${version}`)
      if (why === 'closed' && !isClosed) this.breaks(at, 'no query fails because a model is loaded or unloaded', who)
      if (status === 200 && at > closedAt) this.breaks(at, 'a closed gateway answers no more requests', who)
      if (at > endedAt)
        this.breaks(at, 'an unload ends after all requests to its model', `${who}, after ${endedAt.toFixed(3)}`)
    }
  }

  #unloaded({ at, unload, running }: Of<'unloaded'>): void {
    for (const asked of this.#unloading.get(unload) ?? []) if (!asked.isTold) asked.endedAt = at
    if (running)
      this.breaks(at, 'no timer and no call is left at the end', `${running} calls of a model that was unloaded`)
  }

  over(at: number): void {
    for (const [exchange, { isTold }] of this.#asked) {
      if (!isTold) this.breaks(at, 'every request has one response', `request ${exchange} has none`)
    }
  }
}
