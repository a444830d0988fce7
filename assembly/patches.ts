// Filters of 5 x 5 pixels on all patches of an image, and means of their rectified responses over 4 x 4 cells. || || The mirror image of a
// filter responds to a patch as the filter responds to the mirrored patch. So patches are split into parts that mirroring keeps (three
// columns) and parts that it negates (two): this halves the work for both filters. Vectors run along the columns of the image. The larger
// of two numbers is `pmax`, a single instruction: `max`, which treats NaN specially, takes many.

/** Side of a patch in pixels, and cells per side of the pooling grid. */
const SIDE: i32 = 5
const CELLS: i32 = 4
/** Bytes of a vector. */
const VECTOR: usize = 16

/**
 * Splits all patches into lines: value `left + top * pitch` of a line belongs to the patch with that corner.
 *
 * @param even      channels x 5 rows x (x2, x0 + x4, x1 + x3), lines `stride` floats apart
 * @param odd       channels x 5 rows x (x0 - x4, x1 - x3)
 * @param scale     one line: 1 / sqrt(variance within the patch + contrast)
 * @param image     channels x height x width floats, and 4 more
 * @param rows      rows of patches: height - 4
 * @param pitch     patches in a row, rounded up to a multiple of 4: values beyond the edge are meaningless
 */
export function patchLines(
  even: usize,
  odd: usize,
  scale: usize,
  image: usize,
  channels: i32,
  width: i32,
  rows: i32,
  pitch: i32,
  stride: i32,
  contrast: f32,
): void {
  const line = (<usize>stride) << 2
  const pixels = (<usize>width) << 2
  const plane = pixels * <usize>(rows + SIDE - 1)
  const size = f32x4.splat(<f32>(SIDE * SIDE * channels))
  for (let top = 0; top < rows; top++) {
    for (let left = 0; left < pitch; left += 4) {
      const at = (<usize>(top * pitch + left)) << 2
      let from = image + <usize>top * pixels + ((<usize>left) << 2)
      let e = even + at,
        o = odd + at
      let sum = f32x4.splat(0),
        square = sum
      for (let c = 0; c < channels; c++, from += plane) {
        let row = from
        for (let y = 0; y < SIDE; y++, row += pixels) {
          const a = v128.load(row),
            b = v128.load(row, 4),
            middle = v128.load(row, 8),
            d = v128.load(row, 12),
            f = v128.load(row, 16)
          const outer = f32x4.add(a, f),
            inner = f32x4.add(b, d)
          v128.store(e, middle)
          v128.store(e + line, outer)
          v128.store(e + 2 * line, inner)
          v128.store(o, f32x4.sub(a, f))
          v128.store(o + line, f32x4.sub(b, d))
          e += 3 * line
          o += 2 * line
          sum = f32x4.add(sum, f32x4.add(f32x4.add(outer, inner), middle))
          const outers = f32x4.add(f32x4.mul(a, a), f32x4.mul(f, f)),
            inners = f32x4.add(f32x4.mul(b, b), f32x4.mul(d, d))
          square = f32x4.add(square, f32x4.add(f32x4.add(outers, inners), f32x4.mul(middle, middle)))
        }
      }
      const mean = f32x4.div(sum, size)
      const variance = f32x4.pmax(f32x4.splat(0), f32x4.sub(f32x4.div(square, size), f32x4.mul(mean, mean)))
      const deviation = f32x4.sqrt(f32x4.add(variance, f32x4.splat(contrast)))
      v128.store(scale + at, f32x4.div(f32x4.splat(1), deviation))
    }
  }
}

/**
 * Weighted means over the cells of max(0, r - θ) and max(0, -r - θ), where r = (even ± odd) * scale - offset, with + for a filter and - for
 * its mirror image.
 *
 * @param out         sign (2) x filter, then mirror image (2 x filters) x row x column of cells
 * @param even, odd   responses: `filters` lines, `stride` floats apart
 * @param offsets     one per filter
 * @param ends        5 integers: patches in rows ends[i - 1] .. ends[i] - 1 count in the cells i - 1 and i
 * @param down        for each row its weights in these two cells
 * @param across      for each column of cells `pitch` weights; zero beyond the edge
 * @param scratch     64 vectors
 */
export function poolCells(
  out: usize,
  even: usize,
  odd: usize,
  scale: usize,
  offsets: usize,
  ends: usize,
  down: usize,
  across: usize,
  scratch: usize,
  filters: i32,
  pitch: i32,
  stride: i32,
  threshold: f32,
): void {
  const cells = (<usize>(CELLS * CELLS)) << 2
  const half = <usize>filters * cells
  for (let k = 0; k < filters; k++) {
    memory.fill(scratch, 0, <usize>(4 * CELLS * CELLS) * VECTOR)
    for (let at: usize = 0; at < (<usize>pitch) << 2; at += VECTOR) {
      poolColumns(scratch, even + at, odd + at, scale + at, offsets, ends, down, across + at, pitch, threshold)
    }
    for (let i: usize = 0; i < <usize>(CELLS * CELLS); i++) {
      const to = out + (i << 2)
      store<f32>(to, lanes(scratch + i * VECTOR))
      store<f32>(to + half, lanes(scratch + (i + 16) * VECTOR))
      store<f32>(to + 2 * half, lanes(scratch + (i + 32) * VECTOR))
      store<f32>(to + 3 * half, lanes(scratch + (i + 48) * VECTOR))
    }
    out += cells
    offsets += 4
    even += (<usize>stride) << 2
    odd += (<usize>stride) << 2
  }
}

/** Four columns of patches, from top to bottom: the sums of a cell are complete where the cell after the next begins. */
function poolColumns(
  scratch: usize,
  even: usize,
  odd: usize,
  scale: usize,
  offset: usize,
  ends: usize,
  down: usize,
  across: usize,
  pitch: i32,
  threshold: f32,
): void {
  const zero = f32x4.splat(0)
  const shift = v128.load_splat<f32>(offset)
  const least = f32x4.splat(threshold)
  const minus = f32x4.splat(-threshold)
  const step = (<usize>pitch) << 2
  let a = zero,
    b = zero,
    c = zero,
    d = zero
  for (let cell = 0, row = 0; cell <= CELLS; cell++) {
    let p = a,
      q = b,
      r = c,
      s = d
    a = b = c = d = zero
    for (const end = load<i32>(ends + ((<usize>cell) << 2)); row < end; row++) {
      const u = v128.load(even),
        v = v128.load(odd),
        w = v128.load(scale)
      const x = f32x4.sub(f32x4.mul(f32x4.add(u, v), w), shift)
      const y = f32x4.sub(f32x4.mul(f32x4.sub(u, v), w), shift)
      const up = f32x4.pmax(zero, f32x4.sub(x, least)),
        upMirror = f32x4.pmax(zero, f32x4.sub(y, least))
      const low = f32x4.pmax(zero, f32x4.sub(minus, x)),
        lowMirror = f32x4.pmax(zero, f32x4.sub(minus, y))
      const here = v128.load_splat<f32>(down)
      p = f32x4.add(p, f32x4.mul(here, up))
      q = f32x4.add(q, f32x4.mul(here, upMirror))
      r = f32x4.add(r, f32x4.mul(here, low))
      s = f32x4.add(s, f32x4.mul(here, lowMirror))
      const next = v128.load_splat<f32>(down, 4)
      a = f32x4.add(a, f32x4.mul(next, up))
      b = f32x4.add(b, f32x4.mul(next, upMirror))
      c = f32x4.add(c, f32x4.mul(next, low))
      d = f32x4.add(d, f32x4.mul(next, lowMirror))
      even += step
      odd += step
      scale += step
      down += 8
    }
    if (!cell) continue
    let to = scratch + <usize>(CELLS * (cell - 1)) * VECTOR
    for (let column: usize = 0; column < <usize>CELLS; column++, to += VECTOR) {
      const weight = v128.load(across + column * step)
      v128.store(to, f32x4.add(v128.load(to), f32x4.mul(p, weight)))
      v128.store(to, f32x4.add(v128.load(to, 256), f32x4.mul(q, weight)), 256)
      v128.store(to, f32x4.add(v128.load(to, 512), f32x4.mul(r, weight)), 512)
      v128.store(to, f32x4.add(v128.load(to, 768), f32x4.mul(s, weight)), 768)
    }
  }
}

function lanes(at: usize): f32 {
  return load<f32>(at) + load<f32>(at, 4) + load<f32>(at, 8) + load<f32>(at, 12)
}

/**
 * Splits features (sqrt(mean) - centre) * scale, rounded to f32, into parts that mirroring keeps and parts that it negates: the sum of a
 * feature and its mirror image, divided by sqrt 2, and their difference. Values are rounded to integers from -127 to 127.
 *
 * @param out            2 x filters x 16 bytes of the kept parts, then as many of the negated ones
 * @param means          as `poolCells` leaves them; overwritten by the features
 * @param centre, scale  one of each for every mean
 * @param unit           the value of 1 in the parts, a power of two
 */
export function mirrorParts(out: usize, means: usize, centre: usize, scale: usize, filters: i32, unit: f64): void {
  const half = (<usize>(filters * CELLS * CELLS)) << 2
  for (let at: usize = 0; at < half << 2; at += 8) {
    const root = f64x2.sqrt(wide(means + at))
    const feature = f64x2.mul(f64x2.sub(root, wide(centre + at)), wide(scale + at))
    v128.store64_lane(means + at, f32x4.demote_f64x2_zero(feature), 0)
  }
  const middle = f64x2.splat(0.5)
  const factor = f64x2.splat(Math.SQRT1_2 * unit)
  for (let side: f64 = 1; side >= -1; side -= 2) {
    const sign = f64x2.splat(side)
    for (let at: usize = 0; at < half << 1; at += 8, out += 2) {
      const from = means + at + (at < half ? 0 : half)
      const to = from + half + 8 - ((at & 8) << 1) // the mirrored place in a row of four cells
      const other = wide(to)
      const sum = f64x2.add(wide(from), f64x2.mul(v128.shuffle<f64>(other, other, 1, 0), sign))
      const near = i32x4.trunc_sat_f64x2_s_zero(f64x2.floor(f64x2.add(f64x2.mul(sum, factor), middle)))
      const words = i16x8.narrow_i32x4_s(near, near)
      v128.store16_lane(out, i8x16.max_s(i8x16.splat(-127), i8x16.narrow_i16x8_s(words, words)), 0)
    }
  }
}

/** Two floats, widened to f64. */
function wide(at: usize): v128 {
  return f64x2.promote_low_f32x4(v128.load64_zero(at))
}
