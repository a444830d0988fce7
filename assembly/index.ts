// The ABI of the numerical core, and nothing else.
//
// Every function is pure: it reads and writes only through the pointers it is given, keeps no state,
// allocates nothing and calls nothing outside. The caller owns all memory from `heapBase` up and lays it
// out as it likes. Unless a function says otherwise:
//
//   - pointers are byte offsets, 16-byte aligned; regions do not overlap;
//   - f32 rows lie `stride` floats apart, `stride` a multiple of 12 (three vectors, 48 bytes):
//
//       rows ->  | x0 x1 ... x(d-1) 0 .. 0 |  <- padding up to `stride` is zero
//                | y0 y1 ... y(d-1) 0 .. 0 |
//
//   - f64 matrices are dense; answers are f64 rows `stride` doubles apart, `stride` a multiple of 16,
//     padding zero;
//   - `scratch` regions may hold anything before and hold anything after.
//
// Only + - * / sqrt and comparisons are used, in an order that src/core/js.ts, js-kernels.ts and
// js-linalg.ts repeat: the two agree to the bit. Nothing here computes cos or exp; those differ between
// engines in the last digit.

export { combine } from './combine'
export { distances, halvesDistances } from './distances'
export { gram } from './gram'
export { inverse, inverseStep } from './linalg'
export { residual, vote } from './locate'
export { mirrorParts, patchLines, poolCells } from './patches'
export { accumulate, product, quadratic } from './regression'

/** First free byte. Everything from here up belongs to the caller. */
export const heapBase: usize = __heap_base

/** Raised with every change of a signature or of a layout; the loader refuses another one. */
export function abiVersion(): i32 {
  return 4
}
