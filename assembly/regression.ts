// Kernel regression in blocks of 128 pairs: predictions, variances, and what one block leaves unexplained of another. || || Sums run in the
// order of the pairs, separately for each output element: vectors run along the outputs.

/** Pairs in a block. */
const BLOCK: i32 = 128
/** Bytes of 12 floats, which are three vectors. */
const STEP: usize = 48

/**
 * out += weights · rows.
 *
 * @param out      one row, `width` floats
 * @param weights  k floats
 * @param rows     k rows, `pitch` bytes apart
 * @param width    a multiple of 12
 */
export function accumulate(out: usize, weights: usize, rows: usize, k: i32, width: i32, pitch: usize): void {
  const end = weights + ((<usize>k) << 2)
  for (let at: usize = 0, last = (<usize>width) << 2; at < last; at += STEP) {
    let a = v128.load(out + at),
      b = v128.load(out + at, 16),
      c = v128.load(out + at, 32)
    let row = rows + at
    for (let w = weights; w < end; w += 4) {
      const p = v128.load_splat<f32>(w)
      a = f32x4.add(a, f32x4.mul(p, v128.load(row)))
      b = f32x4.add(b, f32x4.mul(p, v128.load(row, 16)))
      c = f32x4.add(c, f32x4.mul(p, v128.load(row, 32)))
      row += pitch
    }
    v128.store(out + at, a)
    v128.store(out + at, b, 16)
    v128.store(out + at, c, 32)
  }
}

/**
 * out (n x width) += weights (n x 128) · rows (128 x width); the weights are 16-bit integers.
 *
 * @param out      n rows, `width` floats apart
 * @param weights  weight j of row i lies at down * i + across * j bytes: a matrix or its transpose
 * @param rows     128 rows, `pitch` bytes apart
 * @param n        even
 * @param width    a multiple of 12
 */
export function product(
  out: usize,
  weights: usize,
  rows: usize,
  n: i32,
  width: i32,
  pitch: usize,
  down: usize,
  across: usize,
): void {
  const wide = (<usize>width) << 2
  for (let i = 0; i < n; i += 2) {
    for (let at: usize = 0; at < wide; at += STEP) {
      twoRows(out + at, out + at + wide, weights, weights + down, rows + at, pitch, across)
    }
    out += wide << 1
    weights += down << 1
  }
}

/** 12 columns of two rows: six independent chains hide the latency of an addition. */
function twoRows(first: usize, second: usize, p: usize, q: usize, row: usize, pitch: usize, across: usize): void {
  let a = v128.load(first),
    b = v128.load(first, 16),
    c = v128.load(first, 32)
  let d = v128.load(second),
    e = v128.load(second, 16),
    f = v128.load(second, 32)
  for (let j = 0; j < BLOCK; j++) {
    const x = v128.load(row),
      y = v128.load(row, 16),
      z = v128.load(row, 32)
    const v = f32x4.splat(<f32>(<i32>load<u16>(p)))
    a = f32x4.add(a, f32x4.mul(v, x))
    b = f32x4.add(b, f32x4.mul(v, y))
    c = f32x4.add(c, f32x4.mul(v, z))
    const w = f32x4.splat(<f32>(<i32>load<u16>(q)))
    d = f32x4.add(d, f32x4.mul(w, x))
    e = f32x4.add(e, f32x4.mul(w, y))
    f = f32x4.add(f, f32x4.mul(w, z))
    row += pitch
    p += across
    q += across
  }
  v128.store(first, a)
  v128.store(first, b, 16)
  v128.store(first, c, 32)
  v128.store(second, d)
  v128.store(second, e, 16)
  v128.store(second, f, 32)
}

/**
 * out[0] = wᵀAw, out[1] = 1ᵀAw in f64. Aw is computed in f32, summed in order; then element i goes to lane i mod 4, and the lanes are added
 * in order.
 *
 * @param out      two doubles
 * @param matrix   A, symmetric, 128 x 128 floats
 * @param weights  w, 128 floats
 * @param scratch  128 floats
 */
export function quadratic(out: usize, matrix: usize, weights: usize, scratch: usize): void {
  const pitch: usize = (<usize>BLOCK) << 2
  memory.fill(scratch, 0, pitch)
  for (let from: usize = 0; from < pitch; from += 16) {
    const rows = matrix + from * <usize>BLOCK
    for (let at: usize = 0; at < pitch; at += 128) eightVectors(scratch + at, rows + at, weights + from, pitch)
  }
  let square = f64x2.splat(0),
    squareHigh = square,
    ones = square,
    onesHigh = square
  for (let at: usize = 0; at < pitch; at += 16) {
    const low = f64x2.promote_low_f32x4(v128.load(scratch + at)),
      upper = f64x2.promote_low_f32x4(v128.load64_zero(scratch + at, 8))
    square = f64x2.add(square, f64x2.mul(low, f64x2.promote_low_f32x4(v128.load(weights + at))))
    squareHigh = f64x2.add(squareHigh, f64x2.mul(upper, f64x2.promote_low_f32x4(v128.load64_zero(weights + at, 8))))
    ones = f64x2.add(ones, low)
    onesHigh = f64x2.add(onesHigh, upper)
  }
  store<f64>(out, lanes(square, squareHigh))
  store<f64>(out, lanes(ones, onesHigh), 8)
}

function lanes(low: v128, upper: v128): f64 {
  return (
    f64x2.extract_lane(low, 0) +
    f64x2.extract_lane(low, 1) +
    f64x2.extract_lane(upper, 0) +
    f64x2.extract_lane(upper, 1)
  )
}

/** Adds four rows to 32 elements of weights · rows. The rows are adjacent, so that memory is read in sequence. */
function eightVectors(out: usize, row: usize, weights: usize, pitch: usize): void {
  let a = v128.load(out),
    b = v128.load(out, 16),
    c = v128.load(out, 32),
    d = v128.load(out, 48)
  let e = v128.load(out, 64),
    f = v128.load(out, 80),
    g = v128.load(out, 96),
    h = v128.load(out, 112)
  for (let end = weights + 16; weights < end; weights += 4) {
    const w = v128.load_splat<f32>(weights)
    a = f32x4.add(a, f32x4.mul(w, v128.load(row)))
    b = f32x4.add(b, f32x4.mul(w, v128.load(row, 16)))
    c = f32x4.add(c, f32x4.mul(w, v128.load(row, 32)))
    d = f32x4.add(d, f32x4.mul(w, v128.load(row, 48)))
    e = f32x4.add(e, f32x4.mul(w, v128.load(row, 64)))
    f = f32x4.add(f, f32x4.mul(w, v128.load(row, 80)))
    g = f32x4.add(g, f32x4.mul(w, v128.load(row, 96)))
    h = f32x4.add(h, f32x4.mul(w, v128.load(row, 112)))
    row += pitch
  }
  v128.store(out, a)
  v128.store(out, b, 16)
  v128.store(out, c, 32)
  v128.store(out, d, 48)
  v128.store(out, e, 64)
  v128.store(out, f, 80)
  v128.store(out, g, 96)
  v128.store(out, h, 112)
}
