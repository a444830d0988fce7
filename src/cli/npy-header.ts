/** What stands at the beginning of an .npy file, as NumPy writes it. */

export interface NpyHeader {
  /** 'f4' is float32. */
  dtype: string
  isBigEndian: boolean
  fortranOrder: boolean
  shape: number[]
}

const MAGIC = '\x93NUMPY'
/** Bytes that tell how long a header is. */
export const PREFIX = 12

/** Where its values begin. @param prefix  the first bytes of a file, PREFIX of them or all */
export function lengthOf(prefix: Buffer): number {
  if (prefix.length < PREFIX) return prefix.length
  return prefix[6] > 1 ? 12 + prefix.readUInt32LE(8) : 10 + prefix.readUInt16LE(8)
}

/** Reads all that is before the values: a literal of Python behind the prefix. @throws Error that says what is wrong */
export function parseHeader(bytes: Buffer): NpyHeader {
  const text = bytes.toString('latin1')
  if (!text.startsWith(MAGIC)) throw new Error('Not an .npy file')
  const [, order, dtype] = /'descr'\s*:\s*'([<>|=]?)([^']+)'/.exec(text) ?? []
  const [, fortran] = /'fortran_order'\s*:\s*(True|False)/.exec(text) ?? []
  const [, dims] = /'shape'\s*:\s*\(([\dL, ]*)\)/.exec(text) ?? [] // 'L' behind whole numbers of Python 2
  if (dtype === undefined || fortran === undefined || dims === undefined) throw new Error('Malformed .npy header')
  const shape = (dims.match(/\d+/g) ?? []).map(Number)
  return { dtype, isBigEndian: order === '>', fortranOrder: fortran === 'True', shape }
}
