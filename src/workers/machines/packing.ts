/**
 * Converts tensors to and from the body of frames: a vector as its float32 values, other tensors as bytes, each preceded by its lengths
 * if these may vary.
 */

import { tensorsOf, vectorOf } from '../../base/payload'
import { type AnyTensor, isOpen, isVector, size, type TensorList, type TensorSpec, tensorOf } from '../../base/tensor'
import { datatypeOf, datatypes, fromRaw, toRaw } from '../../oip/elements'
import { joinedBytes } from '../../oip/json'
import { Assembly, wrong } from './frames'

/** Bytes of an encoded length. */
const WIDTH = Uint32Array.BYTES_PER_ELEMENT
/** Largest size of tensors with dynamic lengths: the gateway's own limit for a query. */
const MOST_BYTES = 64 * 2 ** 20

export function pack(tensors: TensorList, specs: readonly TensorSpec[]): Float32Array | Uint8Array {
  if (isVector(specs)) return vectorOf(tensors)
  return joinedBytes(
    tensors.flatMap(({ data, shape }, i) => {
      const raw = toRaw(data)
      return isFixed(specs[i]) ? [raw] : [toRaw(Uint32Array.of(...shape, raw.length)), raw]
    }),
  )
}

/** @throws ApproxiferError PROTOCOL or RangeError if the values do not match the specs */
export function unpack(values: Float32Array | Uint8Array, specs: readonly TensorSpec[]): TensorList {
  if (values instanceof Float32Array) return tensorsOf(values, specs)
  let at = 0
  const take = (count: number) => {
    at += count
    if (at > values.length) throw wrong(`${at} bytes or more`, `${values.length}`)
    return values.subarray(at - count, at)
  }
  const tensors = specs.map((spec): AnyTensor => {
    const { type = 'float32', name } = spec
    const ahead = isFixed(spec) ? [...spec.shape, bytesOf(spec)] : lengths(take(WIDTH * (spec.shape.length + 1)))
    const shape = ahead.slice(0, -1)
    const count = size({ shape })
    const raw = take(ahead[ahead.length - 1])
    if (type !== 'string' && raw.length !== count * widthOf(spec)) throw wrong(`${count} values`, `${raw.length} bytes`)
    return tensorOf(spec, fromRaw(name, type, raw, count), shape)
  })
  if (at < values.length) throw wrong(`${at} bytes`, `${values.length}`)
  return tensors
}

/** Makes an assembly for the frames of tensors with these specs. */
export function assemblyOf(specs: readonly TensorSpec[]): Assembly {
  if (isVector(specs)) return new Assembly(specs.reduce((sum, spec) => sum + size(spec), 0))
  const bytes = specs.reduce((sum, spec) => sum + (isFixed(spec) ? bytesOf(spec) : Number.NaN), 0)
  return new Assembly(Number.isNaN(bytes) ? undefined : bytes, Uint8Array, MOST_BYTES)
}

function lengths(bytes: Uint8Array): number[] {
  return Array.from(fromRaw('lengths', 'uint32', bytes, bytes.length / WIDTH) as Uint32Array)
}

function isFixed(spec: TensorSpec): boolean {
  return spec.type !== 'string' && !isOpen(spec)
}

function bytesOf(spec: TensorSpec): number {
  return widthOf(spec) * size(spec)
}

function widthOf({ type }: TensorSpec): number {
  return datatypes[datatypeOf(type)] as number
}
