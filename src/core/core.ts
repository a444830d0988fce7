/** The numerical core: one interface with two implementations, in WASM and in JavaScript, that agree to the bit. */

import type { FilterBank } from './filter-bank'
import type { KernelMatrix } from './kernel-matrix'

/** Rows of f32, as models give them, or of f64. */
export type AnswerRows = readonly (Float32Array | Float64Array)[]

export interface Residuals {
  /** The dropped rows, in the order of the rounds. */
  order: Int32Array
  /** A row's score in the round that dropped it, or in the last round if it stayed. */
  scores: Float64Array
}

/** Rows of f32 that stay in a core's memory, to be searched there. */
export interface RowTable {
  /** Copies a row in. */
  set(index: number, row: Float32Array): void
  /** A copy of a row. */
  get(index: number): Float32Array
  /** |row i - row|² of rows from .. to - 1, in f32. A new array. */
  distances(row: Float32Array, to: number, from?: number): Float32Array
}

/** Rows of 8-bit values in two halves that stay in a core's memory. The second half changes its sign when an image is mirrored. */
export interface HalvesTable {
  /** Copies a row in. */
  set(index: number, row: Int8Array): void
  /** A copy of a row. */
  get(index: number): Int8Array
  /**
   * Squared distances to rows from .. to - 1, in f32, exact up to the last rounding: `plain` to the row itself, `turned` to the row with
   * its second half negated. Valid until the next call of `distances` or `set`.
   *
   * @param from  a multiple of 4
   */
  distances(row: Int8Array, to: number, from?: number): { plain: Float32Array; turned: Float32Array }
}

export interface FilterBankOptions {
  channels: number
  /** Of the image, in pixels. */
  height: number
  width: number
  /** Half of all filters, channels x 5 x 5 floats each; the other half are their mirror images. */
  filters: readonly Float32Array[]
  /** Subtracted from a normalised patch before it is filtered. */
  mean: Float32Array
  /** Added to the variance of a patch. */
  contrast: number
  /** Responses below this count as noise. */
  threshold: number
}

/**
 * Pure functions on rows. Inputs are only read; results are new arrays of the caller, unless the caller gives the rows to write to. Rows of
 * one call have equal length. The caller is responsible for sizes: nothing is checked here.
 */
export interface Core {
  readonly kind: 'wasm' | 'js'
  /** Why this is the JavaScript core although WASM was wanted. */
  readonly fallback?: string

  /**
   * out (n x d) = weights (n x k, row-major) · rows (k x d), in f32, summed in the order of the rows.
   *
   * @param out  n rows to overwrite, none of them among `rows`; allocating them is a third of the time
   */
  combine(weights: Float32Array, rows: readonly Float32Array[], out?: Float32Array[]): Float32Array[]

  /** rows · rowsᵀ (n x n, row-major), products and sums in f64. */
  gram(rows: readonly Float32Array[]): Float64Array

  /**
   * The paper's vote locator (ApproxIFER, AAAI 2022, Algorithm 2): votes per row, `errors` of them for
   * each output coordinate.
   *
   * @param answers  f rows, at least 2 * degree - 1 of them (2 * degree with `unit`)
   * @param basis    degree x f: Chebyshev's T_j(β_i) at [j * f + i]; degree = K + E
   * @param unit     scale by unit length of all coefficients instead of Q(0) = 1
   */
  vote(answers: AnswerRows, basis: Float64Array, errors: number, unit: boolean): Int32Array

  /**
   * Leave-one-out residuals under a Gaussian process with this kernel (f x f, row-major) and `noise` times its mean diagonal: the rows that
   * the others explain worst. In each of `rounds` rounds (1 .. f - 1) the row with the largest standardised squared residual is dropped.
   *
   * @throws RangeError if kernel and noise are not positive definite
   */
  residual(answers: AnswerRows, kernel: Float64Array, noise: number, rounds: number): Residuals

  /** A table of at most `capacity` rows of `width` values, in memory of the core that grows with them. */
  table(width: number, capacity: number): RowTable

  /** A table of at most `capacity` rows of twice `half` integers. @param unit  the value of 1, a power of two */
  halvesTable(half: number, capacity: number, unit: number): HalvesTable

  /** Filters for images of one size, in memory of the core. */
  filterBank(options: FilterBankOptions): FilterBank

  /** An empty kernel matrix for regression with this number of outputs, in memory of the core. */
  kernelMatrix(outputs: number): KernelMatrix

  /**
   * Inverse (n x n, row-major) of a symmetric positive definite matrix, by Cholesky.
   *
   * @throws RangeError if it is not positive definite
   */
  inverse(matrix: Float64Array): Float64Array
}

export function notDefinite(): RangeError {
  return new RangeError('kernel: expected a positive definite matrix')
}
