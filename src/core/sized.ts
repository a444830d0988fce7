/** The core that runs each call where it is faster, in WASM or in JavaScript. The two agree to the bit, so only the time tells which one ran. */

import type { AnswerRows, Core, FilterBankOptions, HalvesTable, Residuals, RowTable } from './core'
import type { FilterBank } from './filter-bank'
import type { KernelMatrix } from './kernel-matrix'

/**
 * Multiplications from which a call runs in WASM. Below, copies into and out of WASM memory cost more than its kernels save.
 */
const WASM_FROM = 2000

export class SizedCore implements Core {
  readonly kind = 'wasm'
  readonly #wasm: Core
  readonly #js: Core

  constructor(wasm: Core, js: Core) {
    this.#wasm = wasm
    this.#js = js
  }

  #for(multiplications: number): Core {
    return multiplications < WASM_FROM ? this.#js : this.#wasm
  }

  combine(weights: Float32Array, rows: readonly Float32Array[], out?: Float32Array[]): Float32Array[] {
    return this.#for(weights.length * rows[0].length).combine(weights, rows, out)
  }

  gram(rows: readonly Float32Array[]): Float64Array {
    return this.#for((rows.length ** 2 * rows[0].length) / 2).gram(rows)
  }

  inverse(matrix: Float64Array): Float64Array {
    return this.#for(matrix.length ** 1.5).inverse(matrix)
  }

  // These are faster in WASM at every size.

  vote(answers: AnswerRows, basis: Float64Array, errors: number, unit: boolean): Int32Array {
    return this.#wasm.vote(answers, basis, errors, unit)
  }

  residual(answers: AnswerRows, kernel: Float64Array, noise: number, rounds: number): Residuals {
    return this.#wasm.residual(answers, kernel, noise, rounds)
  }

  table(width: number, capacity: number): RowTable {
    return this.#wasm.table(width, capacity)
  }

  halvesTable(half: number, capacity: number, unit: number): HalvesTable {
    return this.#wasm.halvesTable(half, capacity, unit)
  }

  filterBank(options: FilterBankOptions): FilterBank {
    return this.#wasm.filterBank(options)
  }

  kernelMatrix(outputs: number): KernelMatrix {
    return this.#wasm.kernelMatrix(outputs)
  }
}
