// Error locators: find lies among the returned results.

import { addRow, backSubstitute, cholesky, invert, qr, smallestSingularVector } from './linalg'

/**
 * The paper's vote (ApproxIFER, AAAI 2022, Algorithm 2). For every output coordinate: polynomials P and
 * Q of `degree` coefficients each with P(β) = y Q(β) in the least-squares sense; the `errors` rows with
 * the smallest |Q(β)| get a vote. A coordinate in which all rows agree says nothing and has no vote.
 *
 * Both polynomials are written in Chebyshev's basis, which keeps its digits where powers lose them
 * (K beyond 15). Q's scale is fixed by Q(0) = 1, with the basis T_j - T_j(0); or, with `unit`, by unit
 * length of all coefficients together, which leaves no blind spot at β = 0.
 *
 * @param votes    rows * i32, overwritten
 * @param answers  rows x outputs doubles, `stride` apart
 * @param basis    degree x rows doubles: T_j(β_i) at [j * rows + i]
 * @param scratch  max(rows, 2 degree) * (2 degree + 1) + 4 degree + rows doubles
 */
export function vote(
  votes: usize,
  answers: usize,
  basis: usize,
  scratch: usize,
  rows: i32,
  outputs: i32,
  stride: i32,
  degree: i32,
  errors: i32,
  unit: bool,
): void {
  const m = max(rows, 2 * degree)
  const x = scratch + ((<usize>m * (2 * degree + 1)) << 3)
  const next = x + ((<usize>(2 * degree)) << 3)
  const q = next + ((<usize>(2 * degree)) << 3)
  memory.fill(votes, 0, (<usize>rows) << 2)
  for (let c = 0; c < outputs; c++) {
    const y = answers + ((<usize>c) << 3)
    if (agree(y, rows, stride)) continue
    if (unit) unitDenominator(q, x, next, scratch, y, basis, m, rows, stride, degree)
    else denominator(q, x, scratch, y, basis, m, rows, stride, degree)
    castVotes(votes, q, rows, errors)
  }
}

function agree(y: usize, rows: i32, stride: i32): bool {
  const first = load<f64>(y)
  for (let i = 1; i < rows; i++) if (load<f64>(y + ((<usize>i * stride) << 3)) != first) return false
  return true
}

/** T_j(0): 1, 0, -1, 0, 1, ... */
function atZero(j: i32): f64 {
  return j & 1 ? 0 : j & 2 ? -1 : 1
}

/** q[i] = |Q(β_i)| with Q(0) = 1. Unknowns: `degree` of P, then degree - 1 of Q. */
function denominator(
  q: usize,
  x: usize,
  a: usize,
  y: usize,
  basis: usize,
  m: i32,
  rows: i32,
  stride: i32,
  degree: i32,
): void {
  const n = 2 * degree - 1
  memory.fill(a, 0, (<usize>m * (n + 1)) << 3)
  for (let i = 0; i < rows; i++) {
    const value = load<f64>(y + ((<usize>i * stride) << 3))
    for (let j = 0; j < degree; j++) {
      const t = load<f64>(basis + ((<usize>j * rows + i) << 3))
      store<f64>(a + ((<usize>j * m + i) << 3), t)
      if (j) store<f64>(a + ((<usize>(degree + j - 1) * m + i) << 3), -(t - atZero(j)) * value)
    }
    store<f64>(a + ((<usize>n * m + i) << 3), value)
  }
  qr(a, m, n, 1)
  backSubstitute(x, a, m, n, degree - 1)
  for (let i = 0; i < rows; i++) {
    let value = 1.0
    for (let j = 1; j < degree; j++) {
      const t = load<f64>(basis + ((<usize>j * rows + i) << 3)) - atZero(j)
      value += load<f64>(x + ((<usize>(degree + j - 1)) << 3)) * t
    }
    store<f64>(q + ((<usize>i) << 3), Math.abs(value))
  }
}

/** q[i] = |Q(β_i)| with all 2 degree coefficients of P and Q together of unit length. */
function unitDenominator(
  q: usize,
  x: usize,
  next: usize,
  a: usize,
  y: usize,
  basis: usize,
  m: i32,
  rows: i32,
  stride: i32,
  degree: i32,
): void {
  const n = 2 * degree
  memory.fill(a, 0, (<usize>m * n) << 3)
  for (let i = 0; i < rows; i++) {
    const value = load<f64>(y + ((<usize>i * stride) << 3))
    for (let j = 0; j < degree; j++) {
      const t = load<f64>(basis + ((<usize>j * rows + i) << 3))
      store<f64>(a + ((<usize>j * m + i) << 3), t)
      store<f64>(a + ((<usize>(degree + j) * m + i) << 3), -t * value)
    }
  }
  qr(a, m, n, 0)
  smallestSingularVector(x, next, a, m, n)
  for (let i = 0; i < rows; i++) {
    let value = 0.0
    for (let j = 0; j < degree; j++) {
      value += load<f64>(x + ((<usize>(degree + j)) << 3)) * load<f64>(basis + ((<usize>j * rows + i) << 3))
    }
    store<f64>(q + ((<usize>i) << 3), Math.abs(value))
  }
}

/** Gives a vote to each of the `errors` smallest q; of equal ones the first. Overwrites q. */
function castVotes(votes: usize, q: usize, rows: i32, errors: i32): void {
  for (let e = 0; e < errors; e++) {
    let least = 0
    for (let i = 1; i < rows; i++) {
      if (load<f64>(q + ((<usize>i) << 3)) < load<f64>(q + ((<usize>least) << 3))) least = i
    }
    store<f64>(q + ((<usize>least) << 3), Infinity)
    const at = votes + ((<usize>least) << 2)
    store<i32>(at, load<i32>(at) + 1)
  }
}

/** Columns that are processed at a time: a tile of 30 rows stays in the first-level cache. */
const TILE: i32 = 16

/**
 * Leave-one-out residuals under a Gaussian process on the inputs, `rounds` times. With
 * A = kernel + noise * mean(diag) * I, B = A⁻¹ and R = answers - their median in each coordinate,
 * the score of row i is |[B R]_i|² / B_ii: how badly the others explain it (Rasmussen, Williams,
 * Gaussian Processes, 2006, eq. 5.12). The row with the largest score is dropped, then again on the rest.
 *
 * A later round costs no inversion and no product. Without row i, B loses the rank-one part b bᵀ / b_i of
 * its row b = B_i; and as each column's median moves by one constant, B R moves by (B 1) times it.
 *
 * @param order    `rounds` i32: the rows dropped, in order
 * @param scores   rows doubles: each row's score when it was dropped, of the last round if it stayed
 * @param answers  rows x outputs doubles, `stride` (a multiple of 16) apart, padding zero
 * @param kernel   rows x rows doubles, symmetric
 * @param scratch  2 * rows * (rows + 1) + 2 * rows * stride + 2 * stride + 16 * rows doubles
 * @param rounds   1 .. rows - 1
 * @returns false where A is not positive definite; results are then undefined
 */
export function residual(
  order: usize,
  scores: usize,
  answers: usize,
  kernel: usize,
  scratch: usize,
  rows: i32,
  stride: i32,
  noise: f64,
  rounds: i32,
): bool {
  const pitch = (<usize>((rows + 1) & ~1)) << 3
  const wide = (<usize>stride) << 3
  const factor = scratch
  const inverse = factor + <usize>rows * pitch
  const product = inverse + <usize>rows * pitch
  const sorted = product + <usize>rows * wide
  const medians = sorted + <usize>rows * wide
  const shift = medians + wide
  const tile = shift + wide
  if (!covariance(factor, kernel, rows, pitch, noise)) return false
  invert(inverse, factor, rows, pitch)
  memory.copy(sorted, answers, <usize>rows * wide)
  for (let c = 0; c < stride; c += TILE) sortColumns(sorted + ((<usize>c) << 3), rows, wide)
  middle(medians, sorted, rows, wide)
  for (let c: usize = 0; c < wide; c += (<usize>TILE) << 3) {
    centre(tile, answers + c, medians + c, rows, wide)
    multiply(product + c, inverse, tile, rows, pitch, wide)
  }
  for (let i = 0; i < rows; i++) store<f64>(scores + ((<usize>i) << 3), -1)
  for (let round = 0; round < rounds; round++) {
    const worst = score(scores, product, inverse, order, round, rows, pitch, wide)
    store<i32>(order + ((<usize>round) << 2), worst)
    if (round + 1 == rounds) break
    remove(sorted, answers + <usize>worst * wide, rows - round, wide)
    memory.copy(shift, medians, wide)
    middle(medians, sorted, rows - round - 1, wide)
    addRow(shift, medians, -1, wide)
    without(product, inverse, shift, order, round, rows, pitch, wide)
  }
  return true
}

/** factor = Cholesky of kernel + noise * mean(diag) * I. */
function covariance(factor: usize, kernel: usize, rows: i32, pitch: usize, noise: f64): bool {
  let diagonal = 0.0
  for (let i = 0; i < rows; i++) diagonal += load<f64>(kernel + ((<usize>i * rows + i) << 3))
  const jitter = noise * (diagonal / <f64>rows)
  for (let i = 0; i < rows; i++) {
    memory.copy(factor + <usize>i * pitch, kernel + ((<usize>i * rows) << 3), (<usize>rows) << 3)
    const at = factor + <usize>i * pitch + ((<usize>i) << 3)
    store<f64>(at, load<f64>(at) + jitter)
  }
  return cholesky(factor, rows, pitch)
}

/** Batcher's merge exchange (Knuth, TAOCP 3, Algorithm 5.2.2M) on 16 columns at once, without branches that depend on the data. */
function sortColumns(sorted: usize, rows: i32, wide: usize): void {
  if (rows < 2) return
  const top = 1 << (31 - clz(rows - 1))
  for (let p = top; p > 0; p >>= 1) {
    let q = top,
      r = 0,
      d = p
    while (true) {
      for (let i = 0; i < rows - d; i++) {
        if ((i & p) == r) exchange(sorted + <usize>i * wide, sorted + <usize>(i + d) * wide)
      }
      if (q == p) break
      d = q - p
      q >>= 1
      r = p
    }
  }
}

function exchange(a: usize, b: usize): void {
  for (let at: usize = 0; at < (<usize>TILE) << 3; at += 16) {
    const x = v128.load(a + at),
      y = v128.load(b + at)
    v128.store(a + at, f64x2.min(x, y))
    v128.store(b + at, f64x2.max(x, y))
  }
}

/** Removes the values of `row` from the sorted columns, of which `left` rows are in use. */
function remove(sorted: usize, row: usize, left: i32, wide: usize): void {
  for (let i = 0; i < left - 1; i++) {
    const at = sorted + <usize>i * wide
    for (let c: usize = 0; c < wide; c += 16) {
      const here = v128.load(at + c)
      const larger = f64x2.gt(v128.load(row + c), here)
      v128.store(at + c, v128.bitselect(here, v128.load(at + wide + c), larger))
    }
  }
}

/** Medians of sorted columns. */
function middle(medians: usize, sorted: usize, rows: i32, wide: usize): void {
  const low = sorted + <usize>((rows - 1) >> 1) * wide
  const high = sorted + <usize>(rows >> 1) * wide
  for (let c: usize = 0; c < wide; c += 16) {
    v128.store(medians + c, f64x2.mul(f64x2.add(v128.load(low + c), v128.load(high + c)), f64x2.splat(0.5)))
  }
}

/** tile (rows x 16, dense) = 16 columns of the answers minus their medians. */
function centre(tile: usize, answers: usize, medians: usize, rows: i32, wide: usize): void {
  for (let i = 0; i < rows; i++) {
    const from = answers + <usize>i * wide
    const to = tile + ((<usize>i * TILE) << 3)
    for (let at: usize = 0; at < (<usize>TILE) << 3; at += 16) {
      v128.store(to + at, f64x2.sub(v128.load(from + at), v128.load(medians + at)))
    }
  }
}

/** 16 columns of product = inverse · tile. */
function multiply(product: usize, inverse: usize, tile: usize, rows: i32, pitch: usize, wide: usize): void {
  for (let i = 0; i < rows; i++) {
    const weights = inverse + <usize>i * pitch
    const to = product + <usize>i * wide
    for (let half: usize = 0; half < (<usize>TILE) << 3; half += 64) {
      let a = f64x2.splat(0),
        b = a,
        c = a,
        d = a
      let row = tile + half
      for (let f: usize = 0; f < (<usize>rows) << 3; f += 8) {
        const w = v128.load_splat<f64>(weights + f)
        a = f64x2.add(a, f64x2.mul(w, v128.load(row)))
        b = f64x2.add(b, f64x2.mul(w, v128.load(row, 16)))
        c = f64x2.add(c, f64x2.mul(w, v128.load(row, 32)))
        d = f64x2.add(d, f64x2.mul(w, v128.load(row, 48)))
        row += (<usize>TILE) << 3
      }
      v128.store(to + half, a)
      v128.store(to + half, b, 16)
      v128.store(to + half, c, 32)
      v128.store(to + half, d, 48)
    }
  }
}

/** Whether row i is among the first `count` of `order`. */
function dropped(order: usize, count: i32, i: i32): bool {
  for (let r = 0; r < count; r++) if (load<i32>(order + ((<usize>r) << 2)) == i) return true
  return false
}

/** Scores of the rows that are not dropped. @returns the row with the largest score; of equal ones the first */
function score(
  scores: usize,
  product: usize,
  inverse: usize,
  order: usize,
  round: i32,
  rows: i32,
  pitch: usize,
  wide: usize,
): i32 {
  let worst = -1
  for (let i = 0; i < rows; i++) {
    if (dropped(order, round, i)) continue
    const value = square(product + <usize>i * wide, wide) / load<f64>(inverse + <usize>i * pitch + ((<usize>i) << 3))
    store<f64>(scores + ((<usize>i) << 3), value)
    if (worst < 0 || value > load<f64>(scores + ((<usize>worst) << 3))) worst = i
  }
  return worst
}

/** |row|². Element c goes to lane c mod 8; the lanes are added at the end. */
function square(row: usize, wide: usize): f64 {
  let a = f64x2.splat(0),
    b = a,
    c = a,
    d = a
  for (let at: usize = 0; at < wide; at += 64) {
    const w = v128.load(row + at),
      x = v128.load(row + at, 16),
      y = v128.load(row + at, 32),
      z = v128.load(row + at, 48)
    a = f64x2.add(a, f64x2.mul(w, w))
    b = f64x2.add(b, f64x2.mul(x, x))
    c = f64x2.add(c, f64x2.mul(y, y))
    d = f64x2.add(d, f64x2.mul(z, z))
  }
  return (
    f64x2.extract_lane(a, 0) +
    f64x2.extract_lane(a, 1) +
    f64x2.extract_lane(b, 0) +
    f64x2.extract_lane(b, 1) +
    f64x2.extract_lane(c, 0) +
    f64x2.extract_lane(c, 1) +
    f64x2.extract_lane(d, 0) +
    f64x2.extract_lane(d, 1)
  )
}

/** Updates inverse and product of the remaining rows for the row that this round dropped. */
function without(
  product: usize,
  inverse: usize,
  shift: usize,
  order: usize,
  round: i32,
  rows: i32,
  pitch: usize,
  wide: usize,
): void {
  const worst = load<i32>(order + ((<usize>round) << 2))
  const b = inverse + <usize>worst * pitch
  const own = load<f64>(b + ((<usize>worst) << 3))
  for (let j = 0; j < rows; j++) {
    if (dropped(order, round + 1, j)) continue
    const row = inverse + <usize>j * pitch
    const factor = -load<f64>(b + ((<usize>j) << 3)) / own
    addRow(row, b, factor, pitch)
    addRow(product + <usize>j * wide, product + <usize>worst * wide, factor, wide)
    let sum = 0.0
    for (let i = 0; i < rows; i++) if (!dropped(order, round + 1, i)) sum += load<f64>(row + ((<usize>i) << 3))
    addRow(product + <usize>j * wide, shift, sum, wide)
  }
}
