/** Inverses of the blocks of a kernel matrix, made in steps. */

import type { KernelMatrix } from '../core/kernel-matrix'
import { paced, perStep } from './steps'

interface Inverse {
  inverse: Float64Array
  /** The sum over it. */
  total: number
}

export class Inverses {
  readonly #matrix: KernelMatrix
  readonly #noise: number
  /** The sums over them, and pairs in a block when it was inverted. */
  readonly #known = new Map<number, { total: number; pairs: number }>()
  #underWay: Generator<void> | undefined

  /** @param noise  added to the diagonal */
  constructor(matrix: KernelMatrix, noise: number) {
    this.#matrix = matrix
    this.#noise = noise
  }

  /** Of an inverted block the sum over the inverse, and pairs in it. */
  of(block: number): { total: number; pairs: number } | undefined {
    return this.#known.get(block)
  }

  /** A block holds other pairs. */
  drop(block: number): void {
    this.#known.delete(block)
  }

  /** Inverts a block, or its first n pairs; the matrix keeps it. In steps, between which others may want one, too. */
  *invert(block: number, n: number): Generator<void, Inverse> {
    let made: Inverse | undefined
    const steps = function* (this: Inverses): Generator<void> {
      made = yield* this.#inverted(block, n)
    }.call(this)
    yield* this.#finished() // there is room for one
    this.#underWay = steps
    yield* this.#finished()
    return made as Inverse
  }

  /** Whoever waits for what is under way does its steps. */
  *#finished(): Generator<void> {
    for (const steps = this.#underWay; steps && steps === this.#underWay; ) {
      if (steps.next().done) this.#underWay = undefined
      else yield
    }
  }

  *#inverted(block: number, n: number): Generator<void, Inverse> {
    yield* paced(n, perStep(n), (i) => this.#matrix.beginInverse(block, n, i, this.#noise))
    yield* paced(3 * n, perStep((n * n) / 2), (i) => this.#matrix.stepInverse(n, i))
    const inverse = this.#matrix.endInverse(block, n)
    yield
    const total = inverse.reduce((a, b) => a + b, 0)
    this.#known.set(block, { total, pairs: n })
    return { inverse, total }
  }
}
