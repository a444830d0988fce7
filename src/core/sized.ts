/** The core that runs each call where it is faster, in WASM or in JavaScript. The two agree to the bit, so only the time tells which one ran. */

import { JsCore } from './js'
import { WasmCore } from './wasm'

/**
 * Multiplications from which a product runs in WASM. Below, copies into and out of WASM memory take longer than the kernel saves: 2 to 4 µs, in
 * which JavaScript does all of it. Both take equally long at 400 multiplications (9 x 8 weights) to 1,200 (1 x 30), in Node 20 and 24.
 */
const WASM_FROM = 800

/** Only products are faster in JavaScript at some size. The rest computes long on few values, or keeps them in WASM memory. */
export class SizedCore extends WasmCore {
  readonly #js = new JsCore()

  override combine(weights: Float32Array, rows: readonly Float32Array[], out?: Float32Array[]): Float32Array[] {
    const isShort = weights.length * rows[0].length < WASM_FROM
    return isShort ? this.#js.combine(weights, rows, out) : super.combine(weights, rows, out)
  }

  override gram(rows: readonly Float32Array[]): Float64Array {
    const isShort = (rows.length ** 2 * rows[0].length) / 2 < WASM_FROM
    return isShort ? this.#js.gram(rows) : super.gram(rows)
  }
}
