/** The numerical core: one interface, two implementations that agree to the bit. */

import type { FilterBank } from './filter-bank'
import type { KernelMatrix } from './kernel-matrix'

/** Answers may be f32 as models give them, or f64. */
export type AnswerRows = readonly (Float32Array | Float64Array)[]

export interface Residuals {
  /** The rows dropped, in order. */
  order: Int32Array
  /** Each row's score when it was dropped; of the last round if it stayed. */
  scores: Float64Array
}

/** Rows kept by a core. */
export interface RowTable {
  /** Copies a row in. */
  set(index: number, row: Float32Array): void
  /** A copy of a row. */
  get(index: number): Float32Array
  /** |row i - row|² of rows from .. to - 1, in f32; fresh. */
  distances(row: Float32Array, to: number, from?: number): Float32Array
}

/** Rows of two halves in 8 bits a value, kept by a core. */
export interface HalvesTable {
  /** Copies a row in. */
  set(index: number, row: Int8Array): void
  /** A copy of a row. */
  get(index: number): Int8Array
  /**
   * To rows from .. to - 1, in f32, exact but for the last rounding; and with the second half of the row negated. Until it is asked for others,
   * or a row is set.
   *
   * @param from  a multiple of 4
   */
  distances(row: Int8Array, to: number, from?: number): { plain: Float32Array; turned: Float32Array }
}

export interface FilterBankOptions {
  channels: number
  /** Of an image. */
  height: number
  width: number
  /** Half of all filters, channels x 5 x 5 floats each; the other half are their mirror images. */
  filters: readonly Float32Array[]
  /** What is taken off a normalised patch before it is filtered. */
  mean: Float32Array
  /** Added to the variance of a patch. */
  contrast: number
  /** Responses below this are noise. */
  threshold: number
}

/**
 * Pure functions on rows. Inputs are read and never kept; results belong to the caller and are freshly
 * allocated unless the caller gives the rows to write to. Rows of one call have equal length. Sizes are the caller's duty: nothing is checked here.
 */
export interface Core {
  readonly kind: 'wasm' | 'js'
  /** Why this is not the WASM core, when WASM was wanted. */
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
   * The rows that the others explain worst: standardised squared leave-one-out residuals under a Gaussian
   * process with this kernel (f x f, row-major) and `noise` times its mean diagonal; the largest goes,
   * `rounds` times (1 .. f - 1).
   *
   * @throws RangeError where kernel and noise are not positive definite
   */
  residual(answers: AnswerRows, kernel: Float64Array, noise: number, rounds: number): Residuals

  /** At most `capacity` rows of `width` values that stay with the core, to be searched in place; it grows with them. */
  table(width: number, capacity: number): RowTable

  /** The same of rows of twice `half` integers; their unit is a power of two. */
  halvesTable(half: number, capacity: number, unit: number): HalvesTable

  /** Filters for one kind of image, which stay with the core. */
  filterBank(options: FilterBankOptions): FilterBank

  /** An empty kernel matrix for regression with this number of outputs, which stays with the core. */
  kernelMatrix(outputs: number): KernelMatrix

  /**
   * Inverse (n x n, row-major) of a symmetric positive definite matrix, by Cholesky.
   *
   * @throws RangeError where it is not positive definite
   */
  inverse(matrix: Float64Array): Float64Array
}

export function notDefinite(): RangeError {
  return new RangeError('kernel: expected a positive definite matrix')
}
