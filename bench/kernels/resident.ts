/** A product of matrices that lie in WASM memory before and after: the kernel without copies. */

import { strideOf } from '../../src/core/space'

export class Resident {
  readonly #floats: Float32Array
  readonly #call: () => void
  readonly #out: number
  readonly #stride: number
  readonly #n: number
  readonly #length: number

  constructor(module: WebAssembly.Module, weights: Float32Array, rows: readonly Float32Array[]) {
    const { exports } = new WebAssembly.Instance(module)
    const memory = exports.memory as WebAssembly.Memory
    const combine = exports.combine as (...addresses: number[]) => void
    const k = rows.length
    this.#length = rows[0].length
    this.#n = weights.length / k
    this.#stride = strideOf(this.#length, 12, 4)
    const w = 16 * Math.ceil((exports.heapBase as WebAssembly.Global<'i32'>).value / 16)
    const x = w + 16 * Math.ceil(weights.byteLength / 16)
    this.#out = x + 4 * k * this.#stride
    const missing = this.#out + 4 * this.#n * this.#stride - memory.buffer.byteLength
    if (missing > 0) memory.grow(Math.ceil(missing / 2 ** 16))
    this.#floats = new Float32Array(memory.buffer)
    this.#floats.set(weights, w / 4)
    for (const [j, row] of rows.entries()) this.#floats.set(row, x / 4 + j * this.#stride)
    this.#call = () => combine(this.#out, w, x, this.#n, k, this.#stride)
  }

  run(): void {
    this.#call()
  }

  /** Of the last run. */
  rows(): Float32Array[] {
    return Array.from({ length: this.#n }, (_, i) => {
      const from = this.#out / 4 + i * this.#stride
      return this.#floats.slice(from, from + this.#length)
    })
  }
}
