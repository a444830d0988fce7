// out = W · rows: encoding, decoding and parities are all this product.

/**
 * Floats in a block: three vectors. With three outputs these are nine accumulators, which leaves 16 SIMD registers just room for the three
 * row vectors and the weights.
 */
const BLOCK: i32 = 12

/** Floats of each row that are processed at a time: 30 such rows stay in a 32 KiB first-level cache. */
const TILE: i32 = 252

/**
 * out (n x d) = weights (n x k) · rows (k x d), all f32.
 *
 * @param out      n rows, `stride` floats apart
 * @param weights  n * k floats, dense, row-major
 * @param rows     k rows, `stride` floats apart
 * @param n        outputs, >= 0
 * @param k        rows, >= 0; with none the outputs are zero
 * @param stride   floats from row to row, a multiple of 12
 */
export function combine(out: usize, weights: usize, rows: usize, n: i32, k: i32, stride: i32): void {
  for (let from = 0; from < stride; from += TILE) {
    const to = min(from + TILE, stride)
    if (n < 3) {
      for (let i = 0; i < n; i++) combineOne(out, weights, rows, i, k, stride, from, to)
    } else {
      // If n is no multiple of three, the last block of three starts early: computing a row twice is cheaper than a second kernel.
      for (let i = 0; i < n; i += 3) combineThree(out, weights, rows, min(i, n - 3), k, stride, from, to)
    }
  }
}

function combineThree(out: usize, weights: usize, rows: usize, i: i32, k: i32, stride: i32, from: i32, to: i32): void {
  const w0 = weights + ((<usize>i * k) << 2)
  const w1 = w0 + ((<usize>k) << 2)
  const w2 = w1 + ((<usize>k) << 2)
  const pitch = (<usize>stride) << 2
  const out0 = out + <usize>i * pitch
  const out1 = out0 + pitch
  const out2 = out1 + pitch
  const end = (<usize>k) << 2
  for (let at = (<usize>from) << 2, last = (<usize>to) << 2; at < last; at += BLOCK << 2) {
    let a0 = f32x4.splat(0),
      a1 = a0,
      a2 = a0
    let b0 = a0,
      b1 = a0,
      b2 = a0
    let c0 = a0,
      c1 = a0,
      c2 = a0
    let row = rows + at
    for (let j: usize = 0; j < end; j += 4) {
      const x0 = v128.load(row),
        x1 = v128.load(row, 16),
        x2 = v128.load(row, 32)
      const p = v128.load_splat<f32>(w0 + j)
      a0 = f32x4.add(a0, f32x4.mul(p, x0))
      a1 = f32x4.add(a1, f32x4.mul(p, x1))
      a2 = f32x4.add(a2, f32x4.mul(p, x2))
      const q = v128.load_splat<f32>(w1 + j)
      b0 = f32x4.add(b0, f32x4.mul(q, x0))
      b1 = f32x4.add(b1, f32x4.mul(q, x1))
      b2 = f32x4.add(b2, f32x4.mul(q, x2))
      const r = v128.load_splat<f32>(w2 + j)
      c0 = f32x4.add(c0, f32x4.mul(r, x0))
      c1 = f32x4.add(c1, f32x4.mul(r, x1))
      c2 = f32x4.add(c2, f32x4.mul(r, x2))
      row += pitch
    }
    v128.store(out0 + at, a0)
    v128.store(out0 + at, a1, 16)
    v128.store(out0 + at, a2, 32)
    v128.store(out1 + at, b0)
    v128.store(out1 + at, b1, 16)
    v128.store(out1 + at, b2, 32)
    v128.store(out2 + at, c0)
    v128.store(out2 + at, c1, 16)
    v128.store(out2 + at, c2, 32)
  }
}

function combineOne(out: usize, weights: usize, rows: usize, i: i32, k: i32, stride: i32, from: i32, to: i32): void {
  const w = weights + ((<usize>i * k) << 2)
  const pitch = (<usize>stride) << 2
  const out0 = out + <usize>i * pitch
  const end = (<usize>k) << 2
  for (let at = (<usize>from) << 2, last = (<usize>to) << 2; at < last; at += BLOCK << 2) {
    let a0 = f32x4.splat(0),
      a1 = a0,
      a2 = a0
    let row = rows + at
    for (let j: usize = 0; j < end; j += 4) {
      const p = v128.load_splat<f32>(w + j)
      a0 = f32x4.add(a0, f32x4.mul(p, v128.load(row)))
      a1 = f32x4.add(a1, f32x4.mul(p, v128.load(row, 16)))
      a2 = f32x4.add(a2, f32x4.mul(p, v128.load(row, 32)))
      row += pitch
    }
    v128.store(out0 + at, a0)
    v128.store(out0 + at, a1, 16)
    v128.store(out0 + at, a2, 32)
  }
}
