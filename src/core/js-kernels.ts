/** The functions of assembly/ that work on memory kept by a core, in JavaScript. They are the specification of the WASM ones. */

import { CELLS, type PatchKernels, SIDE } from './filter-bank'
import { dot, inverseStep, weightedSum } from './js-linalg'
import { BLOCK, type RegressionKernels } from './kernel-matrix'
import type { CoreFunction, Space } from './space'

const { fround, max, sqrt } = Math

type Make = (space: Space) => CoreFunction

/** All kernels, on one space. */
export function jsKernels(space: Space): RegressionKernels & PatchKernels {
  /** `n` rows that lie `pitch` bytes apart. */
  const rowsAt = (at: number, n: number, width: number, pitch: number) =>
    Array.from({ length: n }, (_, i) => space.floats(at + i * pitch, width))
  return {
    accumulate: (out, weights, rows, k, width, pitch) =>
      weightedSum(space.floats(out, width), space.floats(weights, k), rowsAt(rows, k, width, pitch)),
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
    inverseStep(out, factor, n, step) {
      const rows = (at: number) => (i: number) => space.doubles(at + 8 * i * (n + (n % 2)), n)
      return inverseStep(rows(out), rows(factor), n, step)
    },
    combine(out, weights, rows, n, k, stride) {
      const lines = rowsAt(rows, k, stride, 4 * stride)
      for (let i = 0; i < n; i++) {
        weightedSum(space.floats(out + 4 * i * stride, stride).fill(0), space.floats(weights + 4 * i * k, k), lines)
      }
    },
    patchLines: patchLines(space),
    poolCells: poolCells(space),
    mirrorParts: mirrorParts(space),
  }
}

const patchLines: Make = (space) => (even, odd, scale, image, channels, width, rows, pitch, stride, contrast) => {
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
}

const poolCells: Make =
  (space) => (out, even, odd, scale, offsets, ends, down, across, _scratch, filters, pitch, stride, threshold) => {
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
  }

const mirrorParts: Make = (space) => (out, means, centre, scale, filters, unit) => {
  const half = filters * CELLS * CELLS
  const [roots, centres, scales] = [means, centre, scale].map((at) => space.floats(at, 4 * half))
  const parts = space.bytes(out, 4 * half)
  const factor = Math.SQRT1_2 * unit
  const feature = (at: number) => fround((sqrt(roots[at]) - centres[at]) * scales[at])
  const nearest = (value: number) => max(-127, Math.min(127, Math.floor(value * factor + 0.5)))
  for (let at = 0; at < 2 * half; at++) {
    const from = at < half ? at : at + half
    const [own, other] = [feature(from), feature(half + from - (from % CELLS) + CELLS - 1 - (from % CELLS))]
    parts[at] = nearest(own + other)
    parts[2 * half + at] = nearest(own - other)
  }
}

/** Sums down the columns first, then across in four lanes that are added at the end. */
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
