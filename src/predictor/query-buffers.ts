/**
 * Where large queries are while they are asked: in memory that threads read as well, so that they are copied once, and that is used again.
 * Fresh memory costs more than the copy (150,528 values: 170 us, and 23 into memory that was there).
 */

import { type ArrayKind, copyOf, isNumeric, isShared, type TensorData } from '../base/element'
import type { Payload } from '../base/payload'
import { LARGE, type ModelWorker } from '../workers/worker'

/** Bytes that are kept for queries to come. */
const MOST_BYTES = 2 ** 26

export class QueryBuffers {
  /** Those that were made here: a query that was given away may be in the caller's. */
  readonly #own = new WeakSet<ArrayBufferLike>()
  readonly #unused: SharedArrayBuffer[] = []
  #bytes = 0
  #make: ModelWorker['sharedMemory']

  /** @param worker  one of several; all of them, and each that joins, must read shared memory */
  constructor(worker: ModelWorker) {
    this.#make = worker.sharedMemory
  }

  joined(worker: ModelWorker): void {
    if (!worker.sharedMemory) this.#make = undefined
  }

  /** A copy of a query's, until it is done. */
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

  /** A query is done: a thread that is still at work on it was told that nobody wants the answer. */
  free({ tensors }: Payload): void {
    for (const { data } of tensors) {
      if (!isShared(data) || !this.#own.has(data.buffer) || this.#bytes >= MOST_BYTES) continue
      this.#unused.push(data.buffer)
      this.#bytes += data.buffer.byteLength
    }
  }
}
