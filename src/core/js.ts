/**
 * The core in plain JavaScript. It is the specification of assembly/: every sum in the same order, so that
 * the two agree to the bit. (Only the payload of a NaN may differ.)
 */

import { joined } from '../base/arrays'
import type { AnswerRows, Core, FilterBankOptions, HalvesTable, Residuals, RowTable } from './core'
import { FilterBank } from './filter-bank'
import { jsKernels } from './js-kernels'
import {
  addRow,
  backSubstitute,
  choleskyFactor,
  distance,
  dot,
  invert,
  qr,
  smallestSingularVector,
  square,
  weightedSum,
} from './js-linalg'
import { KernelMatrix } from './kernel-matrix'
import { freshRows, Space, squaredLengths } from './space'

const { abs, max, sqrt } = Math

export class JsCore implements Core {
  readonly kind = 'js'

  constructor(readonly fallback?: string) {}

  combine(weights: Float32Array, rows: readonly Float32Array[], out = freshRows(weights, rows)): Float32Array[] {
    const k = rows.length
    for (let i = 0; i < out.length; i++) weightedSum(out[i].fill(0), weights, rows, i * k)
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

  vote(answers: AnswerRows, basis: Float64Array, errors: number, unit: boolean): Int32Array {
    const f = answers.length
    const votes = new Int32Array(f)
    const y = new Float64Array(f)
    for (let c = 0; c < answers[0].length; c++) {
      for (let i = 0; i < f; i++) y[i] = answers[i][c]
      if (y.every((value) => value === y[0])) continue
      castVotes(votes, denominator(y, basis, unit), errors)
    }
    return votes
  }

  table(): RowTable {
    return floatTable()
  }

  halvesTable(half: number, _capacity: number, unit: number): HalvesTable {
    return halvesTable(half, unit)
  }

  kernelMatrix(outputs: number): KernelMatrix {
    const space = new JsSpace()
    return new KernelMatrix(space, jsKernels(space), outputs, 12 * Math.ceil(outputs / 12))
  }

  filterBank(options: FilterBankOptions): FilterBank {
    const space = new JsSpace()
    return new FilterBank(space, jsKernels(space), options, (length) => length)
  }

  inverse(matrix: Float64Array): Float64Array {
    const n = Math.round(sqrt(matrix.length))
    return joined(invert(choleskyFactor(matrix, n, 0)), Float64Array)
  }

  residual(answers: AnswerRows, kernel: Float64Array, noise: number, rounds: number): Residuals {
    const f = answers.length
    const width = answers[0].length
    const inverse = invert(choleskyFactor(kernel, f, noise))
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

class JsSpace extends Space {
  readonly base = 0
  protected buffer = new ArrayBuffer(0)

  /** At least doubles the buffer, since otherwise each new block would copy all of it. */
  reserve(end: number): void {
    if (end <= this.buffer.byteLength) return
    const old = new Uint8Array(this.buffer)
    this.buffer = new ArrayBuffer(Math.max(16 * Math.ceil(end / 16), 2 * old.length))
    new Uint8Array(this.buffer).set(old)
  }
}

function floatTable(): RowTable {
  const rows: Float32Array[] = []
  return {
    set: (index, row) => {
      rows[index] = row.slice()
    },
    get: (index) => rows[index].slice(),
    distances: (row, to, from = 0) => Float32Array.from({ length: to - from }, (_, i) => distance(rows[from + i], row)),
  }
}

function halvesTable(half: number, unit: number): HalvesTable {
  const rows: Int8Array[] = []
  const lengths: number[][] = []
  const { fround } = Math
  return {
    set: (index, row) => {
      rows[index] = row.slice()
      lengths[index] = squaredLengths(row)
    },
    get: (index) => rows[index].slice(),
    distances: (row, to, from = 0) => {
      const [even, odd] = squaredLengths(row)
      const [plain, turned] = [new Float32Array(to - from), new Float32Array(to - from)]
      for (let i = 0; i < plain.length; i++) {
        const other = rows[from + i]
        let [a, b] = [0, 0]
        for (let at = 0; at < half; at++) a += row[at] * other[at]
        for (let at = half; at < 2 * half; at++) b += row[at] * other[at]
        const [own, turning] = lengths[from + i]
        const same = fround(own + even - 2 * a)
        plain[i] = unit ** 2 * fround(same + fround(turning + odd - 2 * b))
        turned[i] = unit ** 2 * fround(same + fround(turning + odd + 2 * b))
      }
      return { plain, turned }
    },
  }
}

const middle = (column: Float64Array): number => (column[(column.length - 1) >> 1] + column[column.length >> 1]) * 0.5

/** A sorted column without one of its values. */
function without(column: Float64Array, value: number): Float64Array {
  const rest = column.slice(0, -1)
  for (let i = 0; i < rest.length; i++) if (!(value > rest[i])) rest[i] = column[i + 1]
  return rest
}

/** T_j(0): 1, 0, -1, 0, 1, ... */
const atZero = (j: number): number => (j & 1 ? 0 : j & 2 ? -1 : 1)

/** |Q(β_i)| with Q(0) = 1 or, with `unit`, with all coefficients together of unit length; see assembly/locate.ts. The matrix is stored by columns. */
function denominator(y: Float64Array, basis: Float64Array, unit: boolean): Float64Array {
  const f = y.length
  const degree = basis.length / f
  const n = 2 * degree - 1
  const a = Array.from({ length: n + 1 }, () => new Float64Array(max(f, n + 1)))
  const first = unit ? 0 : 1 // index of the first unknown coefficient of Q
  const term = (i: number, j: number) => (unit ? basis[j * f + i] : basis[j * f + i] - atZero(j))
  for (let i = 0; i < f; i++) {
    for (let j = 0; j < degree; j++) a[j][i] = basis[j * f + i]
    for (let j = first; j < degree; j++) a[degree + j - first][i] = -term(i, j) * y[i]
    if (!unit) a[n][i] = y[i]
  }
  qr(a, unit ? n + 1 : n)
  const x = unit ? smallestSingularVector(a) : backSubstitute(a, n, degree - 1)
  return Float64Array.from(y, (_, i) => {
    let value = first
    for (let j = first; j < degree; j++) value += x[degree + j - first] * term(i, j)
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
