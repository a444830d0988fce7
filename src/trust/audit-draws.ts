/** Which of each worker's answers are audited: that cannot be foretold, nor tells of others. */

import type { Identity } from '../pool/attempt'

/** Workers of which is known how far they are in their blocks. */
const MOST_WORKERS = 10_000

/** The last ten audits of a worker, as bits. */
const LAST = 2 ** 10 - 1
/** This many of them may have found an answer of another length. */
const MOST_LONG = 3

export class AuditDraws {
  readonly #length: number
  readonly #coin: () => number
  /** Of each worker: answers left of its block, with how many left one is audited, and a bit for each of its last audits, 1 for another length. */
  readonly #blocks = new Map<Identity, { left: number; at: number; long: number }>()

  /** @param rate  share of the answers @param coin  uniform, from 0 to 1 */
  constructor(rate: number, coin: () => number) {
    this.#length = 1 / rate
    this.#coin = coin
  }

  /**
   * One of each block of 1 / rate answers of a worker. As likely for each as by a coin of its own, and however a worker lies it lies no more often
   * until one is audited: of m lies in a block of n none is with probability 1 - m / n, which is at most (1 - 1 / n) ^ m.
   */
  draw(identity: Identity): boolean {
    const block = this.#blocks.get(identity) ?? this.#begin(identity)
    if (!block.left) {
      block.left = Math.floor(this.#length + this.#coin()) // on average
      block.at = Math.floor(this.#coin() * block.left)
    }
    return --block.left === block.at
  }

  /** Of one more audit. @returns whether outputs of three of the worker's last ten were of another length than an anchor's, which honest rounding makes of none in a thousand */
  isLong(identity: Identity, isLong: boolean): boolean {
    const block = this.#blocks.get(identity) ?? this.#begin(identity)
    block.long = ((block.long << 1) | Number(isLong)) & LAST
    let count = 0
    for (let bits = block.long; bits; bits &= bits - 1) count++
    return isLong && count >= MOST_LONG
  }

  #begin(identity: Identity) {
    const block = { left: 0, at: 0, long: 0 }
    const [oldest] = this.#blocks.size < MOST_WORKERS ? [] : this.#blocks.keys()
    if (oldest !== undefined) this.#blocks.delete(oldest)
    this.#blocks.set(identity, block)
    return block
  }
}
