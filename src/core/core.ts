/** The numerical core: one interface, two implementations that agree to the bit. */

import { platform } from '#platform'
import { checkNames } from '../check'
import type { FilterBank, FilterBankOptions } from './filter-bank'
import { JsCore } from './js'
import type { KernelMatrix } from './kernel-matrix'
import type { Answers, Residuals, Table } from './rows'
import { WasmCore } from './wasm'

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
  vote(answers: Answers, basis: Float64Array, errors: number, unit: boolean): Int32Array

  /**
   * The rows that the others explain worst: standardised squared leave-one-out residuals under a Gaussian
   * process with this kernel (f x f, row-major) and `noise` times its mean diagonal; the largest goes,
   * `rounds` times (1 .. f - 1).
   *
   * @throws RangeError where kernel and noise are not positive definite
   */
  residual(answers: Answers, kernel: Float64Array, noise: number, rounds: number): Residuals

  /**
   * At most `capacity` rows of `width` values that stay with the core, to be searched in place; it grows with them.
   *
   * @param step  values are kept in 8 bits, as multiples of it from -127 to 127, a power of two; default: as floats
   */
  table(width: number, capacity: number, step?: number): Table

  /** Filters for one kind of image, which stay with the core. */
  filterBank(options: FilterBankOptions): FilterBank

  /** An empty kernel matrix for regression with so many outputs, which stays with the core. */
  kernelMatrix(outputs: number): KernelMatrix

  /**
   * Inverse (n x n, row-major) of a symmetric positive definite matrix, by Cholesky.
   *
   * @throws RangeError where it is not positive definite
   */
  inverse(matrix: Float64Array): Float64Array
}

export interface CoreOptions {
  /**
   * A ready `WebAssembly.Module` of `approxifer/core.wasm`, where compiling from bytes is forbidden. (Typed as an
   * object: the type itself comes with the DOM's, which not every project has.)
   */
  module?: object
  /** 'wasm': fail rather than fall back. 'js': do not try WASM. Default: WASM if it runs, else JS. */
  prefer?: 'wasm' | 'js'
}

/** The fastest core this runtime allows; `kind` says which, `fallback` why. */
export async function loadCore(options: CoreOptions = {}): Promise<Core> {
  checkNames('core', options, ['module', 'prefer'])
  const { module, prefer } = options
  if (prefer !== undefined && prefer !== 'wasm' && prefer !== 'js') {
    throw new RangeError(`core.prefer: expected 'wasm' or 'js', got ${JSON.stringify(prefer)}`)
  }
  if (prefer === 'js') return new JsCore()
  try {
    return new WasmCore((module as WebAssembly.Module) ?? (await platform.coreModule()))
  } catch (error) {
    if (prefer === 'wasm' || module) throw error
    return new JsCore(String(error))
  }
}
