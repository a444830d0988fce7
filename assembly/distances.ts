// Distances of a row to many others: one pass over the memory of earlier queries.

/**
 * out[i] = |rows[i] - row|², f32. Element j goes to lane j mod 12; lanes l, l + 4, l + 8 are added first, then the four sums.
 *
 * @param out     n floats
 * @param rows    n rows, `stride` floats apart, padding zero
 * @param row     one row, padded in the same way
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
 * Squared distances of rows in two halves, even and odd, to a row, and to that row with its odd half negated. They are |a|² + |b|² - 2ab of
 * either half in integers, which are exact in any order; the halves are then added in f32.
 *
 * @param plain, turned  n floats each, and up to three more
 * @param rows     n rows of 8-bit values, 2 * half bytes each; four rows alternate every eight values, so that memory is read in one stream
 * instead of four
 * @param evens, odds  squared lengths of their halves: n integers each, and up to three more
 * @param row      one row
 * @param scratch  room for the row in 16-bit values
 * @param half     values in a half, a multiple of 8
 * @param unit     factor of all results, a power of two
 */
export function halvesDistances(
  plain: usize,
  turned: usize,
  rows: usize,
  evens: usize,
  odds: usize,
  row: usize,
  scratch: usize,
  n: i32,
  half: i32,
  unit: f32,
): void {
  const pitch = (<usize>half) << 1
  const even = widened(scratch, row, <usize>half)
  const odd = widened(scratch + pitch, row + <usize>half, <usize>half)
  const factor = f32x4.splat(unit)
  for (let i: usize = 0; i < (<usize>n) << 2; i += 16) {
    for (let from: usize = 0; from <= pitch; from += pitch) {
      v128.store((from ? turned : plain) + i, dots(rows + 2 * from, scratch + from, <usize>half))
    }
    const lengths = i32x4.add(v128.load(odds + i), i32x4.splat(odd))
    const e = i32x4.sub(i32x4.add(v128.load(evens + i), i32x4.splat(even)), i32x4.shl(v128.load(plain + i), 1))
    const c = i32x4.shl(v128.load(turned + i), 1)
    const same = f32x4.convert_i32x4_s(e)
    v128.store(plain + i, f32x4.mul(factor, f32x4.add(same, f32x4.convert_i32x4_s(i32x4.sub(lengths, c)))))
    v128.store(turned + i, f32x4.mul(factor, f32x4.add(same, f32x4.convert_i32x4_s(i32x4.add(lengths, c)))))
    rows += pitch << 2
  }
}

/** Widens 8-bit values to 16 bits. @returns the sum of their squares */
function widened(out: usize, row: usize, count: usize): i32 {
  let sum = i32x4.splat(0)
  for (let at: usize = 0; at < count; at += 8) {
    const x = v128.load_ext<i8>(row + at)
    v128.store(out + 2 * at, x)
    sum = i32x4.add(sum, i32x4.dot_i16x8_s(x, x))
  }
  return (
    i32x4.extract_lane(sum, 0) + i32x4.extract_lane(sum, 1) + i32x4.extract_lane(sum, 2) + i32x4.extract_lane(sum, 3)
  )
}

/** Products of four alternating rows with one row, which is loaded once for all four. */
function dots(rows: usize, row: usize, count: usize): v128 {
  let a = i32x4.splat(0),
    b = a,
    c = a,
    d = a
  for (const end = row + 2 * count; row < end; row += 16, rows += 32) {
    const x = v128.load(row)
    a = i32x4.add(a, i32x4.dot_i16x8_s(v128.load_ext<i8>(rows), x))
    b = i32x4.add(b, i32x4.dot_i16x8_s(v128.load_ext<i8>(rows, 8), x))
    c = i32x4.add(c, i32x4.dot_i16x8_s(v128.load_ext<i8>(rows, 16), x))
    d = i32x4.add(d, i32x4.dot_i16x8_s(v128.load_ext<i8>(rows, 24), x))
  }
  const ab = i32x4.add(v128.shuffle<i32>(a, b, 0, 4, 1, 5), v128.shuffle<i32>(a, b, 2, 6, 3, 7))
  const cd = i32x4.add(v128.shuffle<i32>(c, d, 0, 4, 1, 5), v128.shuffle<i32>(c, d, 2, 6, 3, 7))
  return i32x4.add(v128.shuffle<i32>(ab, cd, 0, 1, 4, 5), v128.shuffle<i32>(ab, cd, 2, 3, 6, 7))
}
