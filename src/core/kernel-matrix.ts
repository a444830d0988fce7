/** A kernel matrix in memory of a core, with everything that regression on it needs. Both cores share this layout. */

import { notDefinite } from './core'
import { type CoreFunction, layOut, type Space } from './space'

/** Pairs in a block. */
export const BLOCK = 128
const TILE_BYTES = 2 * BLOCK * BLOCK
const INVERSE_BYTES = 4 * BLOCK * BLOCK

/** Bytes of the matrix of `pairs` pairs; in JavaScript up to twice as much. */
export function matrixBytes(outputs: number, pairs: number): number {
  const blocks = Math.ceil(pairs / BLOCK)
  const shares = 4 * BLOCK * 12 * Math.ceil(outputs / 12)
  return 2 ** 16 + shares + blocks * (shares + INVERSE_BYTES) + ((blocks * (blocks + 1)) / 2) * TILE_BYTES
}

/** Functions of assembly/regression.ts, with the same parameters. */
export type RegressionKernels = Readonly<Record<'accumulate' | 'product' | 'quadratic', CoreFunction>> & {
  /** From assembly/linalg.ts. */
  inverseStep(...addresses: number[]): unknown
}

/**
 * The kernel matrix of pairs in 16-bit values, in blocks of 128 pairs, and for each pair a row of shares: what the pair adds to a
 * prediction for each unit of similarity. All data of a block lie together, so that the matrix grows without moving:
 *
 *     shares (128 x stride floats) | inverse (128 x 128 floats) | tiles 0 .. block (128 x 128 words each)
 *
 * Tiles hold the similarities to pairs of older blocks, and the last tile those within the block.
 */
export class KernelMatrix {
  readonly #space: Space
  readonly #kernels: RegressionKernels
  readonly #outputs: number
  /** Floats from one row of shares to the next. */
  readonly #stride: number
  /**
   * Addresses of: 128 weights; 128 floats for the kernels; two doubles; a row of outputs; 128 rows of outputs; a block's inverse and its
   * factor in f64; block 0.
   */
  readonly #at: Readonly<
    Record<'weights' | 'scratch' | 'pair' | 'row' | 'rows' | 'inverse' | 'factor' | 'first', number>
  >
  #blocks = 0

  constructor(space: Space, kernels: RegressionKernels, outputs: number, stride: number) {
    this.#space = space
    this.#kernels = kernels
    this.#outputs = outputs
    this.#stride = stride
    const [row, inverse] = [4 * stride, 8 * BLOCK * BLOCK]
    const scratches = { weights: 4 * BLOCK, scratch: 4 * BLOCK, pair: 16, row, rows: BLOCK * row }
    this.#at = layOut(space, { ...scratches, inverse, factor: inverse, first: 0 })
  }

  /**
   * Sets the similarities of pair `index` to all pairs, itself included; its shares become zero.
   *
   * @param row  similarities in units of 1/65535
   */
  set(index: number, row: Uint16Array): void {
    const [block, i] = split(index)
    if (block === this.#blocks) this.#space.reserve(this.#start(++this.#blocks))
    for (let other = 0; other <= block; other++) {
      const part = row.subarray(other * BLOCK, (other + 1) * BLOCK)
      this.#space.words(this.#tile(block, other) + 2 * BLOCK * i, part.length).set(part)
    }
    for (let other = block; other * BLOCK < row.length; other++) {
      const tile = this.#space.words(this.#tile(other, block), BLOCK * BLOCK)
      const part = row.subarray(other * BLOCK, (other + 1) * BLOCK)
      for (let j = 0; j < part.length; j++) tile[j * BLOCK + i] = part[j]
    }
    this.shares(index).fill(0)
  }

  /** A copy of what `set` was given, for the first `count` pairs; default: those up to `index`. */
  get(index: number, count = index + 1): Uint16Array {
    const [block, i] = split(index)
    const row = new Uint16Array(count)
    for (let other = 0; other * BLOCK < count; other++) {
      const length = Math.min(BLOCK, count - other * BLOCK)
      if (other <= block) {
        row.set(this.#space.words(this.#tile(block, other) + 2 * BLOCK * i, length), other * BLOCK)
        continue
      }
      const tile = this.#space.words(this.#tile(other, block), BLOCK * BLOCK)
      for (let j = 0; j < length; j++) row[other * BLOCK + j] = tile[j * BLOCK + i]
    }
    return row
  }

  /** k(x, x) of a block's pairs, in units of 1/65535. */
  own(block: number): Uint16Array {
    const tile = this.#space.words(this.#tile(block, block), BLOCK * BLOCK)
    return Uint16Array.from({ length: BLOCK }, (_, i) => tile[i * (BLOCK + 1)])
  }

  /** A pair's shares of the outputs first .. last - 1: a view, valid until the next pair is set. */
  shares(index: number, [first, last] = [0, this.#outputs]): Float32Array {
    const [block, i] = split(index)
    return this.#space.floats(this.#start(block) + 4 * (i * this.#stride + first), last - first)
  }

  /**
   * Inverts what a block's first n pairs have in the matrix, with the noise added to its diagonal; it is kept in f32.
   *
   * @returns the inverse, n x n, in f64
   * @throws RangeError if it is not positive definite
   */
  invert(block: number, n: number, noise: number): Float64Array {
    for (let i = 0; i < n; i++) {
      const tile = this.#space.words(this.#tile(block, block) + 2 * BLOCK * i, BLOCK)
      const row = this.#space.doubles(this.#at.factor + 8 * i * even(n), n)
      for (let j = 0; j <= i; j++) row[j] = tile[j] / 65535 + (i === j ? noise : 0)
    }
    for (let step = 0; step < 3 * n; step++) {
      if (!this.#kernels.inverseStep(this.#at.inverse, this.#at.factor, n, step)) throw notDefinite()
    }
    const inverse = new Float64Array(n * n)
    const to = this.#space.floats(this.#inverse(block), BLOCK * BLOCK).fill(0)
    for (let i = 0; i < n; i++) {
      const row = this.#space.doubles(this.#at.inverse + 8 * i * even(n), n)
      inverse.set(row, i * n)
      to.set(row, i * BLOCK)
    }
    return inverse
  }

  /** Weighted sum of the shares of all pairs, of the outputs first .. last - 1; a new array. @param first  a multiple of 12 */
  combine(weights: Float32Array, [first, last]: readonly number[]): Float32Array {
    const { row, weights: weighing } = this.#at
    const width = 12 * Math.ceil((last - first) / 12)
    const sum = this.#space.floats(row, width).fill(0)
    for (let block = 0; block < this.#blocks; block++) {
      this.#weigh(block, weights)
      this.#kernels.accumulate(row, weighing, this.#start(block) + 4 * first, BLOCK, width, 4 * this.#stride)
    }
    return sum.slice(0, last - first)
  }

  /** wᵀAw and 1ᵀAw of a block's inverse A and its part w of the weights; in f64, except for the product Aw. */
  quadratic(block: number, weights: Float32Array): { square: number; ones: number } {
    this.#weigh(block, weights)
    this.#kernels.quadratic(this.#at.pair, this.#inverse(block), this.#at.weights, this.#at.scratch)
    const pair = this.#space.doubles(this.#at.pair, 2)
    return { square: pair[0], ones: pair[1] }
  }

  /**
   * Predictions of all pairs for the pairs from .. to - 1 of a block: similarities (in units of 1/65535) times shares.
   *
   * @param from, to     even
   * @param first, last  the outputs first .. last - 1; `first` is a multiple of 12
   * @returns a new array of rows of last - first values
   */
  predict(block: number, [from, to]: readonly number[], [first, last]: readonly number[]): Float32Array {
    const [n, width, pitch] = [to - from, 12 * Math.ceil((last - first) / 12), 4 * this.#stride]
    const out = this.#space.floats(this.#at.rows, n * width).fill(0)
    for (let other = 0; other < this.#blocks; other++) {
      const [down, across] = other <= block ? [2 * BLOCK, 2] : [2, 2 * BLOCK]
      const weights = this.#tile(Math.max(block, other), Math.min(block, other)) + down * from
      this.#kernels.product(this.#at.rows, weights, this.#start(other) + 4 * first, n, width, pitch, down, across)
    }
    const rows = new Float32Array(n * (last - first))
    for (let i = 0; i < n; i++) rows.set(out.subarray(i * width, i * width + last - first), i * (last - first))
    return rows
  }

  /** Adds inverse · rest (128 x last - first) to the shares of a block's pairs; `first` is a multiple of 12. */
  relax(block: number, rest: Float32Array, [first, last]: readonly number[]): void {
    const [length, width] = [last - first, 12 * Math.ceil((last - first) / 12)]
    const rows = this.#space.floats(this.#at.rows, BLOCK * width).fill(0)
    for (let i = 0; i * length < rest.length; i++) rows.set(rest.subarray(i * length, (i + 1) * length), i * width)
    for (let i = 0; i < BLOCK; i++) {
      const share = this.#start(block) + 4 * (i * this.#stride + first)
      const weights = this.#inverse(block) + 4 * i * BLOCK
      this.#kernels.accumulate(share, weights, this.#at.rows, BLOCK, width, 4 * width)
    }
  }

  /** Copies a block's weights to where the kernels read them; zero for pairs that do not exist. */
  #weigh(block: number, weights: Float32Array): void {
    const part = weights.subarray(block * BLOCK, (block + 1) * BLOCK)
    const to = this.#space.floats(this.#at.weights, BLOCK)
    to.set(part)
    if (part.length < BLOCK) to.fill(0, part.length)
  }

  #start(block: number): number {
    const tiles = (block * (block + 1)) / 2
    return this.#at.first + block * (4 * BLOCK * this.#stride + INVERSE_BYTES) + tiles * TILE_BYTES
  }

  #inverse(block: number): number {
    return this.#start(block) + 4 * BLOCK * this.#stride
  }

  #tile(block: number, other: number): number {
    return this.#inverse(block) + INVERSE_BYTES + other * TILE_BYTES
  }
}

const even = (n: number) => n + (n % 2)

const split = (index: number) => [Math.floor(index / BLOCK), index % BLOCK]
