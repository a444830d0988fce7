/** Memory that a core keeps, where things lie in it, and rows of numbers; both cores share the layouts. */

/** A function of assembly/ on what lies in a space; of addresses in it and counts. */
export type CoreFunction = (...addresses: number[]) => void

/** Bytes that grow, at addresses that stay. Views are of now: growing makes new ones necessary. */
export abstract class Space {
  /** First byte that may be used, a multiple of 16. */
  abstract readonly base: number
  protected abstract readonly buffer: ArrayBuffer

  /** Makes room up to an address. What is new is zero. @param ahead  bytes to grow by beyond it, if it has to grow */
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

/** Room for regions one after the other, each at a multiple of 16. @param bytes  of each @returns their addresses */
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
 * Values from row to row: a multiple of the kernel's block, and never a multiple of a 4 KiB page, where all
 * rows would compete for the same cache sets (locating among 30 x 1,000 answers then takes twice as long).
 */
export function strideOf(width: number, block: number, bytes: number): number {
  const stride = Math.ceil(width / block) * block
  return (stride * bytes) % 4096 ? stride : stride + block
}

/** What a typed array takes beside its values, in V8. */
export const ARRAY_BYTES = 200

/** As many rows as the weights ask for, as long as the rows they combine. */
export function freshRows(weights: Float32Array, rows: readonly Float32Array[]): Float32Array[] {
  return Array.from({ length: weights.length / rows.length }, () => new Float32Array(rows[0].length))
}

/** Of the two halves of a row. */
export function squaredLengths(row: Int8Array): [first: number, second: number] {
  const half = row.length / 2
  let [first, second] = [0, 0]
  for (let i = 0; i < half; i++) {
    first += row[i] * row[i]
    second += row[half + i] * row[half + i]
  }
  return [first, second]
}
