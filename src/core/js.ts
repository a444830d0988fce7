/**
 * The core in plain JavaScript. It is the specification of assembly/: every sum in the same order, so that
 * the two agree to the bit. (Only the payload of a NaN may differ.)
 */

import type { Core } from './core'
import { CELLS, FilterBank, type FilterBankOptions, type PatchKernels, SIDE } from './filter-bank'
import { BLOCK, KernelMatrix, type RegressionKernels } from './kernel-matrix'
import {
  type Answers,
  freshRows,
  multiplied,
  notDefinite,
  quantised,
  type Residuals,
  type Space,
  type Table,
} from './rows'

const { abs, fround, max, sqrt } = Math

export class JsCore implements Core {
  readonly kind = 'js'

  constructor(readonly fallback?: string) {}

  combine(weights: Float32Array, rows: readonly Float32Array[], out = freshRows(weights, rows)): Float32Array[] {
    const k = rows.length
    for (let i = 0; i < out.length; i++) weightedSum(out[i].fill(0), weights.subarray(i * k, (i + 1) * k), rows)
    return out
  }

  gram(rows: readonly Float32Array[]): Float64Array {
    const n = rows.length
    const out = new Float64Array(n * n)
    for (let i = 0; i < n; i++) {
      for (let j = 0; j <= i; j++) out[i * n + j] = out[j * n + i] = dot(rows[i], rows[j])
    }
    return out
  }

  vote(answers: Answers, basis: Float64Array, errors: number, unit: boolean): Int32Array {
    const f = answers.length
    const votes = new Int32Array(f)
    const y = new Float64Array(f)
    for (let c = 0; c < answers[0].length; c++) {
      for (let i = 0; i < f; i++) y[i] = answers[i][c]
      if (y.every((value) => value === y[0])) continue
      castVotes(votes, unit ? unitDenominator(y, basis) : denominator(y, basis), errors)
    }
    return votes
  }

  table(width: number, _capacity: number, step?: number): Table {
    if (step !== undefined) return byteTable(width, step)
    const rows: Float32Array[] = []
    return {
      set: (index, row) => {
        rows[index] = row.slice()
      },
      get: (index) => rows[index].slice(),
      distances: (row, to, from = 0) =>
        Float32Array.from({ length: to - from }, (_, i) => distance(rows[from + i], row)),
    }
  }

  kernelMatrix(outputs: number): KernelMatrix {
    const space = new JsSpace()
    return new KernelMatrix(space, regressionKernels(space), outputs, 12 * Math.ceil(outputs / 12))
  }

  filterBank(options: FilterBankOptions): FilterBank {
    const space = new JsSpace()
    return new FilterBank(space, patchKernels(space), options, (length) => length)
  }

  inverse(matrix: Float64Array): Float64Array {
    const n = Math.round(sqrt(matrix.length))
    const inverse = invert(covariance(matrix, n, 0))
    return Float64Array.from({ length: n * n }, (_, at) => inverse[Math.floor(at / n)][at % n])
  }

  residual(answers: Answers, kernel: Float64Array, noise: number, rounds: number): Residuals {
    const f = answers.length
    const width = answers[0].length
    const inverse = invert(covariance(kernel, f, noise))
    const sorted: Float64Array[] = Array.from({ length: width }, (_, c) =>
      Float64Array.from(answers, (row) => row[c]).sort(),
    )
    let medians = sorted.map(middle)
    const product = inverse.map((row) => {
      const out = new Float64Array(width)
      for (let i = 0; i < f; i++) for (let c = 0; c < width; c++) out[c] += row[i] * (answers[i][c] - medians[c])
      return out
    })
    const order: number[] = []
    const scores = new Float64Array(f)
    while (true) {
      const left = Array.from(inverse.keys()).filter((i) => !order.includes(i))
      for (const i of left) scores[i] = square(product[i]) / inverse[i][i]
      const worst = left.reduce((most, i) => (scores[i] > scores[most] ? i : most))
      order.push(worst)
      if (order.length === rounds) return { order: Int32Array.from(order), scores }
      const before = medians
      for (let c = 0; c < width; c++) sorted[c] = without(sorted[c], answers[worst][c])
      medians = sorted.map(middle)
      const shift = medians.map((median, c) => before[c] - median)
      const rest = left.filter((i) => i !== worst)
      for (const j of rest) {
        const factor = -inverse[worst][j] / inverse[worst][worst]
        addRow(inverse[j], inverse[worst], factor)
        addRow(product[j], product[worst], factor)
        let sum = 0
        for (const i of rest) sum += inverse[j][i]
        addRow(product[j], shift, sum)
      }
    }
  }
}

class JsSpace implements Space {
  readonly base = 0
  #buffer = new ArrayBuffer(0)

  /** Twice as much as before, or it would be copied with every block. */
  reserve(end: number): void {
    if (end <= this.#buffer.byteLength) return
    const old = new Uint8Array(this.#buffer)
    this.#buffer = new ArrayBuffer(Math.max(16 * Math.ceil(end / 16), 2 * old.length))
    new Uint8Array(this.#buffer).set(old)
  }

  floats(at: number, length: number): Float32Array {
    return new Float32Array(this.#buffer, at, length)
  }

  doubles(at: number, length: number): Float64Array {
    return new Float64Array(this.#buffer, at, length)
  }

  integers(at: number, length: number): Int32Array {
    return new Int32Array(this.#buffer, at, length)
  }

  words(at: number, length: number): Uint16Array {
    return new Uint16Array(this.#buffer, at, length)
  }
}

/** assembly/regression.ts. */
function regressionKernels(space: Space): RegressionKernels {
  const rowsAt = (at: number, n: number, width: number, pitch: number) =>
    Array.from({ length: n }, (_, i) => space.floats(at + i * pitch, width))
  return {
    accumulate(out, weights, rows, k, width, pitch) {
      weightedSum(space.floats(out, width), space.floats(weights, k), rowsAt(rows, k, width, pitch))
    },
    product(out, weights, rows, n, width, pitch, down, across) {
      const all = rowsAt(rows, BLOCK, width, pitch)
      for (let i = 0; i < n; i++) {
        const words = space.words(weights + i * down, ((BLOCK - 1) * across) / 2 + 1)
        const row = Float32Array.from({ length: BLOCK }, (_, j) => words[(j * across) / 2])
        weightedSum(space.floats(out + 4 * i * width, width), row, all)
      }
    },
    quadratic(out, matrix, weights) {
      const w = space.floats(weights, BLOCK)
      const y = new Float32Array(BLOCK)
      weightedSum(y, w, rowsAt(matrix, BLOCK, BLOCK, 4 * BLOCK))
      space.doubles(out, 2).set([dot(y, w), dot(y, new Float32Array(BLOCK).fill(1))])
    },
  }
}

/** assembly/patches.ts. */
function patchKernels(space: Space): PatchKernels {
  return {
    patchLines(even, odd, scale, image, channels, width, rows, pitch, stride, contrast) {
      const [e, o] = [3, 2].map((lines, i) => space.floats([even, odd][i], lines * SIDE * channels * stride))
      const pixels = space.floats(image, channels * (rows + SIDE - 1) * width + pitch + SIDE)
      const scales = space.floats(scale, rows * pitch)
      for (let at = 0; at < rows * pitch; at++) {
        const corner = Math.floor(at / pitch) * width + (at % pitch)
        let [sum, square] = [0, 0]
        for (let line = 0; line < channels * SIDE; line++) {
          const x = corner + (Math.floor(line / SIDE) * (rows + SIDE - 1) + (line % SIDE)) * width
          const [a, b, middle, d, f] = [pixels[x], pixels[x + 1], pixels[x + 2], pixels[x + 3], pixels[x + 4]]
          const [outer, inner] = [fround(a + f), fround(b + d)]
          e[3 * line * stride + at] = middle
          e[(3 * line + 1) * stride + at] = outer
          e[(3 * line + 2) * stride + at] = inner
          o[2 * line * stride + at] = a - f
          o[(2 * line + 1) * stride + at] = b - d
          sum = fround(sum + fround(fround(outer + inner) + middle))
          const [outers, inners] = [fround(fround(a * a) + fround(f * f)), fround(fround(b * b) + fround(d * d))]
          square = fround(square + fround(fround(outers + inners) + fround(middle * middle)))
        }
        const mean = fround(sum / (SIDE * SIDE * channels))
        const variance = max(0, fround(fround(square / (SIDE * SIDE * channels)) - fround(mean * mean)))
        scales[at] = 1 / fround(sqrt(fround(variance + contrast)))
      }
    },
    combine(out, weights, rows, n, k, stride) {
      const lines = Array.from({ length: k }, (_, j) => space.floats(rows + 4 * j * stride, stride))
      for (let i = 0; i < n; i++) {
        weightedSum(space.floats(out + 4 * i * stride, stride).fill(0), space.floats(weights + 4 * i * k, k), lines)
      }
    },
    poolCells(out, even, odd, scale, offsets, ends, down, across, _scratch, filters, pitch, stride, threshold) {
      const last = [...space.integers(ends, CELLS + 1)]
      const rows = last[CELLS]
      const cells = CELLS * CELLS
      const [scales, shifts] = [space.floats(scale, rows * pitch), space.floats(offsets, filters)]
      const [weights, columns] = [space.floats(down, 2 * rows), space.floats(across, CELLS * pitch)]
      const pooled = space.floats(out, 4 * filters * cells)
      const above = new Float32Array(rows * pitch)
      for (let k = 0; k < filters; k++) {
        const [e, o] = [even, odd].map((at) => space.floats(at + 4 * k * stride, rows * pitch))
        for (let kind = 0; kind < 4; kind++) {
          const [part, side] = [kind & 1 ? -1 : 1, kind & 2 ? -1 : 1]
          for (let at = 0; at < above.length; at++) {
            const r = fround(fround(fround(e[at] + part * o[at]) * scales[at]) - shifts[k])
            above[at] = max(0, side * r - threshold)
          }
          const sums = cellSums(above, last, weights, columns, pitch)
          pooled.set(sums, (kind * filters + k) * cells)
        }
      }
    },
  }
}

/** Down the columns first; of these four lanes are added up at the end. */
function cellSums(
  above: Float32Array,
  last: readonly number[],
  down: Float32Array,
  across: Float32Array,
  pitch: number,
): Float32Array {
  const sums = new Float32Array(4 * CELLS * CELLS)
  for (let cell = 0; cell < CELLS; cell++) {
    for (let column = 0; column < pitch; column++) {
      let sum = 0
      for (let row = cell ? last[cell - 1] : 0; row < last[cell + 1]; row++) {
        sum = fround(sum + fround(down[2 * row + Number(row < last[cell])] * above[row * pitch + column]))
      }
      for (let to = 0; to < CELLS; to++) {
        sums[4 * (cell * CELLS + to) + (column & 3)] += fround(sum * across[to * pitch + column])
      }
    }
  }
  const lane = (at: number) => fround(fround(fround(sums[at] + sums[at + 1]) + sums[at + 2]) + sums[at + 3])
  return Float32Array.from({ length: CELLS * CELLS }, (_, i) => lane(4 * i))
}

/** Four rows at a time: the output is read and written a quarter as often. Zero is added first, as in WASM. */
function weightedSum(out: Float32Array, weights: Float32Array, rows: readonly Float32Array[]): void {
  const k = rows.length
  const d = out.length
  let j = 0
  for (; j + 4 <= k; j += 4) {
    const [a, b, c, e] = [rows[j], rows[j + 1], rows[j + 2], rows[j + 3]]
    const [p, q, r, s] = [weights[j], weights[j + 1], weights[j + 2], weights[j + 3]]
    for (let i = 0; i < d; i++) {
      out[i] = fround(
        fround(fround(fround(out[i] + fround(p * a[i])) + fround(q * b[i])) + fround(r * c[i])) + fround(s * e[i]),
      )
    }
  }
  for (; j < k; j++) {
    const row = rows[j]
    const w = weights[j]
    for (let i = 0; i < d; i++) out[i] = fround(out[i] + fround(w * row[i]))
  }
}

function byteTable(width: number, step: number): Table {
  const rows: Int8Array[] = []
  const given = new Int16Array(width)
  const square = (row: Int8Array) => {
    let sum = 0
    for (let i = 0; i < width; i++) sum += (row[i] - given[i]) ** 2
    return sum
  }
  return {
    set: (index, row) => {
      rows[index] ??= new Int8Array(width)
      quantised(row, step, rows[index])
    },
    get: (index) => multiplied(rows[index], step),
    distances: (row, to, from = 0) => {
      quantised(row, step, given)
      return Float32Array.from({ length: to - from }, (_, i) => square(rows[from + i])).map((sum) => sum * step ** 2)
    },
  }
}

/** |a - b|² in f32; element i goes to lane i mod 12, lanes are added up as in assembly/distances.ts. */
function distance(a: Float32Array, b: Float32Array): number {
  const lanes = new Float32Array(12)
  for (let i = 0, lane = 0; i < a.length; i++) {
    const d = fround(a[i] - b[i])
    lanes[lane] += fround(d * d)
    lane = lane === 11 ? 0 : lane + 1
  }
  const [s0, s1, s2, s3] = [0, 1, 2, 3].map((l) => fround(fround(lanes[l] + lanes[l + 4]) + lanes[l + 8]))
  return fround(fround(fround(s0 + s1) + s2) + s3)
}

/** Element i goes to lane i mod 4; lanes are added up at the end. */
function dot(a: Float32Array, b: Float32Array): number {
  const d = a.length
  let s0 = 0
  let s1 = 0
  let s2 = 0
  let s3 = 0
  let i = 0
  for (; i + 4 <= d; i += 4) {
    s0 += a[i] * b[i]
    s1 += a[i + 1] * b[i + 1]
    s2 += a[i + 2] * b[i + 2]
    s3 += a[i + 3] * b[i + 3]
  }
  if (i < d) s0 += a[i] * b[i]
  if (i + 1 < d) s1 += a[i + 1] * b[i + 1]
  if (i + 2 < d) s2 += a[i + 2] * b[i + 2]
  return s0 + s1 + s2 + s3
}

/** The median of a sorted column. */
const middle = (column: Float64Array): number => (column[(column.length - 1) >> 1] + column[column.length >> 1]) * 0.5

/** A sorted column without one of its values. */
function without(column: Float64Array, value: number): Float64Array {
  const rest = column.slice(0, -1)
  for (let i = 0; i < rest.length; i++) if (!(value > rest[i])) rest[i] = column[i + 1]
  return rest
}

/** |row|²; element c goes to lane c mod 8, lanes are added up at the end. */
function square(row: Float64Array): number {
  const lanes = new Float64Array(8)
  for (let c = 0; c < row.length; c++) lanes[c & 7] += row[c] * row[c]
  return lanes.reduce((sum, lane) => sum + lane)
}

/** T_j(0): 1, 0, -1, 0, 1, ... */
const atZero = (j: number): number => (j & 1 ? 0 : j & 2 ? -1 : 1)

/** |Q(β_i)| with Q(0) = 1; see assembly/locate.ts. Matrices are arrays of columns. */
function denominator(y: Float64Array, basis: Float64Array): Float64Array {
  const f = y.length
  const degree = basis.length / f
  const m = max(f, 2 * degree)
  const n = 2 * degree - 1
  const a = Array.from({ length: n + 1 }, () => new Float64Array(m))
  for (let i = 0; i < f; i++) {
    for (let j = 0; j < degree; j++) {
      const t = basis[j * f + i]
      a[j][i] = t
      if (j) a[degree + j - 1][i] = -(t - atZero(j)) * y[i]
    }
    a[n][i] = y[i]
  }
  qr(a, n)
  const x = backSubstitute(a, n, degree - 1)
  return Float64Array.from(y, (_, i) => {
    let value = 1
    for (let j = 1; j < degree; j++) value += x[degree + j - 1] * (basis[j * f + i] - atZero(j))
    return abs(value)
  })
}

/** |Q(β_i)| with all coefficients together of unit length. */
function unitDenominator(y: Float64Array, basis: Float64Array): Float64Array {
  const f = y.length
  const degree = basis.length / f
  const m = max(f, 2 * degree)
  const a = Array.from({ length: 2 * degree }, () => new Float64Array(m))
  for (let i = 0; i < f; i++) {
    for (let j = 0; j < degree; j++) {
      const t = basis[j * f + i]
      a[j][i] = t
      a[degree + j][i] = -t * y[i]
    }
  }
  qr(a, 2 * degree)
  const x = smallestSingularVector(a)
  return Float64Array.from(y, (_, i) => {
    let value = 0
    for (let j = 0; j < degree; j++) value += x[degree + j] * basis[j * f + i]
    return abs(value)
  })
}

function castVotes(votes: Int32Array, q: Float64Array, errors: number): void {
  for (let e = 0; e < errors; e++) {
    let least = 0
    for (let i = 1; i < q.length; i++) if (q[i] < q[least]) least = i
    q[least] = Infinity
    votes[least]++
  }
}

// Small dense linear algebra: the twin of assembly/linalg.ts.

const TINY = 1e-15
const STEPS = 200
const MIN_NORMAL = 2.2250738585072014e-308

/** Householder QR in place on the first n columns; reflectors are applied to the columns that follow. */
function qr(a: Float64Array[], n: number): void {
  const m = a[0].length
  for (let j = 0; j < n; j++) {
    const v = a[j]
    let square = 0
    for (let i = j; i < m; i++) square += v[i] * v[i]
    if (square === 0) continue
    const head = v[j]
    const r = head > 0 ? -sqrt(square) : sqrt(square)
    const beta = 1 / (square - head * r)
    v[j] = head - r
    for (let c = j + 1; c < a.length; c++) {
      const target = a[c]
      let dot = 0
      for (let i = j; i < m; i++) dot += v[i] * target[i]
      const s = beta * dot
      for (let i = j; i < m; i++) target[i] = target[i] - s * v[i]
    }
    v[j] = r
  }
}

function smallest(a: Float64Array[], n: number): number {
  let most = 0
  for (let j = 0; j < n; j++) most = max(most, abs(a[j][j]))
  return most * TINY
}

function backSubstitute(a: Float64Array[], n: number, count: number): Float64Array {
  const floor = smallest(a, n)
  const x = new Float64Array(n)
  for (let i = n - 1; i >= n - count; i--) {
    let value = a[n][i]
    for (let j = i + 1; j < n; j++) value -= a[j][i] * x[j]
    x[i] = abs(a[i][i]) > floor ? value / a[i][i] : 0
  }
  return x
}

function smallestSingularVector(a: Float64Array[]): Float64Array {
  const n = a.length
  const floor = max(smallest(a, n), MIN_NORMAL)
  const x = new Float64Array(n)
  const next = new Float64Array(n)
  for (let j = 0; j < n; j++) {
    if (abs(a[j][j]) < floor) a[j][j] = floor
    x[j] = 1 + j / n
  }
  normalise(x)
  for (let step = 0; step < STEPS; step++) {
    for (let i = 0; i < n; i++) {
      let value = x[i]
      for (let j = 0; j < i; j++) value -= a[i][j] * next[j]
      next[i] = value / a[i][i]
    }
    normalise(next)
    for (let i = n - 1; i >= 0; i--) {
      let value = next[i]
      for (let j = i + 1; j < n; j++) value -= a[j][i] * next[j]
      next[i] = value / a[i][i]
    }
    normalise(next)
    let cosine = 0
    for (let i = 0; i < n; i++) {
      cosine += x[i] * next[i]
      x[i] = next[i]
    }
    if (1 - abs(cosine) < 1e-15) break
  }
  return x
}

function normalise(x: Float64Array): void {
  let square = 0
  for (const value of x) square += value * value
  const length = sqrt(square)
  for (let i = 0; i < x.length; i++) x[i] /= length
}

/** Rows of the Cholesky factor of kernel + noise * mean(diag) * I; only the lower triangle means anything. */
function covariance(kernel: Float64Array, n: number, noise: number): Float64Array[] {
  let diagonal = 0
  for (let i = 0; i < n; i++) diagonal += kernel[i * n + i]
  const a = Array.from({ length: n }, (_, i) => kernel.slice(i * n, (i + 1) * n))
  for (let i = 0; i < n; i++) a[i][i] += noise * (diagonal / n)
  for (let i = 0; i < n; i++) {
    for (let j = 0; j <= i; j++) {
      let value = a[i][j]
      for (let k = 0; k < j; k++) value -= a[i][k] * a[j][k]
      if (j < i) a[i][j] = value / a[j][j]
      else if (value > 0) a[i][i] = sqrt(value)
      else throw notDefinite()
    }
  }
  return a
}

/** The inverse of the matrix whose Cholesky factor is l. */
function invert(l: Float64Array[]): Float64Array[] {
  const n = l.length
  const inverse = l.map((_, i) => new Float64Array(n).fill(1, i, i + 1))
  for (let i = 0; i < n; i++) {
    for (let k = 0; k < i; k++) addRow(inverse[i], inverse[k], -l[i][k])
    for (let c = 0; c < n; c++) inverse[i][c] /= l[i][i]
  }
  for (let i = n - 1; i >= 0; i--) {
    for (let k = i + 1; k < n; k++) addRow(inverse[i], inverse[k], -l[k][i])
    for (let c = 0; c < n; c++) inverse[i][c] /= l[i][i]
  }
  return inverse
}

/** target += factor * row. */
function addRow(target: Float64Array, row: ArrayLike<number>, factor: number): void {
  for (let c = 0; c < target.length; c++) target[c] += factor * row[c]
}
