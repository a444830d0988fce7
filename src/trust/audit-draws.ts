/** Draws which answers of each worker are audited. A draw cannot be predicted, and does not depend on other workers. */

import type { Identity } from '../pool/attempt'

/** Workers whose blocks are kept in memory. */
const MOST_WORKERS = 10_000

/** The last ten audits of a worker, as bits. */
const LAST = 2 ** 10 - 1
/** From this many audits with an output of another length on, the worker counts as lying. */
const MOST_LONG = 3

export class AuditDraws {
  readonly #length: number
  readonly #coin: () => number
  /**
   * For each worker: the answers left in its block, at which of them the audit is due, and one bit for each of its last audits (1: an output of
   * another length).
   */
  readonly #blocks = new Map<Identity, { left: number; at: number; long: number }>()

  /** @param rate  share of the answers @param coin  uniform, from 0 to 1 */
  constructor(rate: number, coin: () => number) {
    this.#length = 1 / rate
    this.#coin = coin
  }

  /**
   * Draws one answer in each block of 1 / rate. Every answer is equally likely to be drawn, and a block is never worse than independent draws: m
   * lies in a block of n all escape with probability 1 - m / n <= (1 - 1 / n) ^ m.
   */
  draw(identity: Identity): boolean {
    const block = this.#blocks.get(identity) ?? this.#begin(identity)
    if (!block.left) {
      block.left = Math.floor(this.#length + this.#coin()) // on average
      block.at = Math.floor(this.#coin() * block.left)
    }
    return --block.left === block.at
  }

  /**
   * Records one more audit. @returns whether three of the worker's last ten audits found an output of another length than the trusted worker's.
   * Honest rounding changes fewer than one length in a thousand.
   */
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
