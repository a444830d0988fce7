/** Rows of numbers. */

/** What a typed array takes beside its values, in V8. */
export const ARRAY_BYTES = 200

/** As many rows as the weights ask for, as long as the rows they combine. */
export function freshRows(weights: Float32Array, rows: readonly Float32Array[]): Float32Array[] {
  return Array.from({ length: weights.length / rows.length }, () => new Float32Array(rows[0].length))
}

/** A row in 8 bits a value: the nearest multiples of `step`, from -127 to 127. */
export function quantised(row: Float32Array, step: number, out: Int8Array | Int16Array): void {
  for (let i = 0; i < row.length; i++) out[i] = Math.round(Math.max(-127, Math.min(127, row[i] / step)))
}

/** Values times a factor, fresh. A loop, since `Float32Array.from` with a function takes fifty times as long. */
export function multiplied(values: ArrayLike<number>, factor: number): Float32Array {
  const out = new Float32Array(values.length)
  for (let i = 0; i < out.length; i++) out[i] = values[i] * factor
  return out
}
