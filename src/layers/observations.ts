/** How confident the memory was of the last queries, and, of those that were asked, whether it was right. */

import * as saved from '../base/saved'

/** Queries that count. */
const WINDOW = 3000
/** Thresholds are distinguished in steps of an eighth of an octave of 1 - confidence, from 1 down to a millionth; repeats rank above all of them. */
const BINS = 160
const REPEATS = BINS
const BINS_AN_OCTAVE = 8
/** A confidence is taken for no nearer to 1 than this. */
const LEAST_DOUBT = 1e-4
/** Observations that the memory's own confidence is worth. */
const PRIOR = 3

/** What would become of all queries were those answered that the memory is so confident of. */
export interface Threshold {
  /** Infinity: repeats alone. */
  readonly confidence: number
  /** Of all queries those that would be answered. */
  readonly share: number
  /** The same of the queries that were looked up: repeats are not. */
  readonly lookedUp: number
  /** Of all queries those that would be answered wrong. */
  readonly wrong: number
  /** The same with less faith in the memory's own confidence: what was seen wrong, audits or not, counts as fully. */
  readonly suspected: number
}

interface Weight {
  count: number
  /** Sum of 1 - confidence. */
  doubt: number
  /** The same of those that were asked, by their weights; those of them that were wrong; the greatest weight. */
  asked: number
  wrong: number
  most: number
}

/** Digits of a doubt that are saved, and the greatest weight: of an audit at the lowest rate. */
const DIGITS = 4
const MOST_WEIGHT = 1000
/** What is saved as the doubt of a repeat. */
const REPEAT = -1

export class Observations {
  readonly #doubts = new Float64Array(WINDOW)
  readonly #bins = new Uint8Array(WINDOW)
  /** Below 0: it was wrong; 0: nobody knows. */
  readonly #weights = new Float32Array(WINDOW)
  #count = 0

  /** A query of which the memory is so confident. @returns its number, for `learn` */
  see(confidence: number): number {
    const doubt = 1 - confidence
    return this.#add(doubt, doubt > 0 ? Math.min(BINS - 1, Math.floor(-BINS_AN_OCTAVE * Math.log2(doubt))) : BINS - 1)
  }

  /** A query whose answer by the model is kept. @returns its number, for `learn` */
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

  /** It was asked. @param weight  of how many like it that stands for */
  learn(number: number, weight: number, right: boolean): void {
    if (number < this.#count - WINDOW) return
    this.#weights[number % WINDOW] = right ? weight : -weight
  }

  /** The last ones, the oldest first. */
  save(): unknown {
    const order = Array.from({ length: Math.min(WINDOW, this.#count) }, (_, i) => (this.#count + i) % WINDOW)
    const first = this.#count < WINDOW ? order.map((_, i) => i) : order
    const doubtAt = (at: number) => (this.#bins[at] === REPEATS ? REPEAT : this.#doubts[at])
    const doubts = first.map((at) => Number(doubtAt(at).toPrecision(DIGITS)))
    return { doubts, weights: first.map((at) => Number(this.#weights[at].toPrecision(DIGITS))) }
  }

  /** @throws RangeError for what `save` never gave */
  static load(state: unknown): Observations {
    const { doubts, weights } = saved.object('errorBudget.observations', state, ['doubts', 'weights'])
    const all = saved.list('errorBudget.observations.doubts', doubts, WINDOW)
    const told = saved.numbers('errorBudget.observations.weights', weights, all.length, -MOST_WEIGHT, MOST_WEIGHT)
    const loaded = new Observations()
    for (const [i, doubt] of saved
      .numbers('errorBudget.observations.doubts', doubts, all.length, REPEAT, 1)
      .entries()) {
      const number = doubt < 0 ? loaded.seeRepeat() : loaded.see(1 - doubt)
      loaded.learn(number, Math.abs(told[i]), told[i] >= 0)
    }
    return loaded
  }

  /** For every threshold, the lowest first. */
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
