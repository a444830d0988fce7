/** A network of the simulation: bytes take their time, come in pieces, stop in the middle, are reset; messages are lost or come twice. */

import { type Random, seeded } from '../../src/base/random'
import type { VirtualClock } from '../../src/testing/virtual-clock'

/** Shares are of bodies, or of messages. */
export interface Weather {
  /** One way: the median, and the standard deviation of the logarithm. */
  delayMs: number
  deviation: number
  /** That a body comes in, at most. */
  pieces: number
  resets: number
  /** Of these a third never go on. */
  stalls: number
  losses: number
  twice: number
  /** Replies that are given to each other's requests. */
  crossed: number
}

export const CALM: Weather = {
  ...{ delayMs: 0.2, deviation: 0, pieces: 1, resets: 0, stalls: 0, losses: 0, twice: 0, crossed: 0 },
}

export interface Reader {
  piece(bytes: Uint8Array): void
  end(): void
  /** The connection was reset. */
  broken(): void
}

/** The longest pause of what goes on. */
const LONGEST_STALL_MS = 300

export class Network {
  readonly #random: Random
  /** Who wait for what has stopped for good. */
  readonly #stopped = new Set<Reader>()

  constructor(
    readonly clock: VirtualClock,
    seed: number,
    private weather: Weather,
  ) {
    this.#random = seeded(seed)
  }

  /** From now on it does no harm; what has stopped is reset. */
  calm(): void {
    this.weather = CALM
    for (const { broken } of this.#stopped) broken()
    this.#stopped.clear()
  }

  get delayMs(): number {
    const { delayMs, deviation } = this.weather
    return delayMs * Math.exp(deviation * this.#random.gauss())
  }

  chance(of: 'losses' | 'twice' | 'crossed'): boolean {
    const share = this.weather[of]
    return share > 0 && this.#random.next() < share
  }

  /** Carries a body. @returns ends that */
  carry(bytes: Uint8Array, reader: Reader): () => void {
    const { resets, stalls, pieces } = this.weather
    const cuts = Array.from({ length: this.#random.below(pieces) }, () => this.#random.below(bytes.length + 1))
    const ends = [...cuts.sort((a, b) => a - b), bytes.length]
    const [fate, where] = [this.#random.next(), this.#random.below(ends.length)]
    const isReset = fate < resets
    const isStalled = !isReset && fate < resets + stalls
    const stallMs = LONGEST_STALL_MS * this.#random.next() * 1.5
    let cancel = () => {}
    const next = (i: number, from: number) => {
      if (i === where && isReset) return reader.broken()
      reader.piece(bytes.slice(from, ends[i]))
      if (i === ends.length - 1) return reader.end()
      plan(i + 1, ends[i])
    }
    const plan = (i: number, from: number) => {
      const more = isStalled && i === where ? stallMs : 0
      if (more > LONGEST_STALL_MS) return void this.#stopped.add(reader)
      cancel = this.clock.after(this.delayMs + more, () => next(i, from))
    }
    plan(0, 0)
    return () => {
      this.#stopped.delete(reader)
      cancel()
    }
  }
}
