/** Warnings about outputs that are unsuitable for coding, found by the answers to two sample queries. */

import type { TensorSpec } from '../../base/tensor'
import type { SampleAnswer } from './samples'

/** @param tried  the answers to a query of zeros and to one of values from 0 to 1 */
export function warningsAbout(outputs: readonly TensorSpec[], [zeros, some]: readonly SampleAnswer[]): string[] {
  return outputs.flatMap(({ name }, i) => {
    const [none, values] = [zeros.answer[i].data as Float32Array, some.answer[i].data as Float32Array]
    const spoilt = notFinite(name, values, 'values from 0 to 1') ?? notFinite(name, none, 'zeros')
    return [spoilt, probabilities(name, none, values, some.answer[i].shape)].filter((text) => text !== undefined)
  })
}

function notFinite(name: string, values: Float32Array, query: string): string | undefined {
  const at = values.findIndex((value) => !Number.isFinite(value))
  if (at < 0) return undefined
  return `output '${name}' is ${values[at]} at ${at} for a query of ${query}: an answer with NaN or Inf cannot be coded nor learned, and counts as a worker's fault where answers are; clamp it in the model (Clip), or leave the output out (option outputs)`
}

function probabilities(name: string, zeros: Float32Array, some: Float32Array, dims: readonly number[]) {
  if (some.every((value) => value === some[0])) return undefined // a constant output is inconclusive
  const found = axes(dims).find(({ length, step }) => sumToOne(zeros, length, step) && sumToOne(some, length, step))
  if (!found) return undefined
  return `output '${name}' looks like probabilities, summing to 1 along ${found.label} of [${dims}]: interpolated answers decode worse than logits; export the model without its last softmax`
}

/** Every axis longer than 1, the last one first, then all as one; `step` is the distance of neighbours along the axis. */
function axes(dims: readonly number[]): { label: string; length: number; step: number }[] {
  let step = 1
  const each = dims.map((length, i) => ({ label: `axis ${i}`, length, step: 0 }))
  for (const axis of each.reverse()) {
    axis.step = step
    step *= axis.length
  }
  return [...each.filter(({ length }) => length > 1), { label: 'all axes', length: step, step: 1 }]
}

/** Whether values lie in 0..1 and every slice along the axis sums to 1. */
function sumToOne(values: Float32Array, length: number, step: number): boolean {
  for (let block = 0; block < values.length; block += length * step) {
    for (let first = block; first < block + step; first++) {
      let sum = 0
      for (let i = 0; i < length; i++) {
        const value = values[first + i * step]
        if (!(value >= 0 && value <= 1)) return false
        sum += value
      }
      if (Math.abs(sum - 1) > 1e-3) return false
    }
  }
  return true
}
