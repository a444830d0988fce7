/** The core that runs each call where it is faster, in WASM or in JavaScript. The two agree to the bit, so only the time tells which one ran. */

import type { AnswerRows, Core, FilterBankOptions, HalvesTable, Residuals, RowTable } from './core'
import type { FilterBank } from './filter-bank'
import type { KernelMatrix } from './kernel-matrix'

/**
 * Multiplications from which a product runs in WASM. Below, copies into and out of WASM memory take longer than the kernel saves: 2 to 4 µs, in
 * which JavaScript does all of it. Both take equally long at 400 multiplications (9 x 8 weights) to 1,200 (1 x 30), in Node 20 and 24.
 */
const WASM_FROM = 800

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

  // These are faster in WASM at every size: they compute long on few values, or keep them in WASM memory.

  inverse(matrix: Float64Array): Float64Array {
    return this.#wasm.inverse(matrix)
  }

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
