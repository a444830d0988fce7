/**
 * The confidence of the memory in recent queries and, where a worker was asked, whether the memory was right. From these follows what a
 * confidence threshold would give.
 */

import * as saved from '../base/saved'

/** Most recent queries that count. */
const WINDOW = 3000
/** Bins of 1 - confidence, eight an octave, from 1 down to a millionth. Repeats have a bin of their own, above all others. */
const BINS = 160
const REPEATS = BINS
const BINS_AN_OCTAVE = 8
/** Greatest confidence that counts is 1 less this. */
const LEAST_DOUBT = 1e-4
/** Observations that the memory's own confidence counts for. */
const PRIOR = 3

/** What would become of all queries if those with at least this confidence were answered. */
export interface Threshold {
  /** Infinity: repeats alone. */
  readonly confidence: number
  /** Share of all queries that would be answered. */
  readonly share: number
  /** Share of looked-up queries that would be answered; repeats are not looked up. */
  readonly lookedUp: number
  /** Share of all queries that would be answered wrong. */
  readonly wrong: number
  /** The same, but errors weigh more against the memory's own confidence: each one counts fully, audited or not. */
  readonly suspected: number
}

interface Weight {
  count: number
  /** Sum of 1 - confidence. */
  doubt: number
  /** Of queries that a worker was asked: the sum of (1 - confidence) times weight, the weights of wrong ones, and the greatest weight. */
  asked: number
  wrong: number
  most: number
}

/** Digits that a saved value has, and the greatest weight: that of an audit at the lowest rate. */
const DIGITS = 4
const MOST_WEIGHT = 1000
/** Saved in place of a doubt for a repeat. */
const REPEAT = -1

export class Observations {
  readonly #doubts = new Float64Array(WINDOW)
  readonly #bins = new Uint8Array(WINDOW)
  /** Negative: the memory was wrong. 0: unknown. */
  readonly #weights = new Float32Array(WINDOW)
  #count = 0

  /** Adds a query with the memory's confidence. @returns its number, for `learn` */
  see(confidence: number): number {
    const doubt = 1 - confidence
    return this.#add(doubt, doubt > 0 ? Math.min(BINS - 1, Math.floor(-BINS_AN_OCTAVE * Math.log2(doubt))) : BINS - 1)
  }

  /** Adds a query whose answer by the model is cached. @returns its number, for `learn` */
  seeRepeat(): number {
    return this.#add(0, REPEATS)
  }

  #add(doubt: number, bin: number): number {
    const at = this.#count % WINDOW
    this.#doubts[at] = Math.max(LEAST_DOUBT, doubt)
    this.#bins[at] = bin
    this.#weights[at] = 0
    return this.#count++
  }

  /** A worker has answered query `number`. @param weight  how many queries it stands for */
  learn(number: number, weight: number, right: boolean): void {
    if (number < this.#count - WINDOW) return
    this.#weights[number % WINDOW] = right ? weight : -weight
  }

  /** The recent queries, oldest first. */
  save(): unknown {
    const order = Array.from({ length: Math.min(WINDOW, this.#count) }, (_, i) => (this.#count + i) % WINDOW)
    const first = this.#count < WINDOW ? order.map((_, i) => i) : order
    const doubtAt = (at: number) => (this.#bins[at] === REPEATS ? REPEAT : this.#doubts[at])
    const doubts = first.map((at) => Number(doubtAt(at).toPrecision(DIGITS)))
    return { doubts, weights: first.map((at) => Number(this.#weights[at].toPrecision(DIGITS))) }
  }

  /** @throws RangeError if `save` cannot have written it */
  static load(state: unknown): Observations {
    const { doubts, weights } = saved.object('errorBudget.observations', state, ['doubts', 'weights'])
    const all = saved.list('errorBudget.observations.doubts', doubts, WINDOW)
    const savedWeights = saved.numbers(
      'errorBudget.observations.weights',
      weights,
      all.length,
      -MOST_WEIGHT,
      MOST_WEIGHT,
    )
    const loaded = new Observations()
    for (const [i, doubt] of saved
      .numbers('errorBudget.observations.doubts', doubts, all.length, REPEAT, 1)
      .entries()) {
      const number = doubt < 0 ? loaded.seeRepeat() : loaded.see(1 - doubt)
      loaded.learn(number, Math.abs(savedWeights[i]), savedWeights[i] >= 0)
    }
    return loaded
  }

  /** One entry for each threshold, lowest first. */
  points(): Threshold[] {
    const length = Math.min(WINDOW, this.#count)
    if (!length) return []
    const bins = this.#summed(length)
    const above: Weight = { count: 0, doubt: 0, asked: 0, wrong: 0, most: 0 }
    const points: Threshold[] = []
    const repeats = bins[REPEATS].count
    for (let at = REPEATS; at >= 0; at--) {
      if (!bins[at].count) continue
      add(above, bins[at])
      const prior = PRIOR * (above.most || 1)
      const correction = (prior + above.wrong) / (prior + above.asked)
      points.push({
        confidence: at === REPEATS ? Number.POSITIVE_INFINITY : 1 - 2 ** (-at / BINS_AN_OCTAVE),
        share: above.count / length,
        lookedUp: (above.count - repeats) / Math.max(1, length - repeats),
        wrong: (above.doubt / length) * correction,
        suspected: (above.doubt / length) * ((PRIOR + above.wrong) / (PRIOR + above.asked)),
      })
    }
    return points.reverse()
  }

  #summed(length: number): Weight[] {
    const bins = Array.from({ length: BINS + 1 }, (): Weight => ({ count: 0, doubt: 0, asked: 0, wrong: 0, most: 0 }))
    for (let i = 0; i < length; i++) {
      const [doubt, weight] = [this.#doubts[i], Math.abs(this.#weights[i])]
      const wrong = this.#weights[i] < 0 ? weight : 0
      add(bins[this.#bins[i]], { count: 1, doubt, asked: weight * doubt, wrong, most: weight })
    }
    return bins
  }
}

function add(to: Weight, { count, doubt, asked, wrong, most }: Weight): void {
  to.count += count
  to.doubt += doubt
  to.asked += asked
  to.wrong += wrong
  if (most > to.most) to.most = most
}
