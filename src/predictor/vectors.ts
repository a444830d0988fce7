/** The vectors that a memory compares queries by: their values if these are real numbers, else features that the user computes. */

import { NO_VALUES } from '../base/arrays'
import type { Warn } from '../base/notices'
import { areReadAsVectors, hasVectors, vectorOf } from '../base/payload'
import { probeQuery } from '../base/probe-query'
import { allFinite, isReadAsVector, type Signature, type TensorList, type TensorSpec, toNamed } from '../base/tensor'
import { ownFeatures } from '../memory/domain'
import type { MemoryOptions } from '../memory/memory'
import type { MemoryChoices, QueryFeatures } from './options'

export interface Vectors {
  /** The specs of the vectors' parts. */
  readonly inputs: readonly TensorSpec[]
  /** The features that the memory computes of the vectors. */
  readonly features: MemoryOptions['features']
  /** A query's vector; empty if the user's function failed on it, or a value is not finite: then nothing is learned or recovered. */
  of(query: TensorList): Float32Array
}

/** If queries are not mixed, values that are not finite are allowed: such a query is not remembered. */
function finiteVectorOf(query: TensorList): Float32Array {
  const vector = vectorOf(query)
  return allFinite(vector) ? vector : NO_VALUES
}

/** @returns undefined where nothing can be remembered @throws TypeError if the user's function returns no numbers */
export function vectorsOf(
  signature: Signature,
  memory: MemoryChoices | false | undefined,
  warn: Warn,
): Vectors | undefined {
  const { features } = memory || {}
  const isOwn = typeof features === 'function' && !hasVectors(signature)
  if (!isOwn && areReadAsVectors(signature))
    return {
      inputs: signature.inputs,
      features: features as MemoryOptions['features'],
      of: hasVectors(signature) ? vectorOf : finiteVectorOf,
    }
  if (!isOwn || !isReadAsVector(signature.outputs)) return undefined
  const own = (query: TensorList, length?: number) =>
    ownFeatures(features as QueryFeatures, toNamed(query, signature.inputs), length, 'memory.features')
  const { length } = own(probeQuery(signature))
  const of = (query: TensorList) => {
    try {
      return own(query, length)
    } catch (error) {
      warn(`a query is not remembered: ${(error as Error).message}`)
      return NO_VALUES
    }
  }
  return { inputs: [{ name: 'features', shape: [length] }], features: undefined, of }
}
