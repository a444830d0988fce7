// G = rows · rowsᵀ: how alike the queries of a group are.
//
// Here the sum is the data axis, so its order is part of the definition: four lanes (element i goes to
// lane i mod 4), widened to f64 before they are multiplied, added up lane 0 first at the end.

/**
 * gram (n x n, f64, dense) = rows · rowsᵀ of f32 rows.
 *
 * @param out     n * n doubles; both triangles are written
 * @param rows    n rows, `stride` floats apart, padding zero
 * @param stride  floats from row to row, a multiple of 12
 */
export function gram(out: usize, rows: usize, n: i32, stride: i32): void {
  // Two rows by two rows: eight independent chains hide the latency of an addition. If n is odd, the last row is paired with itself and its
  // products are written twice.
  for (let i = 0; i < n; i += 2) {
    for (let j = 0; j <= i; j += 2) block(out, rows, n, stride, i, min(i + 1, n - 1), j, min(j + 1, n - 1))
  }
}

function block(out: usize, rows: usize, n: i32, stride: i32, i0: i32, i1: i32, j0: i32, j1: i32): void {
  const pitch = (<usize>stride) << 2
  const a = rows + <usize>i0 * pitch,
    b = rows + <usize>i1 * pitch
  const c = rows + <usize>j0 * pitch,
    d = rows + <usize>j1 * pitch
  let ac0 = f64x2.splat(0),
    ac1 = ac0,
    ad0 = ac0,
    ad1 = ac0
  let bc0 = ac0,
    bc1 = ac0,
    bd0 = ac0,
    bd1 = ac0
  for (let at: usize = 0; at < pitch; at += 16) {
    const x = v128.load(a + at),
      x0 = f64x2.promote_low_f32x4(x),
      x1 = high(x)
    const y = v128.load(b + at),
      y0 = f64x2.promote_low_f32x4(y),
      y1 = high(y)
    const u = v128.load(c + at),
      u0 = f64x2.promote_low_f32x4(u),
      u1 = high(u)
    ac0 = f64x2.add(ac0, f64x2.mul(x0, u0))
    ac1 = f64x2.add(ac1, f64x2.mul(x1, u1))
    bc0 = f64x2.add(bc0, f64x2.mul(y0, u0))
    bc1 = f64x2.add(bc1, f64x2.mul(y1, u1))
    const v = v128.load(d + at),
      v0 = f64x2.promote_low_f32x4(v),
      v1 = high(v)
    ad0 = f64x2.add(ad0, f64x2.mul(x0, v0))
    ad1 = f64x2.add(ad1, f64x2.mul(x1, v1))
    bd0 = f64x2.add(bd0, f64x2.mul(y0, v0))
    bd1 = f64x2.add(bd1, f64x2.mul(y1, v1))
  }
  put(out, n, i0, j0, sum(ac0, ac1))
  put(out, n, i0, j1, sum(ad0, ad1))
  put(out, n, i1, j0, sum(bc0, bc1))
  put(out, n, i1, j1, sum(bd0, bd1))
}

/** The upper two f32 lanes, widened to f64. */
function high(x: v128): v128 {
  return f64x2.promote_low_f32x4(v128.shuffle<f32>(x, x, 2, 3, 2, 3))
}

function sum(low: v128, high: v128): f64 {
  return (
    f64x2.extract_lane(low, 0) + f64x2.extract_lane(low, 1) + f64x2.extract_lane(high, 0) + f64x2.extract_lane(high, 1)
  )
}

function put(out: usize, n: i32, i: i32, j: i32, value: f64): void {
  store<f64>(out + ((<usize>i * n + j) << 3), value)
  store<f64>(out + ((<usize>j * n + i) << 3), value)
}
