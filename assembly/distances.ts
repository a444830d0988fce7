// How far a row is from many: one pass over the memory of earlier queries.

/**
 * out[i] = |rows[i] - row|², f32. Element j is added up in lane j mod 12; lanes l, l + 4, l + 8 are added
 * up, then the four sums.
 *
 * @param out     n floats
 * @param rows    n rows, `stride` floats apart, padding zero
 * @param row     one row, padded alike
 * @param stride  floats from row to row, a multiple of 12
 */
export function distances(out: usize, rows: usize, row: usize, n: i32, stride: i32): void {
  const pitch = (<usize>stride) << 2
  for (let i = 0; i < n; i++) {
    let a = f32x4.splat(0),
      b = a,
      c = a
    for (let at: usize = 0; at < pitch; at += 48) {
      const x = f32x4.sub(v128.load(rows + at), v128.load(row + at))
      const y = f32x4.sub(v128.load(rows + at, 16), v128.load(row + at, 16))
      const z = f32x4.sub(v128.load(rows + at, 32), v128.load(row + at, 32))
      a = f32x4.add(a, f32x4.mul(x, x))
      b = f32x4.add(b, f32x4.mul(y, y))
      c = f32x4.add(c, f32x4.mul(z, z))
    }
    const sum = f32x4.add(f32x4.add(a, b), c)
    store<f32>(
      out + ((<usize>i) << 2),
      f32x4.extract_lane(sum, 0) + f32x4.extract_lane(sum, 1) + f32x4.extract_lane(sum, 2) + f32x4.extract_lane(sum, 3),
    )
    rows += pitch
  }
}

/**
 * out[i] = |rows[i] - row|² of integers, i32: exact, in whatever order, while it is below 2^31.
 *
 * @param out     n integers
 * @param rows    n rows of 8 bits a value, `stride` bytes apart, padding zero
 * @param row     one row of 16 bits a value, -128 .. 127, padding zero
 * @param stride  a multiple of 16
 */
export function byteDistances(out: usize, rows: usize, row: usize, n: i32, stride: i32): void {
  for (let i = 0; i < n; i++) {
    let a = i32x4.splat(0),
      b = a
    for (let at: usize = 0; at < <usize>stride; at += 16) {
      const x = i16x8.sub(v128.load_ext<i8>(rows + at), v128.load(row + 2 * at))
      const y = i16x8.sub(v128.load_ext<i8>(rows + at, 8), v128.load(row + 2 * at, 16))
      a = i32x4.add(a, i32x4.dot_i16x8_s(x, x))
      b = i32x4.add(b, i32x4.dot_i16x8_s(y, y))
    }
    const sum = i32x4.add(a, b)
    store<i32>(
      out + ((<usize>i) << 2),
      i32x4.extract_lane(sum, 0) + i32x4.extract_lane(sum, 1) + i32x4.extract_lane(sum, 2) + i32x4.extract_lane(sum, 3),
    )
    rows += stride
  }
}
