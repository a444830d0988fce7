/** Which blocks of a kernel matrix are to be solved once more, in which order: one at a time, or all at once, in steps. */

import { BLOCK } from '../core/kernel-matrix'

/** Up to this many pairs there are several sweeps over all blocks: a small system is cheap, and lags most. */
const SEVERAL = 2000
/**
 * From this many outputs for each pair on, all blocks are solved at once: that takes as long as one sweep, and 14 sweeps took 25 s with 137 pairs of
 * 100,000 outputs. With fewer outputs the inverse would take more room than what is left over of a block.
 */
const MANY = 32

export type Part = number | 'all'

export class Sweep {
  readonly #solve: (part: Part) => Generator<void>
  /** What is due, the next one first. */
  #due: Part[] = []
  #underway: Generator<void> | undefined

  /** @param solve  solves a block for what the others leave over, or all of them */
  constructor(solve: (part: Part) => Generator<void>) {
    this.#solve = solve
  }

  /** All blocks of `pairs` pairs are due: `first`, then the older ones, and the newer ones last. */
  plan(first: number, pairs: number, outputs: number): void {
    const blocks = Math.ceil(pairs / BLOCK)
    const order = Array.from({ length: blocks }, (_, i) => (((first - i) % blocks) + blocks) % blocks)
    const sweeps = blocks === 1 ? 1 : Math.max(1, Math.floor(SEVERAL / pairs))
    if (sweeps > 1 && outputs >= MANY * pairs) this.#due = ['all']
    else this.#due = Array.from({ length: Math.min(sweeps, Math.ceil(BLOCK / blocks)) }, () => order).flat()
  }

  /** Begins what is due next, unless it is this block. @returns whether there was anything */
  begin(except: number): boolean {
    const part = this.#due.shift()
    if (part !== undefined && part !== except) this.#underway = this.#solve(part)
    return part !== undefined
  }

  /** A step of what has begun. @returns whether there is more of it */
  work(): boolean {
    if (this.#underway?.next().done) this.#underway = undefined
    return this.#underway !== undefined
  }
}
