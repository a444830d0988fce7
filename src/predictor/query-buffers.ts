/**
 * Buffers for large queries, in shared memory that threads can read: a query is copied once, and buffers are used again. Allocating costs more than
 * the copy (150,528 values: 170 us, and 23 us into a used buffer).
 */

import { type ArrayKind, copyOf, isNumeric, isShared, type TensorData } from '../base/element'
import type { Payload } from '../base/payload'
import { LARGE, type ModelWorker } from '../workers/worker'

/** Bytes of free buffers that are kept. */
const MOST_BYTES = 2 ** 26

export class QueryBuffers {
  /** Buffers that were made here: a query that was given away may be in a buffer of its caller. */
  readonly #own = new WeakSet<ArrayBufferLike>()
  readonly #unused: SharedArrayBuffer[] = []
  #bytes = 0
  #make: ModelWorker['sharedMemory']

  /** @param worker  any of them; all of them, and all that join, must read shared memory */
  constructor(worker: ModelWorker) {
    this.#make = worker.sharedMemory
  }

  joined(worker: ModelWorker): void {
    if (!worker.sharedMemory) this.#make = undefined
  }

  /** Copies a query into a buffer, which is its own until `free`. */
  readonly copy = (data: TensorData): TensorData => {
    const buffer = isNumeric(data) && data.byteLength >= LARGE ? this.#take(data.byteLength) : undefined
    if (!buffer) return copyOf(data)
    const copy = new (data.constructor as ArrayKind)(buffer, 0, data.length)
    ;(copy as Float32Array).set(data as Float32Array)
    return copy
  }

  #take(bytes: number): SharedArrayBuffer | undefined {
    const unused = this.#make && this.#unused.pop()
    this.#bytes -= unused?.byteLength ?? 0
    if (unused && unused.byteLength >= bytes) return unused
    const buffer = this.#make?.(bytes)
    if (buffer) this.#own.add(buffer)
    return buffer
  }

  /** A query is done: threads that still work on it were told to stop. */
  free({ tensors }: Payload): void {
    for (const { data } of tensors) {
      if (!isShared(data) || !this.#own.has(data.buffer) || this.#bytes >= MOST_BYTES) continue
      this.#unused.push(data.buffer)
      this.#bytes += data.buffer.byteLength
    }
  }
}
