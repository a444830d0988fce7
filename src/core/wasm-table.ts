/** Rows in WebAssembly memory: an instance of their own, which holds nothing else but a query and its distances. */

import type { RowTable } from './core'
import { multiplied, quantised } from './rows'
import { layOut, type Space, strideOf } from './space'

/** WebAssembly's memory grows by these bytes. */
export const PAGE = 2 ** 16
/** Bytes that a table grows by more than it has to. */
const AHEAD = 4 * PAGE

/** Of assembly/distances.ts; the arguments are addresses in the space, or counts. */
export interface DistanceKernels {
  distances(out: number, rows: number, row: number, n: number, stride: number): void
  byteDistances(out: number, rows: number, row: number, n: number, stride: number): void
}

/** What a table takes, see `Core.table`; in JS as much. */
export function tableBytes(width: number, capacity: number, step?: number): number {
  const row = step === undefined ? 4 * strideOf(width, 12, 4) : 16 * Math.ceil(width / 16)
  return PAGE + AHEAD + (capacity + 2) * row + 4 * capacity
}

/** The padding of rows stays zero, as all memory is at first. */
export function floatTable(space: Space, kernels: DistanceKernels, width: number, capacity: number): RowTable {
  const stride = strideOf(width, 12, 4)
  const at = layOut(space, { row: 4 * stride, out: 4 * capacity, rows: 0 })
  const start = (index: number) => at.rows + 4 * index * stride
  return {
    set: (index, row) => {
      space.reserve(start(index + 1), AHEAD)
      space.floats(start(index), width).set(row)
    },
    get: (index) => space.floats(start(index), width).slice(),
    distances: (row, to, from = 0) => {
      space.floats(at.row, width).set(row)
      kernels.distances(at.out, start(from), at.row, to - from, stride)
      return space.floats(at.out, to - from).slice()
    },
  }
}

/** The same in 8 bits a value. */
export function byteTable(
  space: Space,
  kernels: DistanceKernels,
  width: number,
  capacity: number,
  step: number,
): RowTable {
  const stride = 16 * Math.ceil(width / 16)
  const at = layOut(space, { row: 2 * stride, out: 4 * capacity, rows: 0 })
  const start = (index: number) => at.rows + index * stride
  return {
    set: (index, row) => {
      space.reserve(start(index + 1), AHEAD)
      quantised(row, step, space.bytes(start(index), width))
    },
    get: (index) => multiplied(space.bytes(start(index), width), step),
    distances: (row, to, from = 0) => {
      quantised(row, step, space.shorts(at.row, width))
      kernels.byteDistances(at.out, start(from), at.row, to - from, stride)
      return new Float32Array(space.integers(at.out, to - from)).map((sum) => sum * step ** 2)
    },
  }
}
