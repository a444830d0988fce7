/** Queries and answers as vectors, which most models of the tests take and give. */

import type { ModelWorker } from 'approxifer'
import { Payload, tensorsOf, vectorOf } from '../../src/base/payload'
import type { TensorList } from '../../src/base/tensor'

/** As workers answer; what is no vector stays as it is. */
export const listOf = (vector: Float32Array): TensorList =>
  vector instanceof Float32Array ? [{ data: vector, shape: [vector.length] }] : vector

/** A payload of one tensor. */
export const payloadOf = (vector: Float32Array) => new Payload(listOf(vector))

/** What a worker answers to a query. */
export async function inferRow(
  worker: ModelWorker,
  row: Float32Array,
  options?: { signal?: AbortSignal },
): Promise<Float32Array> {
  return vectorOf(await worker.infer(tensorsOf(row, worker.signature.inputs), options))
}

/** The `infer` of a worker whose model is this function. */
export function inferring(answer: (row: Float32Array) => Float32Array | Promise<Float32Array>) {
  return async (query: TensorList): Promise<TensorList> => listOf(await answer(vectorOf(query)))
}

/** Twice the query, as one tensor: the model of most tests. */
export const doubling = inferring((row) => row.map((v) => 2 * v))
