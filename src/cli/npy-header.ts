/** The header of an .npy file, as NumPy writes it. */

export interface NpyHeader {
  /** NumPy's name of the element type without the byte order: 'f4' is float32. */
  dtype: string
  isBigEndian: boolean
  fortranOrder: boolean
  shape: number[]
}

const MAGIC = '\x93NUMPY'
/** Bytes that suffice to know the length of the header. */
export const PREFIX = 12

/** The offset of the values in the file. @param prefix  the first PREFIX bytes of the file, or the whole file if it is shorter */
export function lengthOf(prefix: Buffer): number {
  if (prefix.length < PREFIX) return prefix.length
  return prefix[6] > 1 ? 12 + prefix.readUInt32LE(8) : 10 + prefix.readUInt16LE(8)
}

/** Parses the header, a Python dictionary. @param bytes  all bytes before the values. @throws Error that says what is wrong */
export function parseHeader(bytes: Buffer): NpyHeader {
  const text = bytes.toString('latin1')
  if (!text.startsWith(MAGIC)) throw new Error('Not an .npy file')
  const [, order, dtype] = /'descr'\s*:\s*'([<>|=]?)([^']+)'/.exec(text) ?? []
  const [, fortran] = /'fortran_order'\s*:\s*(True|False)/.exec(text) ?? []
  const [, dims] = /'shape'\s*:\s*\(([\dL, ]*)\)/.exec(text) ?? [] // Python 2 writes 'L' after a length
  if (dtype === undefined || fortran === undefined || dims === undefined) throw new Error('Malformed .npy header')
  const shape = (dims.match(/\d+/g) ?? []).map(Number)
  return { dtype, isBigEndian: order === '>', fortranOrder: fortran === 'True', shape }
}
