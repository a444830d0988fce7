/** Which blocks of a kernel matrix are to be solved once more, in which order: one at a time, in steps. */

import { BLOCK } from '../core/kernel-matrix'

/** Up to this many pairs there are several sweeps over all blocks: a small system is cheap, and lags most. */
const SEVERAL = 2000

export class Sweep {
  readonly #relax: (block: number) => Generator<void>
  /** Blocks that are due, the next one first. */
  #due: number[] = []
  #underway: Generator<void> | undefined

  /** @param relax  solves a block for what the others leave over */
  constructor(relax: (block: number) => Generator<void>) {
    this.#relax = relax
  }

  /** All blocks of `pairs` pairs are due: `first`, then the older ones, and the newer ones last. */
  plan(first: number, pairs: number): void {
    const blocks = Math.ceil(pairs / BLOCK)
    const order = Array.from({ length: blocks }, (_, i) => (((first - i) % blocks) + blocks) % blocks)
    const sweeps = blocks === 1 ? 1 : Math.max(1, Math.floor(SEVERAL / pairs))
    this.#due = Array.from({ length: Math.min(sweeps, Math.ceil(BLOCK / blocks)) }, () => order).flat()
  }

  /** Begins the block that is due next, unless it is this one. @returns whether there was one */
  begin(except: number): boolean {
    const block = this.#due.shift()
    if (block !== undefined && block !== except) this.#underway = this.#relax(block)
    return block !== undefined
  }

  /** A step of the block that has begun. @returns whether there is more of it */
  work(): boolean {
    if (this.#underway?.next().done) this.#underway = undefined
    return this.#underway !== undefined
  }
}
