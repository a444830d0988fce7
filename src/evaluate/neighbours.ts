/**
 * A nearest-neighbour ("semantic") cache: it gives the answer to the nearest earlier query. Its confidence is the share of right answers at
 * similar distances.
 */

import { DEFAULT_BYTES } from '../memory/domain'

/** Number of earlier answers at the nearest distances that determine a confidence. */
const NEAREST = 100
/** Values that are compared between two checks of the distance. */
const STEP = 64

export interface Said {
  readonly confidence: number
  readonly isRight: boolean
}

interface RightAnswer {
  readonly query: Float32Array
  readonly answer: Float32Array
}

export class Neighbours {
  /** The latest pairs, in as many bytes as a memory has. */
  readonly #pairs: RightAnswer[] = []
  /** Past answers, ordered by distance. */
  readonly #known: { distance: number; isRight: boolean }[] = []
  readonly #agrees: (a: Float32Array, b: Float32Array) => boolean
  #next = 0

  /** @param agrees  whether an answer is right, compared with the model's own */
  constructor(agrees: (said: Float32Array, own: Float32Array) => boolean) {
    this.#agrees = agrees
  }

  /** The answer to a query, which it then learns. */
  next(query: Float32Array, answer: Float32Array): Said | undefined {
    let [nearest, distance]: [RightAnswer | undefined, number] = [undefined, Number.POSITIVE_INFINITY]
    for (const pair of this.#pairs) {
      const own = squared(query, pair.query, distance)
      if (own < distance) [nearest, distance] = [pair, own]
    }
    this.#keep({ query, answer })
    return nearest && this.#said(distance, this.#agrees(nearest.answer, answer))
  }

  #keep(pair: RightAnswer): void {
    const most = Math.max(1, Math.floor(DEFAULT_BYTES / (pair.query.byteLength + pair.answer.byteLength)))
    this.#pairs[this.#next++ % most] = pair
  }

  #said(distance: number, isRight: boolean): Said {
    const known = this.#known
    const at = known.findLastIndex((each) => each.distance < distance) + 1
    const from = Math.max(0, Math.min(at - NEAREST / 2, known.length - NEAREST))
    const like = known.slice(from, from + NEAREST)
    const confidence = (like.filter((each) => each.isRight).length + 1) / (like.length + 2)
    known.splice(at, 0, { distance, isRight })
    return { confidence, isRight }
  }
}

function squared(a: Float32Array, b: Float32Array, most: number): number {
  let sum = 0
  for (let i = 0; i < a.length; ) {
    for (const end = Math.min(a.length, i + STEP); i < end; i++) sum += (a[i] - b[i]) ** 2
    if (sum >= most) return sum
  }
  return sum
}
