/** Memory kept by a core, and the layout of data in it, which both cores share. */

/** A function of assembly/ on data in a space; its arguments are addresses and counts. */
export type CoreFunction = (...addresses: number[]) => void

/** Bytes that grow at fixed addresses. Growing invalidates all views. */
export abstract class Space {
  /** First usable byte, a multiple of 16. */
  abstract readonly base: number
  protected abstract readonly buffer: ArrayBuffer

  /** Makes room up to an address; new bytes are zero. @param ahead  bytes to grow further, if it has to grow */
  abstract reserve(end: number, ahead?: number): void

  floats(at: number, length: number): Float32Array {
    return new Float32Array(this.buffer, at, length)
  }

  doubles(at: number, length: number): Float64Array {
    return new Float64Array(this.buffer, at, length)
  }

  integers(at: number, length: number): Int32Array {
    return new Int32Array(this.buffer, at, length)
  }

  words(at: number, length: number): Uint16Array {
    return new Uint16Array(this.buffer, at, length)
  }

  bytes(at: number, length: number): Int8Array {
    return new Int8Array(this.buffer, at, length)
  }
}

/** Lays out regions one after the other, each at a multiple of 16. @param bytes  their lengths @returns their addresses */
export function layOut<Name extends string>(space: Space, bytes: Record<Name, number>): Readonly<Record<Name, number>> {
  let top = space.base
  const at = { ...bytes }
  for (const name of Object.keys(bytes) as Name[]) {
    at[name] = top
    top += 16 * Math.ceil(bytes[name] / 16)
  }
  space.reserve(top)
  return at
}

/**
 * Values from row to row: a multiple of the kernel's block, and never a multiple of a 4 KiB page, where all rows would compete for the same
 * cache sets (locating among 30 x 1,000 answers then takes twice as long).
 */
export function strideOf(width: number, block: number, bytes: number): number {
  const stride = Math.ceil(width / block) * block
  return (stride * bytes) % 4096 ? stride : stride + block
}

/** Bytes of a typed array in V8 besides its values. */
export const ARRAY_BYTES = 200

/** New rows for the result of `combine`. */
export function freshRows(weights: Float32Array, rows: readonly Float32Array[]): Float32Array[] {
  return Array.from({ length: weights.length / rows.length }, () => new Float32Array(rows[0].length))
}

/** Squared lengths of the two halves of a row. */
export function squaredLengths(row: Int8Array): [first: number, second: number] {
  const half = row.length / 2
  let [first, second] = [0, 0]
  for (let i = 0; i < half; i++) {
    first += row[i] * row[i]
    second += row[half + i] * row[half + i]
  }
  return [first, second]
}
