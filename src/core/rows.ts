/** Answers may be f32 as models give them, or f64. */
export type Answers = readonly (Float32Array | Float64Array)[]

/** As many rows as the weights ask for, as long as the rows they combine. */
export function freshRows(weights: Float32Array, rows: readonly Float32Array[]): Float32Array[] {
  return Array.from({ length: weights.length / rows.length }, () => new Float32Array(rows[0].length))
}

export interface Residuals {
  /** The rows dropped, in order. */
  order: Int32Array
  /** Each row's score when it was dropped; of the last round if it stayed. */
  scores: Float64Array
}

export function notDefinite(): RangeError {
  return new RangeError('kernel: expected a positive definite matrix')
}

/** What a typed array takes beside its values, in V8. */
export const ARRAY_BYTES = 200

/** Rows kept by a core. */
export interface Table {
  /** Copies a row in. */
  set(index: number, row: Float32Array): void
  /** A copy of a row. */
  get(index: number): Float32Array
  /** |row i - row|² of rows from .. to - 1, in f32 (exact but for the last rounding where rows are kept in 8 bits); fresh. */
  distances(row: Float32Array, to: number, from?: number): Float32Array
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

/** Bytes that grow, at addresses that stay. Views are of now: growing makes new ones necessary. */
export interface Space {
  /** First byte that may be used, a multiple of 16. */
  readonly base: number
  /** Makes room up to an address. What is new is zero. */
  reserve(end: number): void
  floats(at: number, length: number): Float32Array
  doubles(at: number, length: number): Float64Array
  integers(at: number, length: number): Int32Array
  words(at: number, length: number): Uint16Array
}
