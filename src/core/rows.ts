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
  /** |row i - row|² of the first `count` rows, in f32; fresh. */
  distances(row: Float32Array, count: number): Float32Array
}
