// Small dense linear algebra in f64 for systems of at most a few dozen unknowns.
// All orders of summation are fixed; src/core/js-linalg.ts repeats them.

/** A pivot of R below this share of the largest one counts as zero. */
export const TINY: f64 = 1e-15

/** At most this many steps of inverse iteration; the golden vectors need up to 51. */
const STEPS: i32 = 200

/**
 * Householder QR in place. `a` is m x n, m >= n, column-major; after the call R stands in its upper
 * triangle and the reflectors below it have been applied to the `extra` further columns that follow.
 */
export function qr(a: usize, m: i32, n: i32, extra: i32): void {
  const pitch = (<usize>m) << 3
  for (let j = 0; j < n; j++) {
    const column = a + <usize>j * pitch
    let square = 0.0
    for (let i = j; i < m; i++) {
      const x = load<f64>(column + ((<usize>i) << 3))
      square += x * x
    }
    if (square == 0) continue
    const pivot = column + ((<usize>j) << 3)
    const head = load<f64>(pivot)
    const r = head > 0 ? -Math.sqrt(square) : Math.sqrt(square)
    const beta = 1 / (square - head * r)
    store<f64>(pivot, head - r) // the reflector lies where the column was, until R takes its head
    for (let c = j + 1; c < n + extra; c++) reflect(a + <usize>c * pitch, column, j, m, beta)
    store<f64>(pivot, r)
  }
}

/** target -= beta (vᵀ target) v, for rows from..m-1. */
function reflect(target: usize, v: usize, from: i32, m: i32, beta: f64): void {
  let dot = 0.0
  for (let i = from; i < m; i++) dot += load<f64>(v + ((<usize>i) << 3)) * load<f64>(target + ((<usize>i) << 3))
  const s = beta * dot
  for (let i = from; i < m; i++) {
    const at = target + ((<usize>i) << 3)
    store<f64>(at, load<f64>(at) - s * load<f64>(v + ((<usize>i) << 3)))
  }
}

/** The pivot below which R counts as singular. */
export function smallest(a: usize, m: i32, n: i32): f64 {
  let most = 0.0
  for (let j = 0; j < n; j++) most = Math.max(most, Math.abs(load<f64>(a + ((<usize>j * m + j) << 3))))
  return most * TINY
}

/**
 * The last `count` unknowns of R x = b by back substitution: x[n-1], x[n-2], ... Unknowns whose pivot
 * is zero become zero. `a` as `qr` leaves it, `b` its column n.
 */
export function backSubstitute(x: usize, a: usize, m: i32, n: i32, count: i32): void {
  const floor = smallest(a, m, n)
  const b = a + ((<usize>n * m) << 3)
  for (let i = n - 1; i >= n - count; i--) {
    const pivot = load<f64>(a + ((<usize>i * m + i) << 3))
    let value = load<f64>(b + ((<usize>i) << 3))
    for (let j = i + 1; j < n; j++) value -= load<f64>(a + ((<usize>j * m + i) << 3)) * load<f64>(x + ((<usize>j) << 3))
    store<f64>(x + ((<usize>i) << 3), Math.abs(pivot) > floor ? value / pivot : 0)
  }
}

/**
 * x (n, unit length) = the right singular vector of R that belongs to its smallest singular value, by
 * inverse iteration with RᵀR from a fixed start. `next` is scratch of n doubles.
 */
export function smallestSingularVector(x: usize, next: usize, a: usize, m: i32, n: i32): void {
  const floor = Math.max(smallest(a, m, n), f64.MIN_NORMAL_VALUE)
  for (let j = 0; j < n; j++) {
    const pivot = a + ((<usize>j * m + j) << 3)
    if (Math.abs(load<f64>(pivot)) < floor) store<f64>(pivot, floor)
    store<f64>(x + ((<usize>j) << 3), 1 + <f64>j / <f64>n) // no symmetry that could make it orthogonal to the answer
  }
  normalise(x, n)
  for (let step = 0; step < STEPS; step++) {
    for (let i = 0; i < n; i++) {
      let value = load<f64>(x + ((<usize>i) << 3))
      const column = a + ((<usize>i * m) << 3)
      for (let j = 0; j < i; j++) value -= load<f64>(column + ((<usize>j) << 3)) * load<f64>(next + ((<usize>j) << 3))
      store<f64>(next + ((<usize>i) << 3), value / load<f64>(column + ((<usize>i) << 3)))
    }
    normalise(next, n)
    for (let i = n - 1; i >= 0; i--) {
      let value = load<f64>(next + ((<usize>i) << 3))
      for (let j = i + 1; j < n; j++) {
        value -= load<f64>(a + ((<usize>j * m + i) << 3)) * load<f64>(next + ((<usize>j) << 3))
      }
      store<f64>(next + ((<usize>i) << 3), value / load<f64>(a + ((<usize>i * m + i) << 3)))
    }
    normalise(next, n)
    let cosine = 0.0
    for (let i = 0; i < n; i++) {
      cosine += load<f64>(x + ((<usize>i) << 3)) * load<f64>(next + ((<usize>i) << 3))
      store<f64>(x + ((<usize>i) << 3), load<f64>(next + ((<usize>i) << 3)))
    }
    if (1 - Math.abs(cosine) < 1e-15) return
  }
}

function normalise(x: usize, n: i32): void {
  let square = 0.0
  for (let i = 0; i < n; i++) square += load<f64>(x + ((<usize>i) << 3)) * load<f64>(x + ((<usize>i) << 3))
  const length = Math.sqrt(square)
  for (let i = 0; i < n; i++) store<f64>(x + ((<usize>i) << 3), load<f64>(x + ((<usize>i) << 3)) / length)
}

/**
 * In place: the Cholesky factor L (lower triangle) of a symmetric positive definite n x n matrix with rows `pitch` bytes apart.
 * @returns false if the matrix is not positive definite
 */
export function cholesky(a: usize, n: i32, pitch: usize): bool {
  for (let i = 0; i < n; i++) if (!choleskyRow(a, i, pitch)) return false
  return true
}

/** Row i of the factor; needs the rows before it. */
function choleskyRow(a: usize, i: i32, pitch: usize): bool {
  const row = a + <usize>i * pitch
  for (let j = 0; j <= i; j++) {
    const other = a + <usize>j * pitch
    let value = load<f64>(row + ((<usize>j) << 3))
    for (let k = 0; k < j; k++) value -= load<f64>(row + ((<usize>k) << 3)) * load<f64>(other + ((<usize>k) << 3))
    if (j < i) {
      store<f64>(row + ((<usize>j) << 3), value / load<f64>(other + ((<usize>j) << 3)))
    } else {
      if (!(value > 0)) return false
      store<f64>(row + ((<usize>j) << 3), Math.sqrt(value))
    }
  }
  return true
}

/**
 * The inverse of a symmetric positive definite matrix.
 *
 * @param out     n rows of doubles, rows (n + 1) & ~1 apart; both triangles
 * @param matrix  n * n doubles, dense
 * @param factor  scratch, n rows as `out`
 * @returns false if the matrix is not positive definite; `out` is then undefined
 */
export function inverse(out: usize, matrix: usize, factor: usize, n: i32): bool {
  const pitch = (<usize>((n + 1) & ~1)) << 3
  for (let i = 0; i < n; i++) memory.copy(factor + <usize>i * pitch, matrix + ((<usize>i * n) << 3), (<usize>n) << 3)
  if (!cholesky(factor, n, pitch)) return false
  invert(out, factor, n, pitch)
  return true
}

/**
 * inverse (n x n, both triangles) of the matrix whose Cholesky factor is `l`; rows of both lie `pitch`
 * bytes apart, a multiple of 16. Both substitutions run on whole rows, which lets the vectors run along
 * the columns.
 */
export function invert(inverse: usize, l: usize, n: i32, pitch: usize): void {
  for (let i = 0; i < n; i++) forward(inverse, l, i, pitch)
  for (let i = n - 1; i >= 0; i--) backward(inverse, l, i, n, pitch)
}

function forward(inverse: usize, l: usize, i: i32, pitch: usize): void {
  const row = inverse + <usize>i * pitch
  memory.fill(row, 0, pitch)
  store<f64>(row + ((<usize>i) << 3), 1)
  for (let k = 0; k < i; k++)
    addRow(row, inverse + <usize>k * pitch, -load<f64>(l + <usize>i * pitch + ((<usize>k) << 3)), pitch)
  divideRow(row, load<f64>(l + <usize>i * pitch + ((<usize>i) << 3)), pitch)
}

function backward(inverse: usize, l: usize, i: i32, n: i32, pitch: usize): void {
  const row = inverse + <usize>i * pitch
  for (let k = i + 1; k < n; k++)
    addRow(row, inverse + <usize>k * pitch, -load<f64>(l + <usize>k * pitch + ((<usize>i) << 3)), pitch)
  divideRow(row, load<f64>(l + <usize>i * pitch + ((<usize>i) << 3)), pitch)
}

/**
 * One of the 3 n steps of an inversion: n rows of the factor, then n of each substitution.
 *
 * @param out     n rows of doubles, rows (n + 1) & ~1 apart; both triangles after the last step
 * @param factor  the matrix, in rows as `out`; its lower triangle is enough
 * @returns false if the matrix is not positive definite; further steps are then useless
 */
export function inverseStep(out: usize, factor: usize, n: i32, step: i32): bool {
  const pitch = (<usize>((n + 1) & ~1)) << 3
  if (step < n) return choleskyRow(factor, step, pitch)
  if (step < 2 * n) forward(out, factor, step - n, pitch)
  else backward(out, factor, 3 * n - 1 - step, n, pitch)
  return true
}

/** target += factor * row, over `bytes`, a multiple of 16. */
export function addRow(target: usize, row: usize, factor: f64, bytes: usize): void {
  const w = f64x2.splat(factor)
  for (let at: usize = 0; at < bytes; at += 16) {
    v128.store(target + at, f64x2.add(v128.load(target + at), f64x2.mul(w, v128.load(row + at))))
  }
}

function divideRow(row: usize, divisor: f64, bytes: usize): void {
  const w = f64x2.splat(divisor)
  for (let at: usize = 0; at < bytes; at += 16) v128.store(row + at, f64x2.div(v128.load(row + at), w))
}
