/** Writes .npy files, as NumPy does. */

const kinds = {
  ...{ Uint8Array: '|u1', Uint16Array: '<u2', Uint32Array: '<u4', BigUint64Array: '<u8' },
  ...{ Int8Array: '|i1', Int16Array: '<i2', Int32Array: '<i4', BigInt64Array: '<i8' },
  ...{ Float32Array: '<f4', Float64Array: '<f8' },
}

export type Values = NodeJS.TypedArray

/** The header of an array of any kind. @param descr  a literal of Python */
export function npyHeader(descr: string, fortran: boolean, dims: readonly number[]): Buffer {
  const dict = `{'descr': ${descr}, 'fortran_order': ${fortran ? 'True' : 'False'}, 'shape': (${dims.join(', ')},), }`
  const text = `${dict.padEnd(117)}\n`
  return Buffer.concat([Buffer.from('\x93NUMPY\x01\x00', 'latin1'), Buffer.of(text.length, 0), Buffer.from(text)])
}

export function npy(values: Values, shape: readonly number[]): Buffer {
  const { name } = values.constructor
  const descr = kinds[name as keyof typeof kinds]
  if (!descr) throw new TypeError(`values: expected one of ${Object.keys(kinds).join(', ')}, got ${name}`)
  const bytes = Buffer.from(values.buffer, values.byteOffset, values.byteLength)
  return Buffer.concat([npyHeader(`'${descr}'`, false, shape), bytes])
}
