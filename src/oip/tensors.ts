/** Reads the tensors of a message, from its JSON or from the raw bytes after it. */

import { checkInteger, checkObject, checkString, expected, outOfRange, wrongType } from '../base/check'
import type { ElementType, TensorData } from '../base/element'
import { size } from '../base/tensor'
import { JsonElements } from './element-list'
import { type Datatype, datatypeOf, datatypes, fromRaw, wordsFor } from './elements'

export interface TensorEntry {
  field: string
  name: string
  datatype: Datatype
  shape: number[]
  count: number
  data: JsonElements | Uint8Array
}

const MOST_TENSORS = 1000
export const MOST_LENGTH = 2 ** 31 - 1

/** All tensors of a message, of any datatype: the offset of a raw tensor depends on all raw tensors before it. */
export function readEntries(field: string, list: unknown, binary: Uint8Array): TensorEntry[] {
  if (!Array.isArray(list)) throw wrongType(expected(field, 'a list of tensors', list))
  if (!list.length || list.length > MOST_TENSORS) {
    throw outOfRange(`${field}: expected 1 to ${MOST_TENSORS} tensors, got ${list.length}`)
  }
  const names = new Set<string>()
  let at = 0
  const entries = list.map((json, i) => {
    const entry = readEntry(`${field}[${i}]`, json, binary.subarray(at))
    if (names.has(entry.name)) throw wrongType(`${field}[${i}]: expected another name, got '${entry.name}' again`)
    names.add(entry.name)
    if (entry.data instanceof Uint8Array) at += entry.data.length
    return entry
  })
  if (at === binary.length) return entries
  throw outOfRange(`the body: expected ${at} bytes behind the JSON, by binary_data_size, got ${binary.length}`)
}

/** One tensor. @param binary  the raw bytes of this tensor and of those after it */
function readEntry(field: string, json: unknown, binary: Uint8Array): TensorEntry {
  const { name: named, datatype, shape, data, parameters } = checkObject(field, json)
  const name = checkString(`${field}.name`, named)
  if (typeof datatype !== 'string' || !Object.hasOwn(datatypes, datatype)) {
    throw outOfRange(expected(`${field}.datatype`, `one of ${Object.keys(datatypes).join(', ')}`, datatype))
  }
  if (!Array.isArray(shape)) throw wrongType(expected(`${field}.shape`, 'a list of lengths', shape))
  shape.forEach((length, axis) => {
    checkInteger(`${field}.shape[${axis}]`, length, 0, MOST_LENGTH)
  })
  const { binary_data_size } = parametersOf(`${field}.parameters`, parameters)
  if ((data == null) === (binary_data_size === undefined)) {
    const got = data == null ? 'neither' : 'both'
    throw wrongType(`${field}: expected either data or parameters.binary_data_size, got ${got}`)
  }
  const count = size({ shape })
  const spec = { field, name, datatype: datatype as Datatype, shape, count }
  if (data == null) return { data: rawOf(spec, binary_data_size, binary), ...spec }
  if (data instanceof JsonElements) return { data, ...spec }
  throw wrongType(expected(`${field}.data`, 'a list of values', data))
}

function rawOf(
  { field, datatype, shape, count }: Omit<TensorEntry, 'data'>,
  given: unknown,
  binary: Uint8Array,
): Uint8Array {
  const bytes = checkInteger(`${field}.parameters.binary_data_size`, given, 0)
  const width = datatypes[datatype]
  if (width !== undefined && bytes !== width * count) {
    const what = `${width * count} bytes for ${datatype} [${shape}]`
    throw outOfRange(`${field}.parameters.binary_data_size: expected ${what}, got ${bytes}`)
  }
  if (bytes > binary.length) {
    throw outOfRange(`${field}: expected ${bytes} bytes behind the JSON, got ${binary.length}`)
  }
  return binary.subarray(0, bytes)
}

/** A tensor's values: from JSON as they are; raw ones as a view if aligned, else a copy. Raw NaN is not refused; in JSON, NaN is null, which is. */
export function valuesOf(
  { field, datatype, shape, count, data }: TensorEntry,
  type: ElementType = 'float32',
): TensorData {
  const own = datatypeOf(type)
  if (datatype !== own) throw wrongType(expected(`${field}.datatype`, `'${own}'`, datatype))
  if (data instanceof Uint8Array) return fromRaw(field, type, data, count)
  const { flaw } = data
  if (flaw !== undefined) throw outOfRange(`${field}.data: expected ${wordsFor(type)}, got ${flaw}`)
  if (data.values.length !== count) {
    throw outOfRange(`${field}.data: expected ${count} values for shape [${shape}], got ${data.values.length}`)
  }
  if (data.dims.length === 1 || String(data.dims) === String(shape)) return data.values
  throw outOfRange(`${field}.data: expected values flat or nested as shape [${shape}], got [${data.dims}]`)
}

export function parametersOf(field: string, json: unknown): Record<string, unknown> {
  return json == null ? {} : checkObject(field, json)
}
