/** Of a history: what is promised of requests to a gateway. Knows nothing of the code. */

type Sent = { what: 'sent'; at: number; exchange: number; kind: string }
type Told = { what: 'told'; at: number; exchange: number; status: number; why: string }

/** What may become of a request that is right, and of one whose body stops. */
const RIGHT = [200, 429, 499, 503, 504]
const STOPPED = [400, 499]

export class Exchanges {
  readonly #sent = new Map<number, { kind: string; isTold: boolean }>()

  constructor(private readonly breaks: (at: number, line: string, why: string) => void) {}

  take(entry: Sent | Told): void {
    const { at, exchange } = entry
    if (entry.what === 'sent') return void this.#sent.set(exchange, { kind: entry.kind, isTold: false })
    const sent = this.#sent.get(exchange)
    const { status, why } = entry
    if (!sent) return this.breaks(at, 'the history', `request ${exchange} was never sent`)
    if (sent.isTold) this.breaks(at, 'every request has one response', `request ${exchange} has two`)
    sent.isTold = true
    if (sent.kind === 'nonsense' && (status < 400 || status > 415)) {
      this.breaks(at, 'nonsense gets a 4xx', `request ${exchange} (${why}): ${status}`)
    }
    const known = sent.kind === 'stopped' || why === 'cut' ? STOPPED : RIGHT
    if (sent.kind !== 'nonsense' && !known.includes(status)) {
      this.breaks(at, 'a status says what it means', `request ${exchange} (${sent.kind}): ${status}`)
    }
  }

  over(at: number): void {
    for (const [exchange, { isTold }] of this.#sent) {
      if (!isTold) this.breaks(at, 'every request has one response', `request ${exchange} has none`)
    }
  }
}
